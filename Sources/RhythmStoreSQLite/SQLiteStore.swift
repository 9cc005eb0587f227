import GRDB
import GRDBSQLite
import Glibc
public import RhythmCore
public import RhythmEngine

/// Keeps workflows in one SQLite file, for one server: the store of a server on one machine.
///
/// Durable in the strict sense: WAL with `synchronous=FULL`, so every commit is one write and one fsync of the WAL, and
/// what was acknowledged survives `kill -9` and power loss. Reads run beside the writer, each on a snapshot.
/// Checkpoints run in the background (``Checkpointer``).
///
/// All functions but ``reader``'s are called on one thread at a time; they block, so never on a thread of the
/// cooperative pool.
public final class SQLiteStore: Store {
    /// The most events a workflow keeps, unless asked otherwise. A reader that asks for older ones gets the oldest that
    /// is left, sees by its version that some are missing, and starts again from the record.
    public static let eventsKeptByDefault = 10_000

    /// The file.
    public let path: String
    /// Names what is stored; made up with the file.
    public let storeID: String

    // In this order, which is that of their release: statements before the connection that made them, the lock last.
    private var statements: CommitStatements?
    private var checkpointer: Checkpointer?
    /// For this module's tests beside the store itself.
    let pool: DatabasePool
    private let gauge = WALGauge()
    private let sqliteReader: SQLiteReader
    private var lock: StoreLock?

    /// Opens the file at `path`, or makes it, and brings its tables up to date.
    ///
    /// - Parameters:
    ///   - path: On a local disk; its directory must exist. Beside it stand `PATH-wal`, `PATH-shm` and `PATH.lock`.
    ///   - readers: How many reads may run at a time; others wait.
    ///   - eventsKept: How many events a workflow keeps; the oldest go first.
    ///   - busyTimeout: How many seconds to wait for another program (a backup, a `sqlite3` shell) that holds a lock.
    /// - Throws: ``StoreError``: `inUse` if another server has it, `tooNew` if a newer version wrote it, `corrupt` if it
    ///   is no database or not ours, `readOnly`, `permission`, `full` or `unavailable` for what the system refuses.
    public convenience init(
        path: String, readers: Int = 4, eventsKept: Int = SQLiteStore.eventsKeptByDefault, busyTimeout: Double = 5
    ) throws(StoreError) {
        try self.init(
            path: path, readers: readers, eventsKept: eventsKept, busyTimeout: busyTimeout, fewMatches: 2_000)
    }

    /// Tests lower `fewMatches` (see ``SQLiteReader``), so that few workflows suffice to take every way of a list.
    init(
        path: String, readers: Int, eventsKept: Int, busyTimeout: Double, fewMatches: Int
    ) throws(StoreError) {
        precondition(readers > 0 && eventsKept > 0, "\(readers) readers, \(eventsKept) events")
        let path = try Self.resolve(path)
        self.path = path
        let lock = try StoreLock(for: path)
        let configuration = Self.configuration(path: path, readers: readers, busyTimeout: busyTimeout)
        let gauge = gauge
        (pool, statements, checkpointer, storeID) = try translating(path) {
            let pool = try DatabasePool(path: path, configuration: configuration)
            try Schema.migrator.migrate(pool)
            let statements = try pool.writeWithoutTransaction { db in
                // Only now: opening a pool sets NORMAL, with which the last commits are lost with the power.
                try db.execute(sql: "PRAGMA synchronous = FULL")
                gauge.install(on: db)
                return try CommitStatements(db, eventsKept: eventsKept)
            }
            // By the writer: a reader that is open is the last to close, and cannot bring the log into the file.
            let storeID = try pool.writeWithoutTransaction { try Schema.identity($0) }
            return (pool, statements, try Checkpointer(path: path, configuration: configuration), storeID)
        }
        sqliteReader = SQLiteReader(pool: pool, path: path, fewMatches: fewMatches)
        self.lock = lock
    }

    deinit { shutDown() }

    /// Closes the file and lets another server have it. Reads that are under way end first; all later calls throw
    /// `unavailable`. Closing twice changes nothing.
    public func close() { shutDown() }

    private func shutDown() {
        checkpointer?.close()
        checkpointer = nil
        // They hold the connection open, which then would not be closed but abandoned.
        statements = nil
        sqliteReader.close()
        try? pool.close()
        lock = nil
    }

    /// Reads for everybody else, on connections of their own.
    public var reader: any StoreReader { sqliteReader }

    public func loadUnsettled() throws(StoreError) -> [Workflow] { try sqliteReader.loadUnsettled() }

    public func load(_ id: WorkflowID) throws(StoreError) -> Workflow? { try sqliteReader.load(id) }

    public func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        try sqliteReader.workflow(forRequest: requestID)
    }

    @discardableResult
    public func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID] {
        guard let statements else { throw StoreError(.unavailable, "\(path) was closed") }
        if batch.isEmpty { return [] }
        try translating(path) {
            try pool.writeWithoutTransaction { db in
                do {
                    try write(batch, with: statements, in: db)
                } catch {
                    statements.transactionFailed()
                    throw error
                }
                checkpointer?.committed(pages: gauge.pages, db)
            }
        }
        // One server has the file to itself.
        return []
    }

    private func write(_ batch: CommitBatch, with statements: CommitStatements, in db: Database) throws {
        var committing = false
        do {
            try db.beginTransaction(.immediate)
            try statements.store(batch, in: db)
            committing = true
            try db.commit()
        } catch {
            // SQLite keeps the number for most failed statements, but not for a failed COMMIT.
            let code = [errno, sqlite3_system_errno(db.sqliteConnection)].first { StoreError.isFull($0) } ?? 0
            // SQLite has rolled back by itself after some errors; GRDB knows, and then does nothing.
            try? db.rollback()
            guard let error = error as? DatabaseError else { throw error }
            throw StoreError(error, path: path, errno: code, committing: committing)
        }
    }
}

extension SQLiteStore {
    private static func configuration(path: String, readers: Int, busyTimeout: Double) -> Configuration {
        var configuration = Configuration()
        configuration.label = "rhythm.store"
        configuration.maximumReaderCount = readers
        configuration.busyMode = .timeout(busyTimeout)
        configuration.persistentReadOnlyConnections = true
        configuration.prepareDatabase { db in
            try Schema.check(db, path: path)
            // 64 MiB for the writer: the inner pages of every index and the rows of some ten thousand workflows.
            try db.execute(
                sql: """
                    PRAGMA cache_size = \(db.configuration.readonly ? -8_192 : -65_536);
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cell_size_check = ON;
                    """)
        }
        return configuration
    }

    /// The one name of the file, through all symbolic links, so that two servers never lock two names of it; and the
    /// plain mistakes, which SQLite would all call "unable to open database file".
    private static func resolve(_ path: String) throws(StoreError) -> String {
        guard !path.isEmpty else { throw StoreError(.unavailable, "the store has no path; name a file") }
        if let resolved = realPath(path) {
            var status = stat()
            guard stat(resolved, &status) == 0 else { throw StoreError(opening: path, errno: errno) }
            switch status.st_mode & S_IFMT {
            case S_IFREG: break
            case S_IFDIR: throw StoreError(.unavailable, "\(path) is a directory; name a file in it")
            default: throw StoreError(.unavailable, "\(path) is no regular file; name another one")
            }
            guard access(resolved, R_OK | W_OK) == 0 else {
                let code = errno
                if code == EROFS { throw StoreError(opening: path, errno: code) }
                let readable = access(resolved, R_OK) == 0
                throw StoreError(
                    readable ? .readOnly : .permission,
                    "\(path): \(String(cString: strerror(code))); let the server's user read and write it")
            }
            return resolved
        }
        guard errno == ENOENT else { throw StoreError(opening: path, errno: errno) }
        let slash = path.lastIndex(of: "/")
        let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard !name.isEmpty else { throw StoreError(.unavailable, "\(path) names a directory; name a file in it") }
        guard let resolved = realPath(directory) else { throw StoreError(opening: path, errno: errno) }
        return resolved == "/" ? "/" + name : resolved + "/" + name
    }

    private static func realPath(_ path: String) -> String? {
        guard let buffer = realpath(path, nil) else { return nil }
        defer { free(buffer) }
        return String(cString: buffer)
    }
}
