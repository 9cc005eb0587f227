import Logging
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmStoreMongo

/// Writes that were given up for lost and were done all the same: an engine finds what they made its own.
@Suite(.timeLimit(.minutes(5))) struct MongoLateWriteTests {
    private let fixture: MongoFixture
    private let clock = SimulationClock()
    private let machine = SimulationMachine(SimulationJournal())
    /// Without limits of time, which the minutes that pass here would reach.
    private let spec = WorkflowSpec(name: "w", appID: "app", steps: [StepSpec(name: "s", task: "t")])

    init() throws { fixture = try MongoFixture() }

    private func makeEngine(
        _ store: MongoStore, publish: @escaping @Sendable (Publication) -> Void = { _ in }
    ) throws -> Engine {
        let engine = Engine(
            store: store, runner: SimulationRunner(machine), clock: clock, makeID: { RandomUUID.make() },
            publish: publish, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try engine.start { _ in }
        return engine
    }

    /// Lets time pass, a second at a time.
    private func run(_ engine: Engine, seconds: Int) {
        for _ in 0..<seconds {
            clock.advance(by: .seconds(1))
            if engine.isHeldOff { engine.storeAnswers() }
            engine.process([])
        }
    }

    /// The living server claims what a dead one left, and the answer to that is lost: it is the writer, so nobody else
    /// would ever take these workflows.
    @Test func aClaimWhoseAnswerIsLost() throws {
        let proxy = try TrapProxy(.mongo, to: MongoFixture.server.get().port)
        defer { proxy.stop() }
        let pool = try MongoPool(uri: "mongodb://127.0.0.1:\(proxy.port)/\(fixture.database)")
        let store = try MongoStore(pool: pool, serverID: "a", mode: .shared)
        let engine = try makeEngine(store)
        // Without what is expected after each start.
        run(engine, seconds: 90)

        let dead = try fixture.openShared("dead", lease: .milliseconds(1))
        var samples = WorkflowSamples(.unseeded())
        let left = (0..<5).map { _ in samples.start(spec) }
        try dead.commit(CommitBatch(changes: left))
        proxy.cut(at: .beforeItsAnswer, ofMessageWith: ["update", "settled", "writer"])
        run(engine, seconds: 6)
        #expect(proxy.hasSprung)
        let claimed = try fixture.pool.find("rhythm_workflows", filter: ["writer": "a"])
        #expect(claimed.count == 5, "the claim was done")
        run(engine, seconds: 62)
        #expect(engine.activeCount == 5)
        for change in left {
            #expect(store.isWriter(of: change.workflow.id))
            #expect(!machine.live(of: change.workflow.id).isEmpty, "its first step was dispatched")
        }
    }

    /// A start that was given up for lost, by this process or the one before it: it is stored after the engine has read
    /// what is there.
    @Test func aStartThatArrivesLate() throws {
        let versions = Mutex<[Int64]>([])
        let engine = try makeEngine(try fixture.openMongo()) { publication in
            let seen = publication.changes.flatMap(\.events).map(\.version)
            versions.withLock { $0 += seen }
        }
        var samples = WorkflowSamples(.unseeded())
        let late = samples.start(spec)
        let sender = try MongoStore(pool: fixture.pool, serverID: fixture.serverID)
        try sender.commit(CommitBatch(changes: [late]))
        run(engine, seconds: 62)
        #expect(engine.activeCount == 1)
        #expect(versions.withLock { $0 } == Array(1...late.workflow.version), "watches are told of it")
        #expect(!machine.live(of: late.workflow.id).isEmpty)
    }

    /// A transition of a workflow that the engine follows, which it has in memory as it was before.
    @Test func aTransitionThatArrivesLate() throws {
        let versions = Mutex<[Int64]>([])
        let engine = try makeEngine(try fixture.openMongo()) { publication in
            let seen = publication.changes.flatMap(\.events).map(\.version)
            versions.withLock { $0 += seen }
        }
        let started = Mutex<Workflow?>(nil)
        engine.process([
            .command(.start(spec, requestID: "")) { result in
                if case .success(.started(let workflow, _)) = result { started.withLock { $0 = workflow } }
            }
        ])
        let id = try #require(started.withLock { $0 }).id
        let sender = try MongoStore(pool: fixture.pool, serverID: fixture.serverID)
        var workflow = try #require(try sender.load(id))
        var transition = Transition(now: clock.now()) { TaskID(RandomUUID.make()) }
        #expect(workflow.cancel(in: &transition).accepted)
        #expect(
            try sender.commit(
                CommitBatch(changes: [
                    WorkflowChange(
                        workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
                ])) == [])
        run(engine, seconds: 62)
        #expect(versions.withLock { $0 } == Array(1...workflow.version))
        #expect(machine.attempts.first?.1.stopAsked == true, "what the late write decided is carried out")
        // It goes on from there.
        let report = Report(
            workflowID: id, taskID: workflow.steps[0].attempts[0].id, .revoked(detail: "", at: clock.now()))
        engine.process([.report(report)])
        #expect(engine.activeCount == 0)
        #expect(try sender.load(id)?.status == .revoked)
    }

    /// The id of a workflow of the Python library is taken, and so is one that is being adopted.
    @Test(arguments: ["theirs", "draft"]) func theIDOfAnother(_ state: String) throws {
        let store = try fixture.openShared("a")
        let engine = try makeEngine(store)
        try fixture.pool.insert(
            "workflow_meta",
            ["_id": "old", "created_at": .date(milliseconds: 5), "_status": "PENDING", "steps": [["name": "s"]]])
        let answer = Mutex<RhythmError?>(nil)
        let start = {
            var spec = spec
            spec.id = "old"
            engine.process([
                .command(.start(spec, requestID: "")) { result in
                    if case .failure(let error) = result { answer.withLock { $0 = error } }
                }
            ])
        }
        if state == "draft" {
            let other = try fixture.openShared("b")
            let record = try #require(try (other.reader as? MongoReader)?.records(["old"]).first)
            var change = WorkflowChange(workflow: record.workflow, isNew: false, touched: [], events: record.history)
            change.adopts = record.stamp
            other.adoptionHasCome = { step in if step == .stored { start() } }
            #expect(try other.commit(CommitBatch(changes: [change])) == [])
        } else {
            start()
        }
        let error = answer.withLock { $0 }
        #expect(error?.code == .alreadyExists && error?.reason == "ID_IN_USE", "\(String(describing: error))")
    }

    /// A record that somebody damaged holds up nobody else's: not when a server starts, not when it takes over what a
    /// dead one left, not when it compares.
    @Test(arguments: ["start", "claim", "comparison"]) func whatCannotBeReadIsLeftOut(_ occasion: String) throws {
        let name = occasion == "claim" ? "dead" : "a"
        let sender = try fixture.openShared(name, lease: .milliseconds(1))
        let store = try fixture.openShared("a")
        var samples = WorkflowSamples(.unseeded())
        let left = (0..<3).map { _ in samples.start(spec) }
        let ids = left.map(\.workflow.id).sorted()
        let engine = occasion == "start" ? nil : try makeEngine(store)
        try sender.commit(CommitBatch(changes: left))
        _ = try fixture.pool.update(
            "rhythm_workflows", filter: ["_id": .string(ids[0].rawValue)], update: ["$set": ["fixed": true]])
        run(try engine ?? makeEngine(store), seconds: 6)
        for id in ids { #expect(machine.live(of: id).isEmpty == (id == ids[0]), "\(occasion), \(ids)") }
        #expect(throws: StoreError.self) { try store.load(ids[0]) }
    }

    /// A refused write of a server that has the database to itself: what is stored counts, and is followed on.
    @Test func anExclusiveServerGoesOnFromWhatIsStored() throws {
        let store = try fixture.openMongo()
        let engine = try makeEngine(store)
        run(engine, seconds: 90)
        engine.process([.command(.start(spec, requestID: "")) { _ in }])
        let (task, attempt) = try #require(machine.attempts.first)
        let id = attempt.dispatch.workflowID
        let sender = try MongoStore(pool: fixture.pool, serverID: fixture.serverID)
        var workflow = try #require(try sender.load(id))
        var transition = Transition(now: clock.now()) { TaskID(RandomUUID.make()) }
        workflow.observe(.started(at: clock.now(), worker: "w"), of: task, in: &transition)
        try sender.commit(
            CommitBatch(changes: [
                WorkflowChange(
                    workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
            ]))
        engine.process([
            .report(Report(workflowID: id, taskID: task, .succeeded(result: .array(of: []), at: clock.now())))
        ])
        #expect(engine.activeCount == 0)
        #expect(try store.load(id)?.status == .success)
    }
}
