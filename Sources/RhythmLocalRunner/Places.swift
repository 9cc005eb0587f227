import RhythmCore

/// Where things are in the runner's data directory.
struct Places: Sendable {
    let root: String

    /// Attempts that are not settled yet.
    var attempts: String { root + "/attempts" }
    /// Logs of those that are.
    var logs: String { root + "/logs" }
    /// The fifo that supervisors write to.
    var notify: String { root + "/notify" }
    /// Held by the runner that works here.
    var lock: String { root + "/lock" }

    func attempt(_ id: TaskID) -> AttemptDirectory { AttemptDirectory(path: attempts + "/" + id.rawValue) }

    func keptLogs(_ id: TaskID) -> String { logs + "/" + id.rawValue }

    /// Whether an id can be the name of a directory here. The engine's own always can.
    func isValid(_ id: TaskID) -> Bool {
        let name = id.rawValue.utf8
        return !name.isEmpty && name.count <= 60 && name.first != UInt8(ascii: ".")
            && name.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }
}
