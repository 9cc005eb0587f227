import RhythmCore

/// The best text there is of why an attempt failed.
///
/// Celery stores `exc_type`, `exc_message` and `exc_module`; tasks that store their end themselves (`update_state`) store
/// whatever they like, and workers with another serializer than JSON store what is no JSON. So: the exception's message,
/// else what the task has stored, else the last line of the traceback, else where it was raised. A value.
struct FailureText {
    /// The exception's class; nil if nothing tells it.
    let type: String?
    let module: String
    /// What it says; nil if nothing does.
    let message: String?

    /// So much of what a task has stored goes into a message.
    private static let longest = 4000
    /// Where tasks say what is wrong, the most telling first.
    private static let keys = [
        "exc_message", "message", "error", "error_message", "msg", "reason", "description", "exception", "exc", "text",
    ]
    /// What belongs behind it.
    private static let details = ["detail", "details"]

    init(_ document: ResultDocument) {
        let stored = document.resultText
        let json = stored.flatMap { try? JSON(parsing: $0) }?.value
        let raised = Traceback(document.traceback)
        var type = json?["exc_type"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
        var module = json?["exc_module"]?.stringValue ?? ""
        var message = json.flatMap { Self.message($0) }
        if json == nil {
            let found = stored.map { ForeignText(text: $0) } ?? document.binary.map { ForeignText(bytes: $0) }
            type = found?.type
            module = found?.module ?? ""
            message = found?.message
        }
        self.type = type ?? raised?.type
        self.module = module
        self.message = message ?? raised?.message ?? raised?.place
    }

    /// What a stored value says; nil if that is nothing.
    private static func message(_ value: JSONValue) -> String? {
        guard case .object(let members) = value else { return text(value) }
        let main = keys.lazy.compactMap { value[$0].flatMap { text($0) } }.first
        let detail = details.lazy.compactMap { value[$0].flatMap { text($0) } }.first
        if let main { return detail.map { "\(main) (\($0))" } ?? main }
        if let detail { return detail }
        // What is left says something only if it is the task's own.
        let own = members.filter { !["exc_type", "exc_module", "exc_message"].contains($0.name) && $0.value != .null }
        return own.isEmpty ? nil : cut(JSONValue.object(own).compactText)
    }

    /// A value as people read it: the arguments of an exception as Python shows a single one.
    private static func text(_ value: JSONValue) -> String? {
        switch value {
        case .null: nil
        case .string(let text): text.isEmpty ? nil : cut(text)
        case .array(let parts):
            parts.isEmpty ? nil : cut(parts.map { $0.stringValue ?? $0.compactText }.joined(separator: ", "))
        case .object(let members): members.isEmpty ? nil : message(value)
        default: cut(value.compactText)
        }
    }

    fileprivate static func cut(_ text: String) -> String {
        text.utf8.count <= longest ? text : text.prefix(longest) + "..."
    }
}

/// What a traceback tells besides the way there.
struct Traceback {
    let type: String?
    /// What the exception says; nil for one without arguments.
    let message: String?
    /// Where it was raised.
    let place: String?

    /// Reads Python's text; nil if there is none.
    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
        guard !lines.isEmpty else { return nil }
        let last = lines.lastIndex { $0.hasPrefix("  File \"") }
        place = last.flatMap { Self.place(lines[$0]) }
        // The exception's own lines stand behind the last source line, and begin at the margin.
        let start = (last ?? -1) + 1
        guard let first = lines[start...].firstIndex(where: { !$0.hasPrefix(" ") }) else {
            (type, message) = (nil, last == nil ? FailureText.cut(text) : nil)
            return
        }
        let said = lines[first...].joined(separator: "\n")
        let parts = said.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let name = parts[0]
        guard let simple = name.split(separator: ".").last,
            name.allSatisfy({ $0.isLetter || $0.isNumber || "._".contains($0) })
        else {
            (type, message) = (nil, FailureText.cut(said))
            return
        }
        type = String(simple)
        let rest = parts.count > 1 ? String(parts[1].drop(while: \.isWhitespace)) : ""
        message = rest.isEmpty ? nil : FailureText.cut(rest)
    }

    /// `  File "/path/tasks.py", line 7, in run`.
    private static func place(_ line: String) -> String? {
        let parts = line.split(separator: "\"")
        guard parts.count >= 3, let file = parts[1].split(separator: "/").last else { return nil }
        return "raised without a message (\(file)\(parts[2]))"
    }
}

/// What can be read in a result that is no JSON: YAML, or bytes of pickle or msgpack.
struct ForeignText {
    private(set) var type: String?
    private(set) var module = ""
    private(set) var message: String?

    /// YAML as Celery writes exceptions (`exc_type: ValueError`), or anything else.
    init(text: String) {
        var lists: [String] = []
        var message: String?
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.drop(while: \.isWhitespace) }
            switch parts.first {
            case "exc_type": type = parts.count > 1 ? String(parts[1]) : nil
            case "exc_module": module = parts.count > 1 ? String(parts[1]) : ""
            case "exc_message": message = parts.count > 1 ? Self.bare(parts[1]) : nil
            default: if line.hasPrefix("- ") { lists.append(Self.bare(line.dropFirst(2))) }
            }
        }
        if type != nil {
            self.message =
                message.flatMap { $0.isEmpty ? nil : $0 } ?? (lists.isEmpty ? nil : lists.joined(separator: ", "))
        } else {
            self.message = text.isEmpty ? nil : FailureText.cut(text)
        }
    }

    private static func bare(_ text: Substring) -> String {
        var text = text
        for (open, close) in [("[", "]"), ("'", "'"), ("\"", "\"")] where text.hasPrefix(open) && text.hasSuffix(close)
        {
            guard text.count >= 2 else { break }
            text = text.dropFirst().dropLast()
        }
        return String(text)
    }

    /// The texts in a pickled exception, or in any other bytes.
    init(bytes: [UInt8]) {
        var words = Self.pickled(bytes) ?? Self.printable(bytes)
        if let at = words.firstIndex(where: { $0.hasSuffix("exc_type") }), at + 1 < words.count {
            // msgpack: a name and its value in turn.
            type = words[at + 1]
            if let at = words.firstIndex(where: { $0.hasSuffix("exc_module") }), at + 1 < words.count {
                module = words[at + 1]
            }
            words.removeAll { $0 == type || $0 == module || $0.hasSuffix("exc_type") || $0.hasSuffix("exc_module") }
            words.removeAll { $0.hasSuffix("exc_message") }
        } else if bytes.first == 0x80, words.count >= 2 {
            module = words.removeFirst()
            type = words.removeFirst()
        }
        let text = words.joined(separator: " ")
        message = text.isEmpty ? nil : FailureText.cut(text)
    }

    /// The texts that a pickle pushes, in order: the class's module and name, then its arguments. Nothing is made of them.
    private static func pickled(_ bytes: [UInt8]) -> [String]? {
        guard bytes.count > 3, bytes[0] == 0x80 else { return nil }
        var words: [String] = []
        var at = 2
        func take(_ start: Int, _ count: Int) -> String? {
            guard count >= 0, start + count <= bytes.count else { return nil }
            return String(validating: bytes[start..<(start + count)], as: UTF8.self)
        }
        while at < bytes.count {
            switch bytes[at] {
            case 0x63 where words.isEmpty:  // c: module and name, a line each
                let lines = bytes[(at + 1)...].split(separator: 0x0A, maxSplits: 2, omittingEmptySubsequences: false)
                guard lines.count == 3, let module = String(validating: lines[0], as: UTF8.self),
                    let name = String(validating: lines[1], as: UTF8.self)
                else { return nil }
                words += [module, name]
                at = lines[2].startIndex
            case 0x8C where at + 1 < bytes.count:  // a text of up to 255 bytes
                guard let word = take(at + 2, Int(bytes[at + 1])) else { return words }
                words.append(word)
                at += 2 + Int(bytes[at + 1])
            case 0x58 where at + 4 < bytes.count:  // X: a text with a length of four bytes
                let count = (1...4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * ($1 - 1)) }
                guard let word = take(at + 5, count) else { return words }
                words.append(word)
                at += 5 + count
            case 0x95: at += 9  // the length of a frame
            case 0x71: at += 2  // q: a place in the memo
            default: at += 1
            }
        }
        return words
    }

    /// Runs of readable characters.
    private static func printable(_ bytes: [UInt8]) -> [String] {
        bytes.split { !(0x20..<0x7F).contains($0) }.filter { $0.count >= 3 }.map { String(decoding: $0, as: UTF8.self) }
    }
}
