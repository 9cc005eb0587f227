import RhythmCore

/// JSON in Python's spelling, as workers show arguments in their logs and events. Only for people.
enum PythonRepr {
    /// Celery's own limit, in characters.
    static let limit = 1024
    /// Longer values are not taken apart for the sake of a log line.
    private static let parseLimit = 8192

    /// Positional arguments as a tuple.
    static func arguments(_ args: JSON) -> String {
        guard args.text.utf8.count <= parseLimit, let elements = args.value.arrayValue else { return raw(args) }
        return cut("(" + elements.map(text).joined(separator: ", ") + (elements.count == 1 ? ",)" : ")"))
    }

    /// Keyword arguments as a dictionary.
    static func keywords(_ kwargs: JSON) -> String {
        guard kwargs.text.utf8.count <= parseLimit else { return raw(kwargs) }
        return cut(text(kwargs.value))
    }

    private static func raw(_ json: JSON) -> String { cut(String(json.text.prefix(limit + 1))) }

    private static func cut(_ text: String) -> String {
        text.count <= limit ? text : String(text.prefix(limit - 3)) + "..."
    }

    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "None"
        case .bool(let flag): flag ? "True" : "False"
        case .number("NaN"): "nan"
        case .number("Infinity"): "inf"
        case .number("-Infinity"): "-inf"
        case .number(let spelling): spelling
        case .string(let text): quoted(text)
        case .array(let elements): "[" + elements.map(text).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { "\(quoted($0.name)): \(text($0.value))" }.joined(separator: ", ") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        let quote: Unicode.Scalar = text.contains("'") && !text.contains("\"") ? "\"" : "'"
        var result = String(Character(quote))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case quote: result += "\\" + String(Character(quote))
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                let hex = String(scalar.value, radix: 16)
                result += "\\x" + (hex.count < 2 ? "0" : "") + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + String(Character(quote))
    }
}
