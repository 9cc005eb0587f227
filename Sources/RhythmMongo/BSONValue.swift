/// One BSON value (https://bsonspec.org/spec.html). Every type of the specification has a case, the deprecated ones
/// too, so that whatever a foreign program stored can be read.
package enum BSONValue: Sendable, Hashable {
    case double(Double)
    case string(String)
    case document(BSONDocument)
    case array([BSONValue])
    case binary(subtype: UInt8, bytes: [UInt8])
    case undefined
    case objectID(BSONObjectID)
    case bool(Bool)
    /// Milliseconds since the Unix epoch, UTC.
    case date(milliseconds: Int64)
    case null
    case regex(pattern: String, options: String)
    case dbPointer(collection: String, id: BSONObjectID)
    case javaScript(String)
    case symbol(String)
    case javaScriptWithScope(String, BSONDocument)
    case int32(Int32)
    /// The server's internal timestamp, not a time for people.
    case timestamp(seconds: UInt32, increment: UInt32)
    case int64(Int64)
    /// In the spelling of the driver, such as `1.50` or `NaN`.
    case decimal128(String)
    case minKey
    case maxKey
}

/// Twelve bytes that a driver made up.
package struct BSONObjectID: Sendable, Hashable, CustomStringConvertible {
    /// Twelve of them.
    package let bytes: [UInt8]

    init(bytes: [UInt8]) {
        precondition(bytes.count == 12, "\(bytes.count) bytes")
        self.bytes = bytes
    }

    /// 24 hexadecimal digits.
    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension BSONValue {
    /// The text of a string; nil for anything else.
    package var stringValue: String? { if case .string(let text) = self { text } else { nil } }

    /// A whole number of any numeric type that fits; nil for anything else.
    package var int64Value: Int64? {
        switch self {
        case .int32(let value): Int64(value)
        case .int64(let value): value
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// A number of any numeric type but decimal; nil for anything else.
    package var doubleValue: Double? {
        switch self {
        case .double(let value): value
        case .int32(let value): Double(value)
        case .int64(let value): Double(value)
        default: nil
        }
    }

    /// A truth value; nil for anything else, numbers too.
    package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// Milliseconds since the Unix epoch of a date; nil for anything else.
    package var dateMilliseconds: Int64? { if case .date(let milliseconds) = self { milliseconds } else { nil } }

    /// The elements of an array; nil for anything else.
    package var arrayValue: [BSONValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// A sub-document; nil for anything else.
    package var documentValue: BSONDocument? { if case .document(let document) = self { document } else { nil } }

    /// Null, or the deprecated "undefined".
    package var isNull: Bool { self == .null || self == .undefined }

    /// Null for nil.
    package static func optional(_ value: BSONValue?) -> BSONValue { value ?? .null }
}

extension BSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    /// The smaller type that holds it.
    package init(integerLiteral value: Int64) { self = Int32(exactly: value).map { .int32($0) } ?? .int64(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: BSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, BSONValue)...) {
        self = .document(BSONDocument(elements.map { BSONDocument.Element($0.0, $0.1) }))
    }
    package init(nilLiteral: ()) { self = .null }
}
