import Glibc
import RhythmCore

/// The directory whose executable files are the tasks. A client names a task; it never brings a command.
struct TaskDirectory: Sendable {
    let path: String

    /// The file to run for a task's name: inside the directory, symbolic links followed, regular and executable.
    func resolve(_ name: String) throws(Failure) -> String {
        guard Self.isPlain(name) else {
            throw Self.failure("TaskNotAllowed", "\(Self.shown(name)) is not the plain name of a file")
        }
        guard let root = Self.realPath(path) else {
            throw Self.failure("TaskNotFound", "the tasks directory cannot be read: \(Self.systemError)")
        }
        guard let file = Self.realPath(root + "/" + name) else {
            let type = errno == ENOENT ? "TaskNotFound" : "TaskNotExecutable"
            throw Self.failure(type, "there is no task \(Self.shown(name)): \(Self.systemError)")
        }
        guard file.utf8.starts(with: (root == "/" ? root : root + "/").utf8) else {
            throw Self.failure("TaskNotAllowed", "\(Self.shown(name)) is a link out of the tasks directory")
        }
        var info = stat()
        guard stat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw Self.failure("TaskNotExecutable", "\(Self.shown(name)) is not a regular file")
        }
        guard access(file, X_OK) == 0 else {
            throw Self.failure("TaskNotExecutable", "\(Self.shown(name)) is not executable: \(Self.systemError)")
        }
        return file
    }

    /// One component of a path, and neither hidden nor a way up.
    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 255 && name.utf8.first != UInt8(ascii: ".")
            && !name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0)
    }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static var systemError: String { String(cString: strerror(errno)) }

    /// The name as a message can hold it.
    private static func shown(_ name: String) -> String { JSON.string(String(name.prefix(100))).text }

    private static func failure(_ type: String, _ message: String) -> Failure {
        Failure(type: type, message: message, isRetriable: false)
    }
}
