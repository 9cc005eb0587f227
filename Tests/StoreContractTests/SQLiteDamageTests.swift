import Foundation
import GRDB
import Glibc
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

@testable import RhythmStoreSQLite

/// Files that were damaged, and processes that died.
@Suite(.timeLimit(.minutes(5))) struct SQLiteDamageTests {
    let fixture: SQLiteFixture

    init() throws { fixture = try SQLiteFixture() }

    @Test func overwrittenHeaderIsCorrupt() throws {
        try committed(in: try fixture.openSQLite())
        try fixture.close()
        try overwrite(at: 0, with: Data(repeating: 0x2A, count: 64))
        let error = #expect(throws: StoreError.self) { try self.fixture.openSQLite() }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains(fixture.path) == true && error?.message.contains("backup") == true)
    }

    /// Every third page is overwritten in turn. A read gives what was stored or says "corrupt".
    @Test func overwrittenPageIsCorrupt() throws {
        var samples = WorkflowSamples(.unseeded())
        let changes = (0..<120).map { _ in samples.start() }
        let store = try fixture.openSQLite()
        try store.commit(CommitBatch(changes: changes))
        try fixture.close()
        let size = try Data(contentsOf: URL(fileURLWithPath: fixture.path)).count
        try fixture.copyFiles(to: "whole.db")
        var corrupt = 0
        for page in stride(from: 1, to: size / 4096, by: 3) {
            try fixture.useFiles(of: "whole.db")
            try overwrite(at: page * 4096, with: Data((0..<4096).map { _ in UInt8.random(in: 0...255) }))
            do {
                let store = try fixture.openSQLite()
                defer { store.close() }
                for change in changes {
                    let loaded = try store.load(change.workflow.id)
                    // A lost index entry hides a workflow; it never shows another one.
                    #expect(loaded == nil || loaded == change.workflow)
                }
            } catch let error as StoreError {
                #expect(error.code == .corrupt, "page \(page): \(error)")
                corrupt += 1
            }
        }
        #expect(corrupt > size / 4096 / 12)
    }

    /// What a newer version or another hand has written is named by table, row and column.
    @Test(arguments: [
        ("UPDATE attempts SET status = 'DOZING'", "attempts", "status"),
        ("UPDATE attempts SET revocation_reason = 'boredom', revocation_at = 1", "attempts", "revocation_reason"),
        ("UPDATE attempts SET result = '[1'", "attempts", "result"),
        ("UPDATE attempts SET number = number + 1", "attempts", "number"),
        ("UPDATE attempts SET step = 77", "attempts", "step"),
        ("UPDATE attempts SET failure_type = 'x', failure_message = NULL", "attempts", "failure"),
        ("UPDATE workflows SET control = 'sleeping'", "workflows", "control"),
        ("UPDATE workflows SET control = 'resuming', resume_from = 99", "workflows", "resume_from"),
        ("UPDATE workflows SET requests = '[{}]'", "workflows", "requests"),
        ("UPDATE workflows SET labels = '{\"a\":1}'", "workflows", "labels"),
        ("UPDATE specs SET steps = '[{}]'", "workflows", "steps"),
        ("UPDATE specs SET kwargs = 'no'", "workflows", "kwargs"),
        ("UPDATE specs SET description = CAST(x'FF' AS TEXT)", "workflows", "description"),
    ])
    func nonsenseNamesItsColumn(_ sql: String, _ table: String, _ column: String) throws {
        let store = try fixture.openSQLite()
        let id = try committed(in: store, length: 1).workflow.id
        try store.pool.write { try $0.execute(sql: sql) }
        let error = #expect(throws: StoreError.self) { _ = try store.load(id) }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("table \(table)") == true, "\(String(describing: error))")
        #expect(error?.message.contains(column) == true, "\(String(describing: error))")
    }

    @Test func nonsenseInEventsNamesItsColumn() throws {
        let store = try fixture.openSQLite()
        let id = try committed(in: store, length: 1).workflow.id
        try store.pool.write { try $0.execute(sql: "UPDATE events SET kind = 'slept' WHERE version = 2") }
        let error = #expect(throws: StoreError.self) {
            _ = try store.reader.events(of: id, after: 0, limit: 10)
        }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("version 2 of workflow \(id)") == true)
        #expect(error?.message.contains("column kind") == true)
    }

    /// The WAL is cut, or overwritten from there on, at random places: exactly the commits that lie before it are
    /// there.
    @Test(arguments: [false, true]) func tornWALLosesOnlyItsTail(isGarbled: Bool) throws {
        var samples = WorkflowSamples(.unseeded())
        let wal = fixture.path + "-wal"
        let store = try fixture.openSQLite()
        var sizes = [try size(of: wal)]
        var changes: [WorkflowChange] = []
        for _ in 0..<40 {
            changes.append(samples.start())
            try store.commit(CommitBatch(changes: [changes[changes.count - 1]]))
            sizes.append(try size(of: wal))
        }
        try fixture.copyFiles(to: "whole.db")
        try fixture.close()
        for _ in 0..<60 {
            let cut = Int.random(in: 0...sizes[40], using: &samples.random)
            try fixture.useFiles(of: "whole.db")
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: wal))
            try file.truncate(atOffset: UInt64(cut))
            if isGarbled {
                try file.seek(toOffset: UInt64(cut))
                try file.write(contentsOf: Data((0..<9_000).map { _ in UInt8.random(in: 0...255) }))
            }
            try file.close()
            let kept = sizes.lastIndex { $0 <= cut } ?? 0
            let store = try fixture.openSQLite()
            for (index, change) in changes.enumerated() {
                let expected = index < kept ? change.workflow : nil
                #expect(try store.load(change.workflow.id) == expected, "seed \(samples.random.seed), cut at \(cut)")
            }
            #expect(try integrity(store) == ["ok"])
            try committed(in: store)
            try fixture.close()
        }
    }

    /// A process is killed at a random moment while it commits; each commit it was told of is there, whole.
    @Test(arguments: 0..<4) func killedProcessLosesNothing(_ round: Int) async throws {
        let path = fixture.path
        let acknowledged = fixture.directory.appendingPathComponent("acknowledged").path
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, acknowledged = acknowledged as String] in
            var samples = WorkflowSamples(.unseeded())
            let store = try SQLiteStore(path: path)
            let log = open(acknowledged, O_WRONLY | O_CREAT | O_APPEND, 0o644)
            let isKillingAfter = Int.random(in: 20_000...150_000)
            DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(isKillingAfter)) {
                kill(getpid(), SIGKILL)
            }
            // Bounded, should the timer be late on a busy machine: everything is read back below.
            for _ in 0..<2_000 {
                let pair = [samples.start(requestID: ""), samples.start(requestID: "")]
                try store.commit(CommitBatch(changes: pair))
                let line = pair.map(\.workflow.id.rawValue).joined(separator: " ") + "\n"
                _ = line.withCString { write(log, $0, strlen($0)) }
            }
            while true { pause() }
        }
        let store = try fixture.openSQLite()
        let lines = (try? String(contentsOfFile: acknowledged, encoding: .utf8)) ?? ""
        let ids = lines.split(separator: "\n").flatMap { $0.split(separator: " ").map { WorkflowID(String($0)) } }
        let stored = Set(try store.loadUnsettled().map(\.id))
        #expect(stored.isSuperset(of: ids))
        #expect(
            stored.count == ids.count || stored.count == ids.count + 2,
            "\(stored.count) stored, \(ids.count) acknowledged")
    }

    private func size(of path: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    }

    private func overwrite(at offset: Int, with data: Data) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: fixture.path))
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: data)
        try file.close()
    }
}
