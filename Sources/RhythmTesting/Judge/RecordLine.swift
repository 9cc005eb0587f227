/// One line of a record: what a task, a client or whoever disturbs them wrote down in the moment in which it happened.
///
/// A word and fields, `begin workflow=w1 step=s0 ...`, values percent-encoded. All of them append to one file, each line
/// in one write, so that the order of the lines is the order in which things happened. See `Tests/CeleryApp/recorder.py`.
package struct RecordLine: Sendable, Hashable {
    package enum Word: String, Sendable, CaseIterable {
        /// A task begins: `workflow step id run pid start at`, of Celery also `worker retries late redelivered`; `given`.
        case begin
        /// At its begin it saw the process of an earlier run of its workflow that has written no end: the same, `other`.
        case beside
        /// It ends: the same, `outcome` (`success` or what it is called instead), `gave`.
        case end
        /// A client is about to send a command: `workflow command at`; of a start also `steps` and `given`.
        case asked
        /// A client got an answer: `workflow command at accepted`, `quiesced version status`, of a read also `ids`.
        case told
        /// Somebody is about to do harm: `what` (``RecordFault``) `at`, `victim`, or a process by `pid` and `start`.
        case fault
        /// The harm is over: `what at`.
        case healed
    }

    package var word: Word
    package var fields: [String: String]

    package init(_ word: Word, _ fields: [String: String]) {
        self.word = word
        self.fields = fields
    }

    /// Nil for what is no such line, such as one that was cut.
    package init?(parsing text: some StringProtocol) {
        let words = text.split(separator: " ", omittingEmptySubsequences: true)
        guard let first = words.first, let word = Word(rawValue: String(first)) else { return nil }
        self.word = word
        fields = [:]
        for pair in words.dropFirst() {
            guard let equals = pair.firstIndex(of: "="),
                let value = Self.decoded(Substring(pair[pair.index(after: equals)...]))
            else { return nil }
            fields[String(pair[..<equals])] = value
        }
        guard required.allSatisfy({ fields[$0] != nil }), Int64(fields["at"] ?? "") != nil else { return nil }
    }

    package var text: String {
        let pairs = fields.sorted { $0.key < $1.key }.map { " \($0.key)=\(Self.encoded($0.value))" }
        return word.rawValue + pairs.joined()
    }

    package subscript(_ name: String) -> String? { fields[name] }

    /// On the clock that counts since boot, in seconds.
    package var at: Double { Double(fields["at"] ?? "").map { $0 / 1e9 } ?? 0 }

    private var required: [String] {
        switch word {
        case .begin: ["workflow", "step", "id", "run", "pid", "start", "at"]
        case .beside: ["workflow", "step", "id", "run", "other", "at"]
        case .end: ["workflow", "step", "id", "run", "outcome", "at"]
        case .asked, .told: ["workflow", "command", "at"]
        case .fault, .healed: ["what", "at"]
        }
    }

    private static func encoded(_ value: String) -> String {
        var text = ""
        for byte in value.utf8 {
            if byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "%") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                text += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return text
    }

    private static func decoded(_ value: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = value.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let hex = String(rest.prefix(2)), hex.utf8.count == 2, let code = UInt8(hex, radix: 16) else {
                return nil
            }
            rest = rest.dropFirst(2)
            bytes.append(code)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// What a test does to those that it watches. The words are those of `what` in a record.
package enum RecordFault: String, Sendable, CaseIterable {
    /// A worker with all of its processes, `victim` is its node name.
    case workerKilled = "worker-killed"
    /// The process of a run, by `pid` and `start`.
    case processKilled = "process-killed"
    case brokerAway = "broker-away"
    case databaseAway = "database-away"
    case serverKilled = "server-killed"
    case serverStopped = "server-stopped"
    /// Between a server, the `victim`, and something else.
    case linkCut = "link-cut"
}
