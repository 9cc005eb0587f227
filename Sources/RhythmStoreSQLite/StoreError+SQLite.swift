import GRDB
import GRDBSQLite
import Glibc
import RhythmEngine

extension StoreError {
    /// A file that could not be opened, by the system's error number.
    init(opening path: String, errno code: Int32) {
        let why = String(cString: strerror(code))
        switch code {
        case EACCES, EPERM:
            self.init(.permission, "\(path): \(why); let the server's user read and write the file and its directory")
        case EROFS:
            self.init(.readOnly, "\(path): \(why); the server needs a file system that it can write to")
        case _ where Self.isFull(code):
            self.init(.full, "\(path): \(why); free some space")
        case ENOENT, ENOTDIR:
            self.init(.unavailable, "\(path): \(why); create the directory, or name another file")
        default:
            self.init(.unavailable, "\(path): \(why)")
        }
    }

    /// The disk, the quota, or what a file may hold is full.
    static func isFull(_ errno: Int32) -> Bool { errno == ENOSPC || errno == EDQUOT || errno == EFBIG }

    /// What SQLite said about the file at `path`. `errno` is the system's error number behind it, 0 if unknown;
    /// `committing` tells that it was said by COMMIT.
    init(_ error: DatabaseError, path: String, errno code: Int32 = 0, committing: Bool = false) {
        let said = "\(error.message ?? "no message") (SQLite code \(error.extendedResultCode.rawValue))"
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(.full, "\(path): no space left; free some, then repeat the request: \(said)")
        case .SQLITE_READONLY:
            self.init(.readOnly, "\(path) cannot be written; check its permissions and its file system: \(said)")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT:
            self.init(.corrupt, "\(path) is damaged or no database; restore it from a backup: \(said)")
        case .SQLITE_PERM, .SQLITE_AUTH:
            self.init(.permission, "\(path) may not be used; check its permissions: \(said)")
        case .SQLITE_CANTOPEN:
            self.init(
                .permission, "\(path) cannot be opened; check the permissions of it and its directory: \(said)")
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(.unavailable, "\(path) is locked by another program; end it, then repeat the request: \(said)")
        case .SQLITE_CONSTRAINT:
            self.init(.conflict, "\(path): what was to be stored contradicts what is stored: \(said)")
        case .SQLITE_IOERR where Self.isFull(code):
            self.init(.full, "\(path): \(String(cString: strerror(code))); free some space: \(said)")
        case .SQLITE_IOERR:
            // A COMMIT whose sync failed may have left a whole transaction in the WAL: it counts if the process ends
            // before the next commit overwrites it. One whose write failed has no end in the WAL and never counts.
            let outcomeUnknown = committing && error.extendedResultCode != .SQLITE_IOERR_WRITE
            self.init(
                .unavailable, "\(path): the disk reports an error; look at the system's log: \(said)",
                outcomeUnknown: outcomeUnknown)
        default:
            self.init(.unavailable, "\(path): \(said)")
        }
    }
}

/// Runs `body` and turns whatever it throws into a ``StoreError`` about the file at `path`.
func translating<Value>(_ path: String, _ body: () throws -> Value) throws(StoreError) -> Value {
    do {
        return try body()
    } catch let error as StoreError {
        throw error
    } catch let error as DatabaseError {
        throw StoreError(error, path: path)
    } catch {
        throw StoreError(.unavailable, "\(path): \(error)")
    }
}
