import CRhythmShims
import Glibc
import RhythmCore

/// Ends what is left of attempts whose supervisor is dead: nobody else keeps their processes together any more.
///
/// A process belongs to an attempt if its environment says so (`RHYTHM_TASK_ID`, inherited through every fork), or if
/// it is in the group of a leader that is still the very process that the supervisor started. A group whose leader is
/// gone is not enough: its number may have been given to strangers.
enum Leftovers {
    /// Sends SIGKILL to everything that is left of the attempts; says of which of them there was anything.
    static func end(_ attempts: [TaskID: TaskLeader?]) -> Set<TaskID> {
        let boot = TaskLeader.currentBootID
        let wanted = attempts.filter { $0.value.map { $0.bootID == boot } ?? true }
        guard !wanted.isEmpty else { return [] }
        var owners: [[UInt8]: TaskID] = [:]
        for id in wanted.keys { owners[Array("RHYTHM_TASK_ID=\(id.rawValue)".utf8)] = id }
        var groups: [pid_t: TaskID] = [:]
        for (id, leader) in wanted {
            if let leader, ProcessStat(leader.pid)?.startTime == leader.startTime { groups[leader.pid] = id }
        }
        var found: Set<TaskID> = []
        for name in Files.names(in: "/proc") {
            guard let pid = pid_t(name), pid != getpid(), let process = ProcessStat(pid), !process.isDead,
                let owner = groups[process.group] ?? self.owner(of: pid, among: owners)
            else { continue }
            found.insert(owner)
            kill(pid, ifStartedAt: process.startTime)
        }
        return found
    }

    private static func owner(of pid: pid_t, among owners: [[UInt8]: TaskID]) -> TaskID? {
        // No longer one than the kernel lets a process have; most are a few kilobytes.
        guard let environment = readAll("/proc/\(pid)/environ") else { return nil }
        for variable in environment.split(separator: 0) where variable.starts(with: "RHYTHM_TASK_ID=".utf8) {
            return owners[Array(variable)]
        }
        return nil
    }

    /// Files under /proc say nothing of their size: reads until the end.
    private static func readAll(_ path: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < 4 << 20 {
            guard let piece = Files.read(path, from: Int64(bytes.count), limit: 64 << 10) else { return nil }
            if piece.isEmpty { break }
            bytes += piece
        }
        return bytes
    }

    /// Holds the process by a descriptor first, so that the signal cannot reach another one of the same number.
    private static func kill(_ pid: pid_t, ifStartedAt start: UInt64) {
        let descriptor = rhythm_pidfd_open(pid)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        if ProcessStat(pid)?.startTime == start { _ = rhythm_pidfd_send_signal(descriptor, SIGKILL) }
    }
}

/// The few fields of /proc/PID/stat that tell processes apart.
struct ProcessStat {
    let group: pid_t
    let startTime: UInt64
    /// It has ended and waits for its parent to notice.
    let isDead: Bool

    /// Reads them; nil if there is no such process.
    init?(_ pid: pid_t) {
        // The name stands in parentheses and may hold anything; what counts comes behind the last one.
        guard let text = Files.readText("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let group = pid_t(fields[2]), let start = UInt64(fields[19]) else { return nil }
        self.group = group
        startTime = start
        isDead = fields[0] == "Z" || fields[0] == "X"
    }
}
