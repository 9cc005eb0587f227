import Dispatch
import GRDB
import GRDBSQLite
import Synchronization

/// Moves what was committed from the WAL into the database file, beside the commits instead of inside them.
///
/// SQLite's own way (`wal_autocheckpoint`) makes the commit that passes 1,000 pages pay for the copy and two fsyncs; with
/// group commits of a thousand workflows that is nearly every commit. So it is switched off, and a connection of our own
/// checkpoints in the background, once for every `pagesBetween` that were added to the WAL (8 MiB: a recovery reads that
/// in a moment, and pages that change all the time are copied once for many changes).
///
/// A background checkpoint never quite catches up with a writer that does not rest, and the WAL begins again from its
/// start, where it overwrites blocks that the disk has already (which makes an fsync half as long), only when it was
/// copied whole. So after each one the writer copies the little that came in meanwhile. A reader on an old snapshot
/// keeps the WAL from that, and a checkpoint that fails loses nothing: the WAL still holds everything; the next
/// `pagesBetween` try again.
///
/// SAFETY: `@unchecked` for `queue`, a GRDB connection that is used only on `lane`, and `begunAt`, which is used only
/// inside writes of the store's one writing connection.
final class Checkpointer: @unchecked Sendable {
    static let pagesBetween = 2_048

    private enum Phase: UInt8, AtomicRepresentable {
        case idle, running, finished
    }

    private let lane = DispatchQueue(label: "rhythm.store.checkpoint", qos: .utility)
    private let queue: DatabaseQueue
    private let phase = Atomic(Phase.idle)
    /// How many pages the WAL held when the latest checkpoint began.
    private var begunAt = 0

    init(path: String, configuration: Configuration) throws {
        queue = try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Called after a commit with the number of pages in the WAL, inside the write.
    func committed(pages: Int, _ db: Database) {
        switch phase.load(ordering: .acquiring) {
        case .running: break
        case .finished:
            phase.store(.idle, ordering: .releasing)
            _ = try? db.checkpoint(.passive)
            begunAt = pages
        case .idle:
            // Fewer than before: it began again from its start.
            if pages < begunAt { begunAt = 0 }
            guard pages - begunAt >= Self.pagesBetween else { break }
            begunAt = pages
            phase.store(.running, ordering: .releasing)
            lane.async { [self] in
                _ = try? queue.inDatabase { db in try db.checkpoint(.passive) }
                phase.store(.finished, ordering: .releasing)
            }
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
