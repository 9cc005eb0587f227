import Glibc

/// An exclusive `flock` on a file, for as long as this lives: the proof that one process uses what the file stands for.
///
/// The kernel lets go of it when the process ends, however it ends, and programs started by the process do not inherit
/// it for longer than it takes them to begin. On NFS `flock` is only as good as the mount (`local_lock`, or a server
/// without locking, makes it hold on one machine only).
///
/// The file stays when this ends: removing it would let two processes lock two files of one name.
package final class FileLock: Sendable {
    /// Why there is no lock.
    package enum Failure: Error, Sendable, Hashable {
        /// Another process has it, and if it could be read, which.
        case held(by: Int32?)
        /// The file cannot be opened or locked: what the system said.
        case system(Int32)
    }

    /// How often, and after how many microseconds, a lock that somebody has is tried again. A process that was killed
    /// while it started a program has a copy of its descriptor in that program until the program has begun, so its
    /// successor may come too early.
    private static let retries = (count: 50, interval: UInt32(20_000))

    private let descriptor: Int32

    /// Locks a file, which is made if it is not there, or says who has it.
    ///
    /// - Parameter flags: more for opening it, such as `O_NOFOLLOW`.
    package init(_ path: String, mode: UInt32, flags: Int32 = 0) throws(Failure) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, mode)
        guard descriptor >= 0 else { throw .system(errno) }
        var code = Self.lock(descriptor)
        for _ in 0..<Self.retries.count where code == EWOULDBLOCK {
            usleep(Self.retries.interval)
            code = Self.lock(descriptor)
        }
        guard code != 0 else {
            writePID()
            return
        }
        let owner = Self.readPID(descriptor)
        close(descriptor)
        throw code == EWOULDBLOCK ? .held(by: owner) : .system(code)
    }

    deinit { close(descriptor) }

    /// What tells this very file from every other one on this machine while it runs, copies of it among them; nil if the
    /// system does not say. It changes with a restart of the machine.
    package var identity: String? {
        var status = stat()
        guard fstat(descriptor, &status) == 0, let boot = Self.bootID else { return nil }
        return "\(boot)/\(status.st_dev)/\(status.st_ino)"
    }

    private static let bootID: String? = {
        let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return String(decoding: bytes[..<count].prefix { $0 != 0x0A }, as: UTF8.self)
    }()

    /// - Returns: 0, or the error number.
    private static func lock(_ descriptor: Int32) -> Int32 {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno != EINTR { return errno }
        }
        return 0
    }

    /// For the message that a second process prints; if it cannot be written the lock holds all the same.
    private func writePID() {
        guard ftruncate(descriptor, 0) == 0 else { return }
        var text = "\(getpid())\n"
        text.withUTF8 { bytes in _ = pwrite(descriptor, bytes.baseAddress, bytes.count, 0) }
    }

    private static func readPID(_ descriptor: Int32) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: bytes[..<count].prefix { $0 != 0x0A }, as: UTF8.self))
    }
}
