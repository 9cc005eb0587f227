import Glibc
import RhythmCore

/// The first process of a task, named so that no later process can be taken for it.
struct TaskLeader: Equatable {
    /// Its number, which is that of its group and its session too.
    let pid: pid_t
    /// Field 22 of /proc/PID/stat.
    let startTime: UInt64
    /// The boot of the machine that both belong to.
    let bootID: String
    /// When it was begun, by the same clock as its end; nil from a supervisor that did not say it yet.
    let startedAt: Timestamp?

    /// Reads the supervisor's file `started`; nil if the task was never begun.
    init?(parsing text: String) {
        var fields: [Substring: Substring] = [:]
        for part in text.split(whereSeparator: \.isWhitespace) {
            let pair = part.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { fields[pair[0]] = pair[1] }
        }
        guard let pid = fields["pgid"].flatMap({ pid_t($0) }), let start = fields["starttime"].flatMap({ UInt64($0) })
        else { return nil }
        self.pid = pid
        startTime = start
        bootID = String(fields["boot_id"] ?? "")
        startedAt = fields["started_us"].flatMap { Int64($0) }.map(Timestamp.init(microseconds:))
    }

    /// The boot that is running now.
    static var currentBootID: String {
        (Files.readText("/proc/sys/kernel/random/boot_id") ?? "").filter { !$0.isWhitespace }
    }
}
