extension BSONValue {
    /// The value as JSON text in the way of Python's `json`: `NaN` and `Infinity` as such, dates as ISO 8601 text in
    /// UTC, object ids as hexadecimal digits, bytes as numbers. What is exact in JSON comes out exact; the rest is
    /// readable.
    package var jsonText: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .double(let value): text += Self.spelling(value)
        case .string(let value), .symbol(let value), .javaScript(let value): Self.writeQuoted(value, to: &text)
        case .document(let document): Self.write(document, to: &text)
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += ", " }
                element.write(to: &text)
            }
            text += "]"
        case .binary(_, let bytes): text += "[" + bytes.map { String($0) }.joined(separator: ", ") + "]"
        case .objectID(let id): text += "\"\(id)\""
        case .bool(let value): text += value ? "true" : "false"
        case .date(let milliseconds): text += "\"" + Self.iso8601(milliseconds) + "\""
        case .null, .undefined, .minKey, .maxKey: text += "null"
        case .regex(let pattern, let options): Self.writeQuoted("/\(pattern)/\(options)", to: &text)
        case .dbPointer(let collection, let id): Self.writeQuoted("\(collection) \(id)", to: &text)
        case .javaScriptWithScope(let code, _): Self.writeQuoted(code, to: &text)
        case .int32(let value): text += String(value)
        case .int64(let value): text += String(value)
        case .timestamp(let seconds, let increment): text += "[\(seconds), \(increment)]"
        case .decimal128(let spelling): text += Self.isPlainNumber(spelling) ? spelling : "\"\(spelling)\""
        }
    }

    private static func write(_ document: BSONDocument, to text: inout String) {
        text += "{"
        for (index, element) in document.elements.enumerated() {
            if index > 0 { text += ", " }
            writeQuoted(element.key, to: &text)
            text += ": "
            element.value.write(to: &text)
        }
        text += "}"
    }

    private static func spelling(_ value: Double) -> String {
        if value.isFinite { return "\(value)" }
        if value.isNaN { return "NaN" }
        return value < 0 ? "-Infinity" : "Infinity"
    }

    /// The driver spells decimals as JSON does but for `NaN` and `Infinity`, which are then better off in quotes.
    private static func isPlainNumber(_ spelling: String) -> Bool {
        spelling.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.E".utf8.contains($0) }
    }

    private static func writeQuoted(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                let hex = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }

    /// With milliseconds and a `Z`; the date by Howard Hinnant's `civil_from_days`
    /// (https://howardhinnant.github.io/date_algorithms.html).
    private static func iso8601(_ milliseconds: Int64) -> String {
        func pad(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        var days = milliseconds / 86_400_000
        var rest = milliseconds % 86_400_000
        if rest < 0 {
            rest += 86_400_000
            days -= 1
        }
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let seconds = rest / 1000
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, 2))T"
            + "\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2)).\(pad(rest % 1000, 3))Z"
    }
}
