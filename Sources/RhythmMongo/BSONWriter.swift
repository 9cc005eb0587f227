import CMongoC

/// Writes documents as bytes (https://bsonspec.org/spec.html).
struct BSONWriter {
    private(set) var bytes: [UInt8] = []

    mutating func write(_ document: BSONDocument) throws(MongoError) {
        let start = beginDocument()
        for element in document.elements { try write(element.key, element.value) }
        endDocument(from: start)
    }

    private mutating func write(_ elements: [BSONValue]) throws(MongoError) {
        let start = beginDocument()
        for (index, value) in elements.enumerated() { try write(String(index), value) }
        endDocument(from: start)
    }

    private mutating func beginDocument() -> Int {
        bytes.append(contentsOf: [0, 0, 0, 0])
        return bytes.count - 4
    }

    private mutating func endDocument(from start: Int) {
        bytes.append(0)
        setLength(at: start)
    }

    /// The length at `start` counts itself.
    private mutating func setLength(at start: Int) {
        let length = UInt32(truncatingIfNeeded: bytes.count - start)
        for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(index))) }
    }

    private mutating func write(_ key: String, _ value: BSONValue) throws(MongoError) {
        bytes.append(value.tag)
        try writeName(key, what: "a field name")
        switch value {
        case .double(let number): writeInteger(number.bitPattern)
        case .string(let text), .javaScript(let text), .symbol(let text): writeText(text)
        case .document(let document): try write(document)
        case .array(let elements): try write(elements)
        case .binary(let subtype, let content): writeBinary(subtype, content)
        case .undefined, .null, .minKey, .maxKey: break
        case .objectID(let id): bytes.append(contentsOf: id.bytes)
        case .bool(let value): bytes.append(value ? 1 : 0)
        case .date(let milliseconds): writeInteger(milliseconds)
        case .regex(let pattern, let options):
            try writeName(pattern, what: "a regular expression")
            try writeName(options, what: "the options of a regular expression")
        case .dbPointer(let collection, let id):
            writeText(collection)
            bytes.append(contentsOf: id.bytes)
        case .javaScriptWithScope(let code, let scope):
            let start = beginDocument()
            writeText(code)
            try write(scope)
            setLength(at: start)
        case .int32(let number): writeInteger(number)
        case .timestamp(let seconds, let increment):
            writeInteger(increment)
            writeInteger(seconds)
        case .int64(let number): writeInteger(number)
        case .decimal128(let spelling): try writeDecimal(spelling)
        }
    }

    /// NUL ends a name, so it cannot stand in one.
    private mutating func writeName(_ name: String, what: String) throws(MongoError) {
        guard !name.utf8.contains(0) else { throw MongoError(.invalidDocument, "\(what) contains NUL: '\(name)'") }
        bytes.append(contentsOf: name.utf8)
        bytes.append(0)
    }

    private mutating func writeText(_ text: String) {
        writeInteger(Int32(truncatingIfNeeded: text.utf8.count + 1))
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
    }

    private mutating func writeBinary(_ subtype: UInt8, _ content: [UInt8]) {
        // The deprecated subtype 2 holds a second length of its own.
        writeInteger(Int32(truncatingIfNeeded: content.count + (subtype == 2 ? 4 : 0)))
        bytes.append(subtype)
        if subtype == 2 { writeInteger(Int32(truncatingIfNeeded: content.count)) }
        bytes.append(contentsOf: content)
    }

    private mutating func writeDecimal(_ spelling: String) throws(MongoError) {
        var decimal = bson_decimal128_t()
        guard bson_decimal128_from_string(spelling, &decimal) else {
            throw MongoError(.invalidDocument, "'\(spelling)' is no decimal number")
        }
        writeInteger(decimal.low)
        writeInteger(decimal.high)
    }

    private mutating func writeInteger(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

extension BSONValue {
    /// The byte that announces a value of this type.
    fileprivate var tag: UInt8 {
        switch self {
        case .double: 0x01
        case .string: 0x02
        case .document: 0x03
        case .array: 0x04
        case .binary: 0x05
        case .undefined: 0x06
        case .objectID: 0x07
        case .bool: 0x08
        case .date: 0x09
        case .null: 0x0A
        case .regex: 0x0B
        case .dbPointer: 0x0C
        case .javaScript: 0x0D
        case .symbol: 0x0E
        case .javaScriptWithScope: 0x0F
        case .int32: 0x10
        case .timestamp: 0x11
        case .int64: 0x12
        case .decimal128: 0x13
        case .minKey: 0xFF
        case .maxKey: 0x7F
        }
    }
}
