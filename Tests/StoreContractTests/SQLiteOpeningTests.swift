import Dispatch
import Foundation
import GRDB
import Glibc
import RhythmCore
import RhythmEngine
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmStoreSQLite

/// What the store sets up, and what it refuses to open, with words that say why.
@Suite(.timeLimit(.minutes(2))) struct SQLiteOpeningTests {
    let fixture: SQLiteFixture

    init() throws { fixture = try SQLiteFixture() }

    @Test func setsWhatDurabilityNeeds() throws {
        let store = try fixture.openSQLite()
        func setting(_ name: String) throws -> String? {
            try store.pool.writeWithoutTransaction { try String.fetchOne($0, sql: "PRAGMA \(name)") }
        }
        #expect(try setting("journal_mode") == "wal")
        #expect(try setting("synchronous") == "2", "FULL")
        #expect(try setting("foreign_keys") == "1")
        #expect(try setting("busy_timeout") == "5000")
        #expect(try setting("application_id") == "\(Schema.applicationID)")
        #expect(try setting("user_version") == "\(Schema.version)")
    }

    /// More of them than there are connections, so that some wait for one when the store closes.
    @Test func readsThatMeetTheCloseAreRefused() throws {
        for _ in 0..<40 {
            let store = try fixture.openSQLite()
            let reader = store.reader
            let (begun, ended) = (DispatchSemaphore(value: 0), DispatchGroup())
            let errors = Mutex<[StoreError]>([])
            for _ in 0..<12 {
                ended.enter()
                Thread.detachNewThread {
                    defer { ended.leave() }
                    do throws(StoreError) {
                        _ = try reader.load("nobody")
                        begun.signal()
                        while true { _ = try reader.load("nobody") }
                    } catch {
                        errors.withLock { $0.append(error) }
                    }
                }
            }
            for _ in 0..<12 { begun.wait() }
            try fixture.close()
            #expect(ended.wait(timeout: .now() + 30) == .success)
            #expect(errors.withLock { $0.map(\.code) } == Array(repeating: .unavailable, count: 12))
        }
    }

    @Test func migratesFromNothingOnce() throws {
        var store = try fixture.openSQLite()
        let change = try committed(in: store)
        let schema = try dump(store)
        #expect(schema.contains { $0.hasPrefix("CREATE TABLE workflows") })
        for _ in 0..<2 {
            try fixture.close()
            store = try fixture.openSQLite()
            #expect(try dump(store) == schema)
            #expect(try store.load(change.workflow.id) == change.workflow)
        }
    }

    @Test func refusesSecondServer() throws {
        let store = try fixture.openSQLite()
        let error = opened(fixture.path)
        #expect(error?.code == .inUse)
        #expect(error?.message.contains(fixture.path) == true)
        #expect(error?.message.contains("process \(getpid())") == true)

        let link = fixture.directory.appendingPathComponent("link.db").path
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: fixture.path)
        #expect(opened(link)?.code == .inUse, "through another name of the file")
        _ = try committed(in: store)

        store.close()
        store.close()
        #expect(opened(fixture.path) == nil)
    }

    @Test func refusesSecondServerInAnotherProcess() async throws {
        let store = try fixture.openSQLite()
        let path = fixture.path
        await #expect(processExitsWith: .exitCode(42)) { [path = path as String, parent = getpid() as Int32] in
            do {
                _ = try SQLiteStore(path: path)
            } catch let error as StoreError {
                exit(error.code == .inUse && error.message.contains("process \(parent)") ? 42 : 1)
            }
        }
        store.close()
        await #expect(processExitsWith: .exitCode(43)) { [path = path as String] in
            let store = try SQLiteStore(path: path)
            exit(store.path.isEmpty ? 1 : 43)
        }
        // The child ended without closing: nothing of its lock is left.
        #expect(opened(path) == nil)
    }

    @Test func closedStoreSaysSo() throws {
        let store = try fixture.openSQLite()
        let reader = store.reader
        store.close()
        let batch = CommitBatch(changes: [], deletions: ["x"])
        #expect(#expect(throws: StoreError.self) { try store.commit(batch) }?.code == .unavailable)
        #expect(#expect(throws: StoreError.self) { try store.load("x") }?.code == .unavailable)
        #expect(#expect(throws: StoreError.self) { try reader.list(ListQuery()) }?.code == .unavailable)
    }

    @Test func refusesNewerSchema() throws {
        try openedAndClosed()
        try DatabaseQueue(path: fixture.path).write { try $0.execute(sql: "PRAGMA user_version = 7") }
        let before = try Data(contentsOf: URL(fileURLWithPath: fixture.path))
        let error = opened(fixture.path)
        #expect(error?.code == .tooNew)
        #expect(error?.message.contains("version 7") == true && error?.message.contains("up to 3") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.path)) == before, "the file is left as it is")
    }

    @Test func refusesOtherPrograms() throws {
        try DatabaseQueue(path: fixture.path).write { try $0.execute(sql: "CREATE TABLE t (x)") }
        let error = opened(fixture.path)
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("another program") == true)
    }

    @Test func refusesWhatIsNoFile() throws {
        let directory = fixture.directory.path
        #expect(opened(directory)?.code == .unavailable)
        #expect(opened(directory)?.message.contains("is a directory") == true)
        #expect(opened(directory + "/missing/rhythm.db")?.code == .unavailable)
        #expect(opened(directory + "/missing/rhythm.db")?.message.contains("create the directory") == true)
        #expect(opened("/dev/null")?.message.contains("no regular file") == true)
        #expect(opened("")?.code == .unavailable)
        #expect(opened(directory + "/x/")?.code == .unavailable)
    }

    @Test func opensRelativePaths() throws {
        let name = "rhythm-\(UUID()).db"
        defer { for suffix in ["", "-wal", "-shm", ".lock"] { unlink(name + suffix) } }
        let store = try SQLiteStore(path: name)
        defer { store.close() }
        #expect(store.path == FileManager.default.currentDirectoryPath + "/" + name)
    }

    @Test func saysThatPermissionIsMissing() throws {
        try Test.cancel(if: geteuid() == 0, "root may read every file")
        try openedAndClosed()
        chmod(fixture.path, 0)
        #expect(opened(fixture.path)?.code == .permission)
        chmod(fixture.path, 0o444)
        #expect(opened(fixture.path)?.code == .readOnly)
        chmod(fixture.path, 0o644)
        chmod(fixture.directory.path, 0o555)
        defer { chmod(fixture.directory.path, 0o755) }
        #expect(opened(fixture.path)?.code == .permission)
    }

    /// A file that nobody may write, not even root: it is immutable.
    @Test func saysThatTheFileIsReadOnly() throws {
        try openedAndClosed()
        let path = fixture.path
        try Test.cancel(if: run("chattr", "+i", path) != 0, "this file system or user knows no immutable files")
        defer { _ = run("chattr", "-i", path) }
        let error = opened(path)
        #expect(error?.code == .readOnly)
        #expect(error?.message.contains(path) == true)
    }

    /// The same file system, mounted so that nothing can be written.
    @Test func saysThatTheFileSystemIsReadOnly() throws {
        try openedAndClosed()
        let mount = fixture.directory.appendingPathComponent("mount").path
        mkdir(mount, 0o755)
        try Test.cancel(
            if: run("mount", "-t", "tmpfs", "-o", "ro", "none", mount) != 0, "mounting is not permitted here")
        defer { _ = run("umount", mount) }
        #expect(opened(mount + "/rhythm.db")?.code == .readOnly)
    }

    private func openedAndClosed() throws {
        _ = try committed(in: try fixture.openSQLite())
        try fixture.close()
    }

    /// Why a store cannot be opened; nil if it can.
    private func opened(_ path: String) -> StoreError? {
        do {
            try SQLiteStore(path: path).close()
            return nil
        } catch {
            return error
        }
    }

    private func dump(_ store: SQLiteStore) throws -> [String] {
        try store.pool.read { try String.fetchAll($0, sql: "SELECT sql FROM sqlite_schema WHERE sql > '' ORDER BY 1") }
    }
}

/// A workflow with a short history, stored.
@discardableResult
func committed(in store: SQLiteStore, length: Int = 6) throws -> WorkflowChange {
    var samples = WorkflowSamples(.unseeded())
    let history = samples.history(length: length)
    for change in history { try store.commit(CommitBatch(changes: [change])) }
    return history[history.count - 1]
}

/// What SQLite finds wrong in the file; `["ok"]` if nothing is.
func integrity(_ store: SQLiteStore) throws -> [String] {
    try store.pool.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") }
}

/// Runs a command that may be missing; its exit code.
func run(_ command: String...) -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return -1 }
    process.waitUntilExit()
    return process.terminationStatus
}

extension Test {
    /// Skips the rest of a test that this machine cannot run.
    static func cancel(if condition: Bool, _ reason: Comment) throws {
        if condition { try Test.cancel(reason) }
    }
}
