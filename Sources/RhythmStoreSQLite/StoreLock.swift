import Glibc
import RhythmEngine

/// Makes sure that one server uses a file: an exclusive `flock` on `PATH.lock` for as long as this lives.
///
/// The kernel lets go of it when the process ends, however it ends, and programs started by the server do not inherit
/// it for longer than it takes them to begin. On NFS `flock` is only as good as the mount (`local_lock`, or a server without locking, makes it hold on one
/// machine only), and SQLite's WAL does not work over a network at all: keep the file on a local disk.
///
/// The lock file stays when the store is closed: removing it would let two servers lock two files of one name.
final class StoreLock {
    /// How often, and after how many microseconds, a lock that somebody has is tried again. A server that was killed while
    /// it started a program has a copy of its descriptor in that program until the program has begun, so its successor
    /// may come too early.
    private static let retries = (count: 50, interval: UInt32(20_000))

    private let descriptor: Int32

    /// Locks, or says who has the lock.
    init(for path: String) throws(StoreError) {
        let lockPath = path + ".lock"
        descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw StoreError(opening: lockPath, errno: errno) }
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
        guard code == EWOULDBLOCK else { throw StoreError(opening: lockPath, errno: code) }
        let who = owner.map { "process \($0)" } ?? "another process"
        throw StoreError(
            .inUse, "\(path) is used by \(who), which holds \(lockPath); stop that server, or name another file")
    }

    deinit { close(descriptor) }

    /// - Returns: 0, or the error number.
    private static func lock(_ descriptor: Int32) -> Int32 {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno != EINTR { return errno }
        }
        return 0
    }

    /// For the message that a second server prints; if it cannot be written the lock holds all the same.
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
