import RhythmCore
import RhythmMongo

extension JSON {
    /// The text as BSON, for programs that read the collection; the exact text is stored beside it.
    ///
    /// Nil where BSON, or a server, has no way to say it: names with NUL or a leading `$`, and deep nesting. Whole
    /// numbers over 64 bits become floats. Of two members with one name the last counts.
    var asBSON: BSONValue? { value.asBSON(depth: 0) }
}

extension JSONValue {
    fileprivate func asBSON(depth: Int) -> BSONValue? {
        // Servers allow 100 levels in all.
        guard depth < 64 else { return nil }
        switch self {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .string(let text): return .string(text)
        case .number(let spelling): return Self.number(spelling)
        case .array(let elements):
            var converted: [BSONValue] = []
            converted.reserveCapacity(elements.count)
            for element in elements {
                guard let element = element.asBSON(depth: depth + 1) else { return nil }
                converted.append(element)
            }
            return .array(converted)
        case .object(let members):
            var document = BSONDocument()
            for member in members {
                guard !member.name.utf8.contains(0), !member.name.hasPrefix("$"),
                    let value = member.value.asBSON(depth: depth + 1)
                else { return nil }
                document[member.name] = value
            }
            return .document(document)
        }
    }

    private static func number(_ spelling: String) -> BSONValue? {
        if let small = Int32(spelling) { return .int32(small) }
        if let whole = Int64(spelling) { return .int64(whole) }
        switch spelling {
        case "NaN": return .double(.nan)
        case "Infinity": return .double(.infinity)
        case "-Infinity": return .double(-.infinity)
        default: return Double(spelling).map { .double($0) }
        }
    }
}
