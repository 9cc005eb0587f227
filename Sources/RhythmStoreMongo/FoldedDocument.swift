import RhythmCore
import RhythmEngine
import RhythmMongo

/// A document folded into one JSON text.
///
/// What only we read, and only as a whole, is stored like that: a server that changes a record takes all of it apart and
/// puts it together again, and a text costs it next to nothing there, however much is in it. Exact: whole numbers stay
/// whole, floats have the shortest spelling that reads back as the same, and JSON inside stays a string, byte for byte.
extension BSONValue {
    /// The value folded.
    var folded: BSONValue { .string(json.compactText) }

    private var json: JSONValue {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .int32(let value): .integer(value)
        case .int64(let value): .integer(value)
        case .double(let value):
            .number(value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : "\(value)")
        case .string(let text): .string(text)
        case .array(let elements): .array(elements.map(\.json))
        case .document(let document): .object(document.elements.map { .init($0.key, $0.value.json) })
        default: preconditionFailure("documents of ours hold no \(self)")
        }
    }
}

extension Fields {
    /// What is folded in a field; nil if it is absent or null.
    func unfoldedIfAny(_ key: String) throws(StoreError) -> BSONValue? {
        guard let text = try textIfAny(key) else { return nil }
        guard let value = (try? JSON(parsing: text))?.asBSON else { throw corrupt(key, "is no JSON of ours") }
        return value
    }

    /// The documents of a folded array; none if it is absent or null.
    func unfoldedList(_ key: String) throws(StoreError) -> [Fields] {
        guard let value = try unfoldedIfAny(key) else { return [] }
        return try Fields([key: value], what).list(key)
    }

    /// A folded document.
    func unfoldedFields(_ key: String, _ what: String) throws(StoreError) -> Fields {
        guard let document = try unfoldedIfAny(key)?.documentValue else { throw corrupt(key) }
        return Fields(document, what)
    }
}
