import Dispatch
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmStoreMongo

/// A database of the form before becomes one of this form.
@Suite(.timeLimit(.minutes(5))) struct ConversionTests {
    private let fixture: MongoFixture
    private let workflows: [WorkflowID: (workflow: Workflow, events: [Event])]
    private let foreign: BSONDocument = [
        "_id": "theirs", "created_at": .date(milliseconds: 5), "name": "n", "app_id": "a", "_status": "STARTED",
        "steps": [["name": "s", "task": "t"]],
    ]

    /// Workflows in all states, and one of the Python library's.
    init() throws {
        fixture = try MongoFixture()
        var samples = WorkflowSamples(.unseeded())
        var workflows: [WorkflowID: (Workflow, [Event])] = [:]
        for _ in 0..<12 {
            let history = samples.history(length: Int.random(in: 1...40, using: &samples.random))
            let events = history.flatMap(\.events)
            guard let last = history.last?.workflow else { continue }
            workflows[last.id] = (last, events)
        }
        self.workflows = workflows
        let pool = fixture.pool
        try pool.insert(
            "workflow_meta",
            workflows.values.enumerated().map { index, each in
                FirstFormFixture.document(
                    each.0, each.1, writer: index.isMultiple(of: 2) ? fixture.serverID : "gone",
                    revision: Int64(index + 3))
            } + [foreign])
        try pool.createIndexes("workflow_meta", FirstFormFixture.indexes)
        try pool.insert("rhythm_servers", ["_id": ":schema", "number": .int64(2)])
    }

    /// Everything is as it was, and what nobody needs any more is gone.
    private func check(_ store: MongoStore) throws {
        let expected = workflows.mapValues(\.workflow)
        for (id, each) in workflows {
            #expect(try store.load(id) == each.workflow)
            #expect(try store.reader.events(of: id, after: 0, limit: .max) == each.events)
            if !each.workflow.requestID.isEmpty {
                #expect(try store.workflow(forRequest: each.workflow.requestID) == id)
            }
        }
        let unsettled = expected.values.filter { !$0.isSettled }
        #expect(try Set(store.loadUnsettled()) == Set(unsettled))
        let rows = try store.reader.list(ListQuery(limit: 1000)).rows
        #expect(Set(rows.filter { $0.id != "theirs" }) == Set(expected.values.map(\.summary)))
        #expect(rows.count == expected.count + 1)
        #expect(try store.reader.ids(withPrefix: "", limit: 1000) == (expected.keys + ["theirs"]).sorted())
        let pool = fixture.pool
        #expect(try pool.findOne("workflow_meta", filter: ["_id": "theirs"]) == foreign)
        #expect(try pool.count("workflow_meta", filter: ["rhythm.schema": .int64(2)]) == 0)
        #expect(try pool.count("workflow_meta", filter: ["rhythm.schema": .int64(3)]) == expected.count)
        #expect(try pool.count("rhythm_workflows") == expected.count)
        #expect(try pool.indexNames("workflow_meta") == ["_id_", "rhythm_legacy"])
        let form = try pool.findOne("rhythm_servers", filter: ["_id": ":schema"])
        #expect(form?["number"]?.int64Value == 3 && form?["converting"] == nil)
        #expect(form?["store_id"]?.stringValue == store.storeID)
    }

    @Test func atTheStart() throws {
        let store = try fixture.openMongo()
        try check(store)
        // It goes on.
        var samples = WorkflowSamples(.unseeded())
        for id in workflows.keys.sorted() {
            guard var workflow = try store.load(id), let change = samples.advance(&workflow) else { continue }
            #expect(try store.commit(CommitBatch(changes: [change])) == [])
            #expect(try store.load(id) == workflow)
        }
    }

    private struct Killed: Error {}

    /// Ended before any of its writes, again and again, and begun anew by another process.
    @Test func endedAtEveryWrite() throws {
        var ends = 0
        for end in 0..<200 {
            var conversion = conversion("s\(end)")
            conversion.batch = 3
            conversion.patience = .zero
            let left = Mutex(end % 7)
            conversion.willWrite = { () throws(StoreError) in
                let isOver = left.withLock { left in
                    left -= 1
                    return left < 0
                }
                if isOver { throw StoreError(.unavailable, "killed") }
            }
            do throws(StoreError) {
                try conversion.run()
                break
            } catch {
                ends += 1
                #expect(error.message == "killed", "\(error)")
            }
        }
        #expect(ends > 10)
        try check(try fixture.openMongo())
    }

    /// Several servers that share begin at once: one converts.
    @Test func severalAtOnce() throws {
        let pool = fixture.pool
        let opened = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 4) { index in
            let id: String
            do {
                let store = try MongoStore(pool: pool, serverID: "s\(index)", mode: .shared)
                id = store.storeID
                store.close()
            } catch { id = "\(error)" }
            opened.withLock { $0.append(id) }
        }
        let store = try fixture.openMongo()
        #expect(opened.withLock { $0 } == Array(repeating: store.storeID, count: 4))
        try check(store)
    }

    /// Nothing changes while a server of the version before lives.
    @Test func refusesWhileAnOldServerLives() throws {
        let pool = fixture.pool
        _ = try pool.update(
            "rhythm_servers", filter: ["_id": "old"],
            update: [
                "$currentDate": ["renewed_at": true], "$set": ["duration_ms": .int64(30_000), "shared": true],
            ], upsert: true)
        let before = try pool.find("workflow_meta", sort: ["_id": 1])
        for open in [fixture.openMongo, { try fixture.openShared("b") }] {
            let error = #expect(throws: StoreError.self) { _ = try open() }
            #expect(error?.code == .inUse && error?.message.contains("'old'") == true)
        }
        #expect(try pool.find("workflow_meta", sort: ["_id": 1]) == before)
        #expect(try pool.findOne("rhythm_servers", filter: ["_id": ":schema"])?["number"]?.int64Value == 2)
        try pool.delete("rhythm_servers", filter: ["_id": "old"])
        try check(try fixture.openMongo())
    }

    /// A server that stood still while another one converted does not put an older row in the place of a newer one.
    @Test func aNewerRowStays() throws {
        let settled = try #require(workflows.values.map(\.workflow).first { $0.isSettled })
        var row = RowDocument.make(settled, revision: 1_000)
        row["status"] = "PENDING"
        try fixture.pool.insert("rhythm_lists", row)
        try conversion("late").run()
        let stored = try fixture.pool.findOne("rhythm_lists", filter: ["_id": .string(settled.id.rawValue)])
        #expect(stored == row)
    }

    /// One record that cannot be read keeps nobody from the others, and is not mistaken for anything else.
    @Test func whatCannotBeReadStays() throws {
        let id = try #require(workflows.keys.min())
        let pool = fixture.pool
        _ = try pool.update(
            "workflow_meta", filter: ["_id": .string(id.rawValue)], update: ["$set": ["rhythm.steps": "x"]])
        let store = try fixture.openMongo()
        let error = #expect(throws: StoreError.self) { _ = try store.reader.load(id) }
        #expect(error?.code == .corrupt && error?.message.contains("converted") == true)
        #expect(try store.reader.list(ListQuery(limit: 1000)).rows.count == workflows.count)
        #expect(try pool.count("rhythm_workflows") == workflows.count - 1)
    }

    private func conversion(_ serverID: String) -> Conversion {
        let leases = ServerLeases(
            pool: fixture.pool, collection: "rhythm_servers", serverID: serverID, duration: .seconds(15), isShared: true
        )
        return Conversion(pool: fixture.pool, collections: MongoCollections(), leases: leases)
    }
}
