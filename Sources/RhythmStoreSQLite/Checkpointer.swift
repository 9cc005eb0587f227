import Dispatch
import GRDB
import GRDBSQLite
import Synchronization

/// Moves what was committed from the WAL into the database file, beside the commits instead of inside them.
///
/// SQLite's own way (`wal_autocheckpoint`) makes the commit that passes 1,000 pages pay for the copy and two fsyncs; with
/// group commits of a thousand workflows that is nearly every commit. So it is switched off, and a connection of our own
/// checkpoints in the background as soon as `backgroundPages` are in the WAL (8 MiB: a recovery reads that in a moment).
/// A background checkpoint never catches up with a writer that does not rest, and the WAL begins again from its start
/// only when it was copied whole: above `foregroundPages` (64 MiB) the writer checkpoints itself, which by then has only the
/// latest pages left to copy. A checkpoint that fails loses nothing, the WAL still holds everything; the next commit
/// tries again.
///
/// SAFETY: `@unchecked` for `queue` alone, a GRDB connection that is used only on `lane`.
final class Checkpointer: @unchecked Sendable {
    static let backgroundPages = 2_048
    static let foregroundPages = 16_384

    private let lane = DispatchQueue(label: "rhythm.store.checkpoint", qos: .utility)
    private let queue: DatabaseQueue
    private let isBusy = Atomic(false)

    init(path: String, configuration: Configuration) throws {
        queue = try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Called after a commit with the number of pages in the WAL, inside the write.
    func committed(pages: Int, _ db: Database) {
        if pages < Self.backgroundPages || isBusy.load(ordering: .acquiring) { return }
        if pages >= Self.foregroundPages {
            _ = try? db.checkpoint(.passive)
            return
        }
        isBusy.store(true, ordering: .releasing)
        lane.async { [self] in
            _ = try? queue.inDatabase { db in try db.checkpoint(.passive) }
            isBusy.store(false, ordering: .releasing)
        }
    }

    /// Waits for a checkpoint that is under way and closes the connection.
    func close() {
        lane.sync { try? queue.close() }
    }
}

/// How many pages the WAL held after the latest commit of a connection, as SQLite's commit hook tells.
///
/// SAFETY: `@unchecked` because the hook and its reader both run inside writes of that one connection.
final class WALGauge: @unchecked Sendable {
    private(set) var pages = 0

    /// Takes the place of SQLite's own automatic checkpoint, which is such a hook. The gauge must outlive the connection.
    func install(on db: Database) {
        // SAFETY: the pointer is not retained; the store keeps the gauge until its connections are closed.
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = sqlite3_wal_hook(
            db.sqliteConnection,
            { context, _, _, pages in
                if let context { Unmanaged<WALGauge>.fromOpaque(context).takeUnretainedValue().pages = Int(pages) }
                return SQLITE_OK
            }, context)
    }
}
