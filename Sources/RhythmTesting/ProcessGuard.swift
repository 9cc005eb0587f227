import Glibc
import Synchronization

/// Sees to it that nothing a test process has begun outlives it, even if it is killed: a shell that waits at a pipe for
/// this process to end, then kills the process groups that are still named in its folder, and removes the folder.
///
/// One for the whole process; it ends with it. Any thread.
package final class ProcessGuard: Sendable {
    package static let shared: Result<ProcessGuard, any Error> = Result { try ProcessGuard() }

    /// Goes away with this process, and everything in it.
    package let folder: String
    private let groups = Mutex<Set<pid_t>>([])
    private let folders = Atomic(0)

    private static let script = """
        read -r nothing <"$1/alive"
        while read -r group; do kill -KILL "-$group" 2>/dev/null; done <"$1/groups"
        sleep 0.2
        rm -rf "$1"
        """

    private init() throws {
        var template = Array("/tmp/rhythm-guard.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Processes.CannotStart(description: "mkdtemp: errno \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try save([])
        guard mkfifo(folder + "/alive", 0o600) == 0 else {
            throw Processes.CannotStart(description: "mkfifo: errno \(errno)")
        }
        _ = try Processes.Child(
            "/bin/sh", ["-c", Self.script, "rhythm-guard", folder], environment: ["PATH": "/usr/bin:/bin"],
            output: "/dev/null")
        // Returns once the shell waits at the other end. Never closed: that is the sign of life.
        guard open(folder + "/alive", O_WRONLY | O_CLOEXEC) >= 0 else {
            throw Processes.CannotStart(description: "open: errno \(errno)")
        }
    }

    /// A new folder inside ``folder``.
    package func makeFolder(_ name: String) throws -> String {
        let path = "\(folder)/\(name)-\(folders.wrappingAdd(1, ordering: .relaxed).newValue)"
        guard mkdir(path, 0o700) == 0 else { throw Processes.CannotStart(description: "mkdir: errno \(errno)") }
        return path
    }

    /// The process group is to be killed when this process ends.
    package func watch(_ child: Processes.Child) throws {
        try groups.withLock { groups in
            groups.insert(child.pid)
            try save(groups)
        }
    }

    /// The process group has ended; its number may soon be somebody else's.
    package func forget(_ child: Processes.Child) {
        groups.withLock { groups in
            groups.remove(child.pid)
            try? save(groups)
        }
    }

    private func save(_ groups: Set<pid_t>) throws {
        let text = groups.map { "\($0)\n" }.joined()
        try Self.write(text, to: folder + "/groups.new")
        guard rename(folder + "/groups.new", folder + "/groups") == 0 else {
            throw Processes.CannotStart(description: "rename: errno \(errno)")
        }
    }

    /// Writes a small file anew.
    package static func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Processes.CannotStart(description: "\(path): errno \(errno)") }
        defer { close(file) }
        let count = text.withCString { Glibc.write(file, $0, strlen($0)) }
        guard count == text.utf8.count else { throw Processes.CannotStart(description: "\(path): errno \(errno)") }
    }

    /// A file's text; empty if there is none.
    package static func read(_ path: String) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = Glibc.read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
