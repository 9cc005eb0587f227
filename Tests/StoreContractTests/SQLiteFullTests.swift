import Foundation
import GRDB
import Glibc
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

@testable import RhythmStoreSQLite

/// What happens when there is no more room.
@Suite(.timeLimit(.minutes(5))) struct SQLiteFullTests {
    /// The database may not grow: commits fail, each leaves nothing, and all is well when there is room again.
    @Test func fullDatabaseStoresNothingOfABatch() throws {
        let fixture = try SQLiteFixture()
        let store = try fixture.openSQLite()
        var samples = WorkflowSamples(.unseeded())
        let kept = try committed(in: store)
        let pages = try store.pool.writeWithoutTransaction { db in
            let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = \(pages + 10)")
            return pages
        }
        for _ in 0..<20 {
            let batch = CommitBatch(changes: (0..<200).map { _ in samples.start() })
            let error = #expect(throws: StoreError.self) { try store.commit(batch) }
            #expect(error?.code == .full)
            #expect(error?.outcomeUnknown == false)
            #expect(try store.loadUnsettled().count <= 1)
            #expect(try store.load(kept.workflow.id) == kept.workflow)
        }
        try store.pool.writeWithoutTransaction { db in
            _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = \(pages * 100)")
        }
        try committed(in: store)
        #expect(try integrity(store) == ["ok"])
    }

    /// A file system without space, if this user may mount one.
    @Test func fullFileSystem() throws {
        let fixture = try SQLiteFixture()
        let mount = fixture.directory.appendingPathComponent("small").path
        mkdir(mount, 0o755)
        try Test.cancel(
            if: run("mount", "-t", "tmpfs", "-o", "size=2m", "none", mount) != 0, "mounting is not permitted here")
        defer { _ = run("umount", "-l", mount) }
        let store = try SQLiteStore(path: mount + "/rhythm.db")
        defer { store.close() }
        try fillUp(store)
    }

    /// The largest file that a process may write, which needs no privilege; in a process of its own.
    @Test func limitedFileSize() async throws {
        let fixture = try SQLiteFixture()
        await #expect(processExitsWith: .success) { [path = fixture.path as String] in
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 4 << 20)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            let store = try SQLiteStore(path: path)
            try fillUp(store)
            store.close()
        }
        let store = try fixture.openSQLite()
        #expect(try integrity(store) == ["ok"])
        #expect(try store.loadUnsettled().count > 10)
        try committed(in: store)
    }
}

/// Commits until there is no room, then sees that all that was acknowledged is there and nothing else, also for a store
/// that is opened anew.
private func fillUp(_ store: SQLiteStore) throws {
    var samples = WorkflowSamples(.unseeded())
    var stored: [Workflow] = []
    var failures = 0
    for _ in 0..<5_000 where failures < 10 {
        let pair = [samples.start(), samples.start()]
        do {
            try store.commit(CommitBatch(changes: pair))
            stored += pair.map(\.workflow)
        } catch {
            failures += 1
            #expect(error.code == .full, "\(error)")
            #expect(!error.outcomeUnknown)
        }
    }
    #expect(failures == 10)
    #expect(try Set(store.loadUnsettled()) == Set(stored))
    #expect(try integrity(store) == ["ok"])
}
