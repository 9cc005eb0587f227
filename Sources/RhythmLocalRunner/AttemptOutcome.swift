import Glibc
import RhythmCore

/// The supervisor's last word: the file `outcome`, one `key=value` a line.
struct AttemptOutcome: Equatable {
    enum Kind: String {
        case exited, signaled, revoked
        case execFailed = "exec_failed"
        /// Written by the runner when the supervisor died without a word.
        case lost
    }

    var kind: Kind
    var exit: Int32?
    var signal: Int32?
    var errorNumber: Int32 = 0
    var error = ""
    var stage = ""
    /// Whether a process was made for the task at all.
    var ran = true
    /// Whether the server had asked for a revoke.
    var asked = false
    var startedAt: Timestamp?
    var endedAt: Timestamp?
    /// `0`, `1`, `too_large` or `io_error`.
    var result = "0"
    /// Processes that could not be ended.
    var survivors = 0

    init(kind: Kind) { self.kind = kind }

    /// Takes what it understands; an outcome that makes no sense is a lost one.
    init(parsing text: String) {
        self.init(kind: .lost)
        for line in text.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            take(line[..<equals], String(line[line.index(after: equals)...]))
        }
    }

    private mutating func take(_ key: Substring, _ value: String) {
        switch key {
        case "kind": kind = Kind(rawValue: value) ?? .lost
        case "exit": exit = Int32(value)
        case "signal": signal = Int32(value)
        case "errno": errorNumber = Int32(value) ?? 0
        case "error": error = value
        case "stage": stage = value
        case "ran": ran = value == "1"
        case "asked": asked = value == "1"
        case "started_us": startedAt = Self.time(value)
        case "ended_us": endedAt = Self.time(value)
        case "result": result = value
        case "survivors": survivors = Int(value) ?? 0
        default: break
        }
    }

    private static func time(_ value: String) -> Timestamp? {
        Int64(value).flatMap { $0 > 0 ? Timestamp(microseconds: $0) : nil }
    }

    /// The text of an outcome that the runner writes itself.
    var text: String {
        "kind=\(kind.rawValue)\nran=\(ran ? 1 : 0)\nasked=\(asked ? 1 : 0)\n"
            + "started_us=\(startedAt?.microseconds ?? 0)\nended_us=\(endedAt?.microseconds ?? 0)\n"
    }
}
