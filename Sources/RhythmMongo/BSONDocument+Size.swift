extension BSONDocument {
    /// How many bytes ``encoded()`` makes, without making them.
    package var encodedSize: Int {
        elements.reduce(5) { $0 + 2 + $1.key.utf8.count + $1.value.encodedSize }
    }
}

extension BSONValue {
    /// Without type and name.
    package var encodedSize: Int {
        switch self {
        case .undefined, .null, .minKey, .maxKey: 0
        case .bool: 1
        case .int32: 4
        case .double, .date, .timestamp, .int64: 8
        case .objectID: 12
        case .decimal128: 16
        case .string(let text), .javaScript(let text), .symbol(let text): 5 + text.utf8.count
        case .document(let document): document.encodedSize
        case .array(let elements):
            elements.enumerated().reduce(5) { $0 + 2 + Self.digits(of: $1.offset) + $1.element.encodedSize }
        case .binary(let subtype, let bytes): 5 + bytes.count + (subtype == 2 ? 4 : 0)
        case .regex(let pattern, let options): 2 + pattern.utf8.count + options.utf8.count
        case .dbPointer(let collection, _): 17 + collection.utf8.count
        case .javaScriptWithScope(let code, let scope): 9 + code.utf8.count + scope.encodedSize
        }
    }

    private static func digits(of index: Int) -> Int {
        var digits = 1
        var rest = index / 10
        while rest > 0 {
            digits += 1
            rest /= 10
        }
        return digits
    }
}
