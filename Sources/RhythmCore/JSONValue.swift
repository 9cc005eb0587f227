/// JSON as a tree, for the few places that look inside: workflow files, kwargs that are merged, output for people.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    /// A number in the spelling it came in, so that none is rounded.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// Members in the order they came in; of two members with one name the last counts.
    case object([Member])

    /// One name and its value.
    public struct Member: Sendable, Hashable {
        /// The name.
        public var name: String
        /// The value.
        public var value: JSONValue
        /// Makes a member.
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// An integer.
    public static func integer(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

    /// A float; what JSON cannot say (NaN, infinities) becomes null.
    public static func float(_ value: Double) -> JSONValue { value.isFinite ? .number("\(value)") : .null }

    /// A string, or null.
    public static func optional(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

    /// The member of an object by name; nil if there is none or this is no object.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name }?.value
    }

    /// The text of a string; nil for anything else.
    public var stringValue: String? { if case .string(let text) = self { text } else { nil } }

    /// The elements of an array; nil for anything else.
    public var arrayValue: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// A number that is a whole one and fits; nil for anything else.
    public var intValue: Int64? { if case .number(let text) = self { Int64(text) } else { nil } }

    /// A number as a float; nil for anything else.
    public var doubleValue: Double? { if case .number(let text) = self { Double(text) } else { nil } }

    /// What this is, in the words of an error message.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// The members of both objects; where a name occurs in both, that of `winner` counts.
    public func merging(_ winner: JSONValue) -> JSONValue {
        guard case .object(let mine) = self else { return winner }
        guard case .object(let theirs) = winner else { return self }
        let names = Set(theirs.map(\.name))
        return .object(mine.filter { !names.contains($0.name) } + theirs)
    }

    /// The shortest text.
    public var compactText: String {
        var text = ""
        write(to: &text, indent: nil, depth: 0)
        return text
    }

    /// Text over several lines, indented by two spaces.
    public var prettyText: String {
        var text = ""
        write(to: &text, indent: 2, depth: 0)
        return text
    }

    private func write(to text: inout String, indent: Int?, depth: Int) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let spelling): text += spelling
        case .string(let value): Self.writeQuoted(value, to: &text)
        case .array(let elements):
            Self.writeList(elements, open: "[", close: "]", to: &text, indent: indent, depth: depth) { element, text in
                element.write(to: &text, indent: indent, depth: depth + 1)
            }
        case .object(let members):
            Self.writeList(members, open: "{", close: "}", to: &text, indent: indent, depth: depth) { member, text in
                Self.writeQuoted(member.name, to: &text)
                text += indent == nil ? ":" : ": "
                member.value.write(to: &text, indent: indent, depth: depth + 1)
            }
        }
    }

    private static func writeList<Item>(
        _ items: [Item], open: String, close: String, to text: inout String, indent: Int?, depth: Int,
        each: (Item, inout String) -> Void
    ) {
        text += open
        for (position, item) in items.enumerated() {
            if position > 0 { text += "," }
            if let indent { text += "\n" + String(repeating: " ", count: indent * (depth + 1)) }
            each(item, &text)
        }
        if let indent, !items.isEmpty { text += "\n" + String(repeating: " ", count: indent * depth) }
        text += close
    }

    private static func writeQuoted(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                let hex = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
