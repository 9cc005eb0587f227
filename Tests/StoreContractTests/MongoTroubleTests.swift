import Dispatch
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// Limits, missing rights, and a database that dies.
@Suite(.timeLimit(.minutes(5))) struct MongoTroubleTests {
    /// A record that outgrows its document first loses its oldest events, then the write is refused and nothing of its
    /// batch is stored.
    @Test func aRecordThatGrowsTooLarge() throws {
        let fixture = try MongoFixture()
        let store = try MongoStore(pool: fixture.pool, serverID: "s", documentLimit: 100_000)
        let start = try largeWorkflow(results: 0)
        try store.commit(CommitBatch(changes: [start]))
        var workflow = start.workflow
        var version = workflow.version
        for _ in 0..<200 {
            version += 1
            workflow.version = version
            let event = Event(
                workflowID: workflow.id, version: version, at: workflow.updatedAt, kind: .lateReport,
                status: workflow.status, stepsDone: 0, detail: String(repeating: "e", count: 1_000))
            let change = WorkflowChange(workflow: workflow, isNew: false, touched: [], events: [event])
            #expect(try store.commit(CommitBatch(changes: [change])) == [])
        }
        let events = try store.reader.events(of: workflow.id, after: 0, limit: .max)
        #expect(events.last?.version == version && events.count > 20 && events.count < 100)
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.version + 1 == $1.version })

        var large = workflow
        large[AttemptPosition(step: 0, attempt: 0)].result = try JSON(parsing: text(90_000))
        var samples = WorkflowSamples(.unseeded())
        let other = samples.start()
        let batch = CommitBatch(changes: [
            other,
            WorkflowChange(workflow: large, isNew: false, touched: [AttemptPosition(step: 0, attempt: 0)], events: []),
        ])
        let error = #expect(throws: StoreError.self) { try store.commit(batch) }
        #expect(error?.code == .full && error?.outcomeUnknown == false)
        #expect(error?.message.contains(workflow.id.rawValue) == true && error?.message.contains("bytes") == true)
        #expect(try store.load(other.workflow.id) == nil)
        #expect(try store.load(workflow.id) == workflow)
        #expect(try store.commit(CommitBatch(changes: [other])) == [])
        let fresh = try largeWorkflow(results: 110_000)
        #expect(throws: StoreError.self) { try store.commit(CommitBatch(changes: [fresh])) }
        #expect(try store.load(fresh.workflow.id) == nil)
    }

    /// The same against the limit of the database itself.
    @Test func sixteenMebibytes() throws {
        let fixture = try MongoFixture()
        let store = try fixture.openMongo()
        let start = try largeWorkflow(results: 0)
        try store.commit(CommitBatch(changes: [start]))
        var workflow = start.workflow
        let position = AttemptPosition(step: 0, attempt: 0)
        workflow[position].result = try JSON(parsing: text(15 << 20))
        let fits = WorkflowChange(workflow: workflow, isNew: false, touched: [position], events: [])
        #expect(try store.commit(CommitBatch(changes: [fits])) == [])
        #expect(try store.load(workflow.id) == workflow)
        var larger = workflow
        larger[position].result = try JSON(parsing: text(17 << 20))
        let error = #expect(throws: StoreError.self) {
            try store.commit(
                CommitBatch(changes: [WorkflowChange(workflow: larger, isNew: false, touched: [position], events: [])]))
        }
        #expect(error?.code == .full && error?.outcomeUnknown == false)
        #expect(try store.load(workflow.id) == workflow)
    }

    /// The oldest events go; a reader sees by the versions that some are missing.
    @Test func keepsTheLatestEvents() throws {
        let fixture = try MongoFixture(eventsKept: 5)
        let store = try fixture.openMongo()
        var samples = WorkflowSamples(.unseeded())
        var last: Workflow?
        var all: [Event] = []
        while all.count < 12 {
            let start = samples.start()
            try store.commit(CommitBatch(changes: [start]))
            var workflow = start.workflow
            all = start.events
            for _ in 0..<60 {
                guard let change = samples.advance(&workflow) else { continue }
                try store.commit(CommitBatch(changes: [change]))
                all += change.events
            }
            last = workflow
        }
        let id = try #require(last?.id)
        #expect(try store.reader.events(of: id, after: 0, limit: 100) == Array(all.suffix(5)))
        #expect(try store.load(id) == last)
    }

    @Test func missingRights() throws {
        let open = try MongoServer(.standalone)
        let admin = try MongoPool(uri: open.address("admin"))
        try admin.writeCommand([
            "createUser": "reader", "pwd": "s3cret", "roles": [["role": "read", "db": "x"]],
        ])
        open.kill()
        let guarded = try MongoServer(.standalone, arguments: ["--auth"], folder: open.folder)
        for address in [
            guarded.address("x"), "mongodb://reader:wrongs3cret@127.0.0.1:\(guarded.port)/x?authSource=admin",
        ] {
            let error = #expect(throws: StoreError.self) {
                _ = try MongoStore(pool: try MongoPool(uri: address), serverID: "s")
            }
            #expect(
                error?.code == .permission && error?.message.contains("s3cret") == false, "\(String(describing: error))"
            )
        }
    }

    /// The database is killed while batches are on their way, again and again. What was acknowledged is there as it
    /// was; what was refused for certain is not; and each workflow is whole: its version, its events and its attempts
    /// agree.
    @Test func killsDuringCommits() throws {
        let server = try MongoServer(.standalone)
        let pool = try MongoPool(uri: server.address("k", options: "serverSelectionTimeoutMS=300&socketTimeoutMS=5000"))
        let store = try MongoStore(pool: pool, serverID: "s")
        var samples = WorkflowSamples(.unseeded())
        var stored: [WorkflowID: Workflow] = [:]
        var unknown = 0
        for round in 0..<4 {
            let killed = DispatchSemaphore(value: 0)
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(80 + 41 * round)) {
                server.kill()
                killed.signal()
            }
            var failed: CommitBatch?
            while failed == nil {
                var changes = (0..<4).map { _ in samples.start() }
                for workflow in stored.values.prefix(6) {
                    var workflow = workflow
                    if let change = samples.advance(&workflow) { changes.append(change) }
                }
                let batch = CommitBatch(changes: changes)
                do throws(StoreError) {
                    #expect(try store.commit(batch) == [])
                    for change in changes { stored[change.workflow.id] = change.workflow }
                } catch {
                    #expect(error.code == .unavailable, "\(error)")
                    failed = error.outcomeUnknown ? batch : CommitBatch(changes: [])
                    if error.outcomeUnknown { unknown += 1 }
                }
            }
            killed.wait()
            try server.start()
            let deadline = ContinuousClock.now + .seconds(20)
            while (try? store.renewLease()) == nil { try #require(ContinuousClock.now < deadline) }
            for change in failed?.changes ?? [] {
                let found = try store.load(change.workflow.id)
                #expect(found == change.workflow || found == stored[change.workflow.id], "seed \(samples.random.seed)")
                stored[change.workflow.id] = found
            }
            for (id, workflow) in stored {
                #expect(try store.load(id) == workflow, "seed \(samples.random.seed)")
                let last = try store.reader.events(of: id, after: 0, limit: .max).last?.version
                #expect(last == workflow.version, "seed \(samples.random.seed)")
            }
        }
        #expect(stored.count > 20)
        #expect(try store.reader.ids(withPrefix: "", limit: .max).count == stored.count)
    }

    private func text(_ bytes: Int) -> String { "[\"" + String(repeating: "x", count: bytes) + "\"]" }

    private func largeWorkflow(results bytes: Int) throws -> WorkflowChange {
        var samples = WorkflowSamples(.unseeded())
        var spec = WorkflowSpec(name: "n", appID: "a", steps: [StepSpec(name: "s", task: "t")])
        if bytes > 0 { spec.args = try JSON(parsing: text(bytes)) }
        return samples.start(spec)
    }
}
