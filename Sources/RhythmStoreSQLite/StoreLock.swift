import Glibc
import RhythmEngine

/// Makes sure that one server uses a file: a lock on `PATH.lock` for as long as this lives; see `FileLock`.
///
/// SQLite's WAL does not work over a network at all: keep the file on a local disk.
final class StoreLock {
    private let lock: FileLock

    /// Locks, or says who has the lock.
    init(for path: String) throws(StoreError) {
        let lockPath = path + ".lock"
        do throws(FileLock.Failure) {
            lock = try FileLock(lockPath, mode: 0o644)
        } catch {
            switch error {
            case .system(let code): throw StoreError(opening: lockPath, errno: code)
            case .held(let owner):
                let who = owner.map { "process \($0)" } ?? "another process"
                throw StoreError(
                    .inUse,
                    "\(path) is used by \(who), which holds \(lockPath); stop that server, or name another file")
            }
        }
    }
}
