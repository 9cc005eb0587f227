/// Reads the members of a JSON object one by one and knows the path of each, so that an error can name it.
///
/// Made for what people write by hand: unknown and repeated keys are errors, and a key without a value (YAML's
/// `kwargs:`) counts as absent.
struct ObjectReader {
    private let path: String
    private var members: [String: JSONValue] = [:]

    /// Checks the keys; `what` names the object in messages.
    init(_ value: JSONValue, path: String, what: String, known: [String]) throws(RhythmError) {
        self.path = path
        guard case .object(let list) = value else {
            throw WorkflowSpec.invalid(path, "WRONG_TYPE", "\(what) is an object with keys, not \(value.kind)")
        }
        for member in list {
            guard known.contains(member.name) else {
                throw WorkflowSpec.invalid(
                    Self.join(path, member.name), "UNKNOWN_KEY", Self.unknown(member.name, known: known))
            }
            guard members.updateValue(member.value, forKey: member.name) == nil else {
                throw WorkflowSpec.invalid(Self.join(path, member.name), "DUPLICATE_KEY", "the key occurs twice")
            }
        }
        members = members.filter { $0.value != .null }
    }

    /// The path of a member.
    func path(_ name: String) -> String { Self.join(path, name) }

    /// A member; nil if it is absent.
    func value(_ name: String) -> JSONValue? { members[name] }

    /// A text; nil if it is absent.
    func string(_ name: String) throws(RhythmError) -> String? {
        guard let value = members[name] else { return nil }
        guard case .string(let text) = value else { throw wrong(name, value, "a string", quotable: true) }
        return text
    }

    /// A text that must be there.
    func requiredString(_ name: String, example: String) throws(RhythmError) -> String {
        guard let text = try string(name) else {
            throw WorkflowSpec.invalid(path(name), "MISSING", "missing; write for example '\(name): \(example)'")
        }
        return text
    }

    /// A whole number; nil if it is absent.
    func integer(_ name: String) throws(RhythmError) -> Int? {
        guard let value = members[name] else { return nil }
        guard let number = value.intValue.flatMap({ Int(exactly: $0) }) else {
            throw wrong(name, value, "a whole number", quotable: false)
        }
        return number
    }

    /// A number; nil if it is absent.
    func double(_ name: String) throws(RhythmError) -> Double? {
        guard let value = members[name] else { return nil }
        guard let number = value.doubleValue else { throw wrong(name, value, "a number", quotable: false) }
        return number
    }

    /// Seconds as a number, or a text such as `15m`; nil if it is absent.
    func duration(_ name: String) throws(RhythmError) -> Duration? {
        guard let value = members[name] else { return nil }
        let duration: Duration? =
            switch value {
            case .number: value.doubleValue.flatMap { Duration(seconds: $0) }
            case .string(let text): Duration(parsing: text)
            default: nil
            }
        guard let duration else {
            throw WorkflowSpec.invalid(
                path(name), "BAD_DURATION",
                "\(JSON(value).excerpt) is no duration; write seconds, or a text such as \"90s\", \"15m\" or \"2h\"")
        }
        return duration
    }

    /// A JSON array; nil if it is absent.
    func array(_ name: String, hint: String) throws(RhythmError) -> [JSONValue]? {
        guard let value = members[name] else { return nil }
        guard case .array(let elements) = value else {
            throw WorkflowSpec.invalid(path(name), "WRONG_TYPE", "\(JSON(value).excerpt) is not a list; \(hint)")
        }
        return elements
    }

    /// A JSON object as it is; nil if it is absent.
    func object(_ name: String) throws(RhythmError) -> JSON? {
        guard let value = members[name] else { return nil }
        guard case .object = value else { throw wrong(name, value, "an object with keys", quotable: false) }
        return JSON(value)
    }

    private func wrong(_ name: String, _ value: JSONValue, _ expected: String, quotable: Bool) -> RhythmError {
        var message = "\(JSON(value).excerpt) is \(value.kind), not \(expected)"
        if quotable, case .number(let spelling) = value { message += "; put it in quotes: \"\(spelling)\"" }
        if quotable, case .bool(let flag) = value { message += "; put it in quotes: \"\(flag)\"" }
        return WorkflowSpec.invalid(path(name), "WRONG_TYPE", message)
    }

    private static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private static func unknown(_ name: String, known: [String]) -> String {
        if let near = name.nearest(in: known) { return "unknown key; did you mean '\(near)'?" }
        return "unknown key; known are \(known.joined(separator: ", "))"
    }
}

extension String {
    /// The word that this one is most likely a misspelling of; nil if none is close.
    public func nearest(in words: [String]) -> String? {
        let ranked = words.map { ($0, distance(to: $0)) }.min { $0.1 < $1.1 }
        guard let (word, distance) = ranked, distance <= max(2, word.count / 3), distance < word.count else {
            return nil
        }
        return word
    }

    /// How many characters have to be inserted, removed, replaced or swapped with their neighbour (optimal string
    /// alignment), upper and lower case, `-` and `_` being equal.
    private func distance(to other: String) -> Int {
        func folded(_ text: String) -> [Character] { text.lowercased().map { $0 == "-" ? "_" : $0 } }
        let a = folded(String(prefix(64)))
        let b = folded(other)
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = Swift.min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = Swift.min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
