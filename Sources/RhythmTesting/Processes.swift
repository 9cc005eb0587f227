package import Glibc

/// What runs on this machine, read from /proc: for tests that have to know that something really ended.
package enum Processes {
    /// The folder of the running test bundle, where the package manager puts everything that it builds.
    package static let buildFolder: String = {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }
        return String(decoding: path.prefix(upTo: path.lastIndex(of: UInt8(ascii: "/")) ?? 0), as: UTF8.self)
    }()

    /// Processes that work in a folder or name something in it on their command line: servers, supervisors, tasks and
    /// whatever tasks have begun.
    package static func belonging(to folder: String) -> [pid_t] {
        numbers().filter { pid in
            pid != getpid() && isAlive(pid)
                && (workingDirectory(of: pid).hasPrefix(folder) || commandLine(of: pid).contains(folder))
        }
    }

    /// Processes whose working directory is below a folder: tasks and whatever they have begun.
    package static func working(in folder: String) -> [pid_t] {
        numbers().filter { $0 != getpid() && isAlive($0) && workingDirectory(of: $0).hasPrefix(folder) }
    }

    /// Whether there is such a process that has not ended; one that nobody has waited for yet counts as ended.
    package static func isAlive(_ pid: pid_t) -> Bool {
        guard let state = state("/proc/\(pid)/stat") else { return false }
        return state != "Z" && state != "X"
    }

    /// The processes that a process has begun itself and that have not ended.
    package static func children(of pid: pid_t) -> [pid_t] {
        (text("/proc/\(pid)/task/\(pid)/children") ?? "").split(separator: " ").compactMap { pid_t($0) }
            .filter { isAlive($0) }
    }

    /// Makes a process group keep still until it gets SIGCONT; returns once no thread of its leader runs any more, as the
    /// signal alone leaves them time to answer something.
    package static func suspend(group leader: pid_t) {
        kill(-leader, SIGSTOP)
        for _ in 0..<5000 {
            let threads = numbers(in: "/proc/\(leader)/task")
            if threads.allSatisfy({ ["T", "t", "Z", "X", nil].contains(state("/proc/\(leader)/task/\($0)/stat")) }) {
                return
            }
            usleep(1000)
        }
    }

    /// Sends SIGKILL to everything that belongs to a folder, again and again until nothing is left.
    package static func end(belongingTo folder: String) {
        for _ in 0..<500 {
            let left = belonging(to: folder)
            if left.isEmpty { return }
            for pid in left { kill(pid, SIGKILL) }
            usleep(10_000)
        }
    }

    /// The arguments of a process, separated by spaces; empty if there is no such process.
    package static func commandLine(of pid: pid_t) -> String {
        (text("/proc/\(pid)/cmdline") ?? "").split(separator: "\0").joined(separator: " ")
    }

    private static func workingDirectory(of pid: pid_t) -> String {
        guard let resolved = realpath("/proc/\(pid)/cwd", nil) else { return "" }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The letter for what a process or a thread does; nil if there is no such one.
    private static func state(_ path: String) -> Character? {
        guard let status = text(path), let end = status.lastIndex(of: ")") else { return nil }
        return status[status.index(after: end)...].first { $0 != " " }
    }

    private static func numbers(in folder: String = "/proc") -> [pid_t] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var found: [pid_t] = []
        while let entry = readdir(directory) {
            // SAFETY: the kernel ends the name with NUL, inside the entry, which lives until the next readdir.
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let pid = pid_t(name) { found.append(pid) }
        }
        return found
    }

    private static func text(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
