import Logging
import RhythmCore
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmEngine

/// A store in another process that goes away, and comes back.
@Suite struct OutageTests {
    /// What is known of the way to the store, as the test wishes.
    private final class Link: StoreLink {
        private let proof = Mutex<ContinuousClock.Instant?>(.now)
        var lastProof: ContinuousClock.Instant? { proof.withLock { $0 } }
        let proofLasts = Duration.seconds(15)
        var clocksOfOthers: [(name: String, ahead: Duration)] { [] }
        func tellTime(_ follow: @escaping @Sendable (SteadyClock.Sample) -> Void) {}
        func probe() -> Bool { false }
        /// The last proof was so long ago.
        func age(_ duration: Duration) { proof.withLock { $0 = .now - duration } }
    }

    private final class LinkedStore: Store {
        let inner: SimulationStore
        let way: Link
        let commits = Record<Int>()

        init(_ inner: SimulationStore, _ way: Link) {
            self.inner = inner
            self.way = way
        }

        var link: (any StoreLink)? { way }
        var reader: any StoreReader { inner.reader }
        func loadUnsettled() throws(StoreError) -> [Workflow] { try inner.loadUnsettled() }
        func load(_ id: WorkflowID) throws(StoreError) -> Workflow? { try inner.load(id) }
        func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
            try inner.workflow(forRequest: requestID)
        }
        func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID] {
            commits.add(batch.changes.count)
            return try inner.commit(batch)
        }
    }

    private func ask(_ engine: Engine, _ commands: [Command], reports: [Report] = []) -> [Result<Reply, RhythmError>] {
        let answers = Record<Result<Reply, RhythmError>>()
        engine.process(commands.map { .command($0) { answers.add($0) } } + reports.map { .report($0) })
        return answers.all
    }

    @Test func nothingWaitsForAStoreThatIsAway() throws {
        let disk = SimulationDisk()
        let store = LinkedStore(SimulationStore(disk), Link())
        let commits = store.commits
        let ids = Record<Int>()
        let published = Record<Publication>()
        let engine = Engine(
            store: store, runner: SimulationRunner(SimulationMachine(SimulationJournal())), clock: SimulationClock(),
            makeID: {
                ids.add(0)
                return "id-\(ids.all.count)"
            }, publish: { published.add($0) },
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), linger: .zero)
        try engine.start { _ in }
        let started = ask(engine, [.start(EngineRig.spec(), requestID: "")])
        let workflow = try #require(started.first?.get().workflow)
        let task = try #require(workflow.steps[0].current?.id)
        let other = try #require(
            ask(engine, [.start(EngineRig.spec(), requestID: "")]).first?.get().workflow)
        _ = commits.take()
        disk.fail([.refuse(.unavailable)])
        // The first one finds out.
        #expect(ask(engine, [.pause(workflow.id, .now, CommandOptions())]).first?.error?.reason == "STORE_UNAVAILABLE")
        #expect(commits.take().count == 1 && engine.isHeldOff && engine.nextWakeUp == nil)
        disk.heal()
        // From then on nobody asks it, however good it may be, until somebody says that it answers.
        let report = Report(
            workflowID: workflow.id, taskID: task,
            .succeeded(result: .array(of: [.string("x")]), at: Timestamp(microseconds: 1_800_000_000_000_000)))
        let answers = ask(
            engine, (0..<20).map { .start(EngineRig.spec("w\($0)"), requestID: "") }, reports: [report])
        #expect(answers.count == 20)
        #expect(
            answers.allSatisfy {
                $0.error?.reason == "STORE_UNAVAILABLE" && $0.error?.effect == RhythmError.Effect.none
            })
        #expect(commits.all.isEmpty && disk.image.workflows.count == 2)
        // What others do to a workflow cannot be looked up: it is let go of, and what was known is remembered.
        _ = published.take()
        engine.process([.changedElsewhere(other.id)])
        #expect(published.all.map(\.released) == [[other.id]] && published.all.map(\.storeIsAway) == [true])
        engine.storeAnswers()
        engine.process([])
        #expect(engine.storeTrouble == nil && !engine.isHeldOff)
        #expect(disk.image.workflows[workflow.id]?.steps[0].status == .success, "what came meanwhile was kept")
        #expect(ask(engine, [.pause(workflow.id, .now, CommandOptions())]).first?.error == nil)
    }

    @Test func theGateStaysClosedUntilSomebodyHasCompared() {
        let link = Link()
        let gate = AttemptGate(link)
        #expect(gate.opening == 0)
        link.age(.seconds(14))
        #expect(gate.opening == 0)
        link.age(.seconds(15))
        #expect(!gate.isOpen, "the lease has run out")
        link.age(.zero)
        #expect(!gate.isOpen, "a new lease does not say what others did meanwhile")
        gate.open()
        #expect(gate.opening == 1, "what was told until now is to be taken in first")
        gate.open()
        #expect(gate.opening == 1)
    }
}
