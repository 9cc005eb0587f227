import Glibc
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmStoreMongo

/// What is written behind records, and that it is right whoever ends in between.
@Suite(.timeLimit(.minutes(5))) struct ProjectionTests {
    private let fixture: MongoFixture
    private var samples = WorkflowSamples(.unseeded())

    init() throws { fixture = try MongoFixture() }

    private func spec() -> WorkflowSpec {
        WorkflowSpec(name: "n", appID: "a", steps: [StepSpec(name: "s", task: "t"), StepSpec(name: "z", task: "t")])
    }

    /// A workflow with so many steps done, in the store.
    private mutating func make(_ store: MongoStore, done: Int, _ spec: WorkflowSpec? = nil) throws -> Workflow {
        let start = samples.start(spec ?? self.spec())
        #expect(try store.commit(CommitBatch(changes: [start])) == [])
        var workflow = start.workflow
        for index in 0..<done {
            var transition = samples.transition()
            let task = workflow.steps[index].attempts[0].id
            workflow.observe(.started(at: transition.now, worker: "w1"), of: task, in: &transition)
            workflow.observe(
                .succeeded(result: try JSON(parsing: "[1]"), at: transition.now), of: task, in: &transition)
            let change = WorkflowChange(
                workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
            #expect(try store.commit(CommitBatch(changes: [change])) == [])
        }
        return workflow
    }

    private func projection(_ id: WorkflowID) throws -> BSONDocument? {
        try fixture.pool.findOne("workflow_meta", filter: ["_id": .string(id.rawValue)])
    }

    private func wait(_ what: String, _ condition: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while try !condition() {
            try #require(ContinuousClock.now < deadline, "\(what)")
            Thread.pause()
        }
    }

    /// By itself and soon, in the latest state, with a row in place of the open record once it has settled.
    @Test mutating func followsByItself() throws {
        let store = try fixture.openMongo()
        let running = try make(store, done: 1)
        let done = try make(store, done: 2)
        try wait("both are shown") {
            try projection(running.id)?["_status"] == "STARTED" && projection(done.id)?["_status"] == "SUCCESS"
        }
        try wait("the settled one has a row") {
            try fixture.pool.findOne("rhythm_workflows", filter: ["_id": .string(done.id.rawValue)])?["open"] == nil
        }
        #expect(try fixture.pool.count("rhythm_lists") == 1)
        #expect(try store.reader.list(ListQuery()).rows.count == 2)
        #expect(try projection(running.id)?["version"]?.int64Value == running.version)
    }

    /// A server that ended before it came to it: the next one does it.
    @Test mutating func afterAnEnd() throws {
        var store = try fixture.openMongo()
        let running = try make(store, done: 1)
        let done = try make(store, done: 2)
        try fixture.crash()
        #expect(try projection(done.id) == nil)
        store = try fixture.openMongo()
        #expect(try store.reader.list(ListQuery()).rows.count == 2, "open records are listed without a row")
        #expect(try store.loadUnsettled() == [running])
        try wait("both are shown") { try projection(running.id) != nil && projection(done.id) != nil }
        #expect(try store.reader.counts(WorkflowFilter()) == [.started: 1, .success: 1])
    }

    /// Switched off there are none; switched on again they come, of old workflows too.
    @Test mutating func offAndOn() throws {
        var store = try MongoStore(pool: fixture.pool, serverID: "s", projects: false)
        let done = try make(store, done: 2)
        store.afterwork.settle()
        #expect(try projection(done.id) == nil)
        #expect(try store.reader.list(ListQuery()).rows.count == 1)
        store.close()
        store = try MongoStore(pool: fixture.pool, serverID: "s")
        // What is missing until then nobody has deleted.
        let findings = (store.reader as? MongoReader)?.examine(within: .all)
        #expect(findings?.map(\.code) == ["projection"], "\(String(describing: findings))")
        try wait("it is shown") { try projection(done.id)?["_status"] == "SUCCESS" }
        try wait("it is noted that there are all") {
            try fixture.pool.findOne("rhythm_servers", filter: ["_id": ":schema"])?["projected"] == nil
        }
        #expect(store.afterwork.foreignWrites.isEmpty)
    }

    /// Whatever somebody else writes is written over, told once, and never gets into the record.
    @Test(arguments: ["running", "done"]) mutating func foreignWrites(_ state: String) throws {
        let store = try fixture.openMongo()
        let workflow = try make(store, done: state == "done" ? 2 : 1)
        try wait("it is shown") { try projection(workflow.id) != nil }
        // Seen as it should be once.
        try wait("it was looked at") {
            store.afterwork.state.withLock { $0.watched.expected[workflow.id]?.isSure } == true
        }
        let right = Set(try #require(try projection(workflow.id)).elements)
        let filter: BSONDocument = ["_id": .string(workflow.id.rawValue)]
        let writes: [BSONDocument] = [
            ["$set": ["_status": "PENDING", "updated_at": .date(milliseconds: 5)]],
            ["$set": ["resume_lock": .null, "steps": []]],
            ["$set": ["rhythm": ["schema": .int64(3), "at": .int64(1)], "updated_at": .date(milliseconds: 9)]],
            ["$unset": ["rhythm": ""]],
        ]
        for write in writes {
            _ = try fixture.pool.update("workflow_meta", filter: filter, update: write)
            try wait("\(write) is written over") {
                try projection(workflow.id).map { Set($0.elements) } == right
            }
            #expect(try store.load(workflow.id) == workflow)
            #expect(try store.reader.list(ListQuery()).rows.map(\.status) == [workflow.status])
        }
        _ = try fixture.pool.delete("workflow_meta", filter: filter)
        try wait("it is there again") {
            try projection(workflow.id)?["_status"] == .string(workflow.status.rawValue)
        }
        let finding = try #require((store.reader as? MongoReader)?.examine(within: .all).first)
        #expect(finding.code == "foreign_writes" && finding.seen.contains(workflow.id.rawValue), "\(finding)")
        // Whoever may see some applications only is told neither ids nor how many there are.
        let limited = try #require((store.reader as? MongoReader)?.examine(within: .only(["other"])).first)
        #expect(
            limited.code == "foreign_writes"
                && limited.seen == "somebody else wrote to documents of this server in workflow_meta")
        // An old one, which nobody looks at any more but on request.
        guard state == "done" else { return }
        store.afterwork.state.withLock { $0.watched.forget(workflow.id) }
        _ = try fixture.pool.delete("workflow_meta", filter: filter)
        _ = (store.reader as? MongoReader)?.examine(within: .all)
        try wait("it is there again on request") { try projection(workflow.id) != nil }
    }

    /// A deletion leaves nothing, at whatever point of its life.
    @Test(arguments: [0, 1, 2], [true, false]) mutating func deletions(_ done: Int, _ isShown: Bool) throws {
        let store = try fixture.openMongo()
        let workflow = try make(store, done: done)
        if isShown { store.afterwork.settle() }
        #expect(try store.commit(CommitBatch(deletions: [workflow.id])) == [])
        store.afterwork.settle()
        for collection in ["rhythm_workflows", "rhythm_lists", "workflow_meta"] {
            #expect(try fixture.pool.count(collection) == 0, "\(collection)")
        }
    }

    /// What one server still has to write of a workflow that another one has deleted leaves nothing either.
    @Test(arguments: [0, 2]) mutating func writtenAfterADeletion(_ done: Int) throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        let workflow = try make(a, done: done)
        let revision = try #require(
            try fixture.pool.findOne("rhythm_workflows", filter: ["_id": .string(workflow.id.rawValue)])?["revision"]?
                .int64Value)
        #expect(try b.load(workflow.id) == workflow)
        #expect(try b.commit(CommitBatch(deletions: [workflow.id])) == [])
        b.afterwork.settle()
        a.afterwork.note(workflow, revision: revision, isAdopted: false)
        a.afterwork.settle()
        for collection in ["rhythm_workflows", "rhythm_lists", "workflow_meta"] {
            #expect(try fixture.pool.count(collection) == 0, "\(collection)")
        }
    }

    /// The same while the record is still there, so that whoever writes sees nothing wrong.
    @Test(arguments: [0, 2]) mutating func writtenDuringADeletion(_ done: Int) throws {
        let store = try fixture.openMongo()
        let other = try MongoStore(pool: fixture.pool, serverID: fixture.serverID)
        let workflow = try make(store, done: done)
        store.afterwork.settle()
        let filter: BSONDocument = ["_id": .string(workflow.id.rawValue)]
        let record = try fixture.pool.findOne("rhythm_workflows", filter: filter)
        let revision = try #require(record?["revision"]?.int64Value)
        try store.afterwork.remove([workflow.id])
        other.afterwork.note(workflow, revision: revision, isAdopted: false)
        other.afterwork.settle()
        #expect(try fixture.pool.count("workflow_meta") == 1)
        _ = try fixture.pool.delete("rhythm_workflows", filter: filter)
        store.afterwork.removeAgain([workflow.id])
        store.afterwork.settle()
        for collection in ["rhythm_lists", "workflow_meta"] {
            #expect(try fixture.pool.count(collection) == 0, "\(collection)")
        }
    }

    /// A deletion that comes too late takes nothing of what somebody else has made of the workflow.
    @Test mutating func aDeletionThatIsRefused() throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        var workflow = try make(a, done: 2)
        let other = try make(a, done: 2)
        a.afterwork.settle()
        for collection in ["rhythm_lists", "workflow_meta"] { #expect(try fixture.pool.count(collection) == 2) }
        workflow = try #require(try b.load(workflow.id))
        workflow.requests.append(
            AppliedRequest(
                id: "r",
                receipt: Receipt(
                    command: .pause, accepted: true, already: false, reason: "", message: "", revokedStep: nil,
                    quiesced: true, status: .success, version: workflow.version)))
        let silent = WorkflowChange(workflow: workflow, isNew: false, touched: [], events: [])
        #expect(try b.commit(CommitBatch(changes: [silent])) == [])
        #expect(try a.commit(CommitBatch(deletions: [workflow.id, other.id])) == [workflow.id])
        for collection in ["rhythm_workflows", "rhythm_lists", "workflow_meta"] {
            #expect(
                try fixture.pool.find(collection, filter: [:]).map { $0["_id"] } == [.string(workflow.id.rawValue)],
                "\(collection)")
        }
    }

    /// A database that does not take one document as it is gets all the others, and says it once.
    @Test(arguments: ["workflow_meta", "rhythm_lists"]) mutating func refusals(_ collection: String) throws {
        _ = try fixture.pool.writeCommand([
            "create": .string(collection), "validator": ["name": ["$ne": "bad"]],
        ])
        let store = try fixture.openMongo()
        var odd = spec()
        odd.name = "bad"
        let bad = try make(store, done: 2, odd)
        let good = try make(store, done: 2)
        store.afterwork.settle()
        let later = try make(store, done: 1)
        store.afterwork.settle()
        func ids(_ collection: String, _ filter: BSONDocument = [:]) throws -> Set<BSONValue?> {
            Set(try fixture.pool.find(collection, filter: filter).map { $0["_id"] })
        }
        func id(_ workflow: Workflow) -> BSONValue? { .string(workflow.id.rawValue) }
        let isProjection = collection == "workflow_meta"
        #expect(try ids("workflow_meta") == (isProjection ? [id(good), id(later)] : [id(bad), id(good), id(later)]))
        #expect(try ids("rhythm_lists") == (isProjection ? [id(bad), id(good)] : [id(good)]))
        // What has no row stays open, and is found in lists all the same.
        let open = try ids("rhythm_workflows", ["open": ["$exists": true]])
        #expect(open == (isProjection ? [id(later)] : [id(bad), id(later)]))
        #expect(try store.reader.list(ListQuery()).rows.count == 3)
        #expect(store.afterwork.state.withLock { $0.works.isEmpty && $0.unread.isEmpty && !$0.isInTrouble })
        #expect(store.afterwork.state.withLock { $0.refused.count } == 1)
    }

    /// An attempt that has yet to be sent has no document among Celery's results: whoever follows it then would take that
    /// for its worker's word.
    @Test mutating func nothingStandsInForWhatIsSentLater() throws {
        let store = try fixture.openMongo()
        var spec = spec()
        spec.steps[0].retry = RetryPolicy(maxAttempts: 3, backoff: .seconds(60))
        let start = samples.start(spec)
        #expect(try store.commit(CommitBatch(changes: [start])) == [])
        var workflow = start.workflow
        func commit(_ transition: Transition) throws {
            let change = WorkflowChange(
                workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
            #expect(try store.commit(CommitBatch(changes: [change])) == [])
            store.afterwork.settle()
        }
        func lastRun() throws -> String {
            let step = try projection(workflow.id)?["steps"]?.arrayValue?.first?.documentValue
            return step?["task_runs"]?.arrayValue?.last?.documentValue?["task_id"]?.stringValue ?? ""
        }
        var transition = samples.transition()
        let first = workflow.steps[0].attempts[0].id
        workflow.observe(
            .failed(Failure(type: "Boom", message: "it broke"), at: transition.now), of: first, in: &transition)
        try commit(transition)
        let second = workflow.steps[0].attempts[1]
        #expect(second.isWaiting && workflow.steps[0].status == .retry)
        let results = try fixture.pool.find("celery_taskmeta", filter: [:])
        #expect(results.count == 1 && results.first?["status"] == "RETRY", "\(results)")
        #expect(results.first?["_id"] != .string(second.id.rawValue))
        #expect(try results.first?["_id"] == .string(lastRun()), "it is what readers are told to look for")
        #expect(results.first?["result"]?.stringValue?.contains("Boom") == true)
        #expect(results.first?["date_done"]?.dateMilliseconds != nil, "Celery cleans it up")
        transition = Transition(now: transition.now + .seconds(100)) { "x" }
        workflow.wakeUp(in: &transition)
        #expect(workflow.steps[0].attempts[1].isLive)
        try commit(transition)
        #expect(try lastRun() == second.id.rawValue)
        #expect(try fixture.pool.count("celery_taskmeta") == 1)
    }

    /// Celery's results may be in a database that does not answer: nobody waits for them.
    @Test mutating func resultsThatDoNotAnswer() throws {
        let silent = try MongoServer(.standalone)
        silent.freeze()
        defer { silent.thaw() }
        let results = try MongoPool(uri: silent.address("r", options: "serverSelectionTimeoutMS=60000"))
        let store = try MongoStore(pool: fixture.pool, serverID: "s", results: results)
        let start = samples.start(spec())
        #expect(try store.commit(CommitBatch(changes: [start])) == [])
        var workflow = start.workflow
        var transition = samples.transition()
        _ = workflow.pause(.now, in: &transition)
        workflow.observe(
            .revoked(detail: "", at: transition.now), of: workflow.steps[0].attempts[0].id, in: &transition)
        let change = WorkflowChange(
            workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
        #expect(try store.commit(CommitBatch(changes: [change])) == [])
        try wait("it is shown") { try projection(workflow.id)?["_status"] == "REVOKED" }
        let begun = ContinuousClock.now
        #expect(try store.commit(CommitBatch(deletions: [workflow.id])) == [])
        #expect(begun.duration(to: .now) < .seconds(5))
        #expect(try projection(workflow.id) == nil)
    }

    /// A workflow that comes back from its end while a list is read is in it, once and as it is now.
    @Test mutating func resumedWhileAListIsRead() throws {
        let store = try fixture.openMongo()
        let workflow = try make(store, done: 2)
        let other = try make(store, done: 2)
        store.afterwork.settle()
        #expect(try fixture.pool.count("rhythm_lists") == 2)
        var resumed = workflow
        var transition = samples.transition()
        _ = try resumed.resume(from: "s", force: true, in: &transition)
        let change = WorkflowChange(
            workflow: resumed, isNew: false, touched: transition.touched, events: transition.events)
        for isCount in [false, true] {
            let (id, pool) = (workflow.id, fixture.pool)
            // As if it were settled still.
            let reader = MongoReader(
                pool: pool, results: pool, collections: MongoCollections(), afterwork: store.afterwork
            ) { () throws(StoreError) in
                try translating("") { () throws(MongoError) in
                    _ = try pool.update(
                        "rhythm_workflows", filter: ["_id": .string(id.rawValue)],
                        update: ["$set": ["open": WorkflowDocument.Openness.behindRow.bson]])
                }
            }
            if !isCount {
                #expect(try store.load(workflow.id) == workflow)
                #expect(try store.commit(CommitBatch(changes: [change])) == [])
            }
            _ = try pool.update(
                "rhythm_workflows", filter: ["_id": .string(id.rawValue)], update: ["$unset": ["open": ""]])
            if isCount {
                #expect(try reader.counts(WorkflowFilter()) == [resumed.status: 1, .success: 1])
            } else {
                let rows = try reader.list(ListQuery()).rows
                #expect(Set(rows.map(\.id)) == [workflow.id, other.id] && rows.count == 2)
                #expect(rows.first { $0.id == id }?.status == resumed.status)
            }
        }
    }

    /// A late projection of one server does not go back behind that of another.
    @Test mutating func nothingGoesBack() throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        let old = try make(a, done: 1)
        var workflow = try #require(try b.load(old.id))
        var transition = samples.transition()
        let task = workflow.steps[1].attempts[0].id
        workflow.observe(.succeeded(result: try JSON(parsing: "[1]"), at: transition.now), of: task, in: &transition)
        let change = WorkflowChange(
            workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
        #expect(try b.commit(CommitBatch(changes: [change])) == [])
        b.afterwork.settle()
        a.afterwork.note(old, revision: 2, isAdopted: false)
        a.afterwork.settle()
        #expect(try projection(old.id)?["_status"] == "SUCCESS")
        #expect(try a.reader.list(ListQuery()).rows.map(\.status) == [.success])
    }

    /// What a task may bring as arguments can be larger in the library's form than in ours.
    @Test mutating func numbersTakeMoreRoom() throws {
        let store = try fixture.openMongo()
        var spec = spec()
        spec.steps[0].kwargs = try JSON(
            parsing: "{\"n\": [\(Array(repeating: "1", count: 2_500_000).joined(separator: ","))]}")
        let start = samples.start(spec)
        #expect(try store.commit(CommitBatch(changes: [start])) == [])
        store.afterwork.settle()
        let steps = try projection(start.workflow.id)?["steps"]?.arrayValue
        #expect(steps?.count == 2 && steps?.first?.documentValue?["kwargs"] == nil)
    }
}

private enum Thread {
    /// Between two looks.
    static func pause() { usleep(20_000) }
}
