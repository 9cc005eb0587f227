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

    private static func makeEngine(
        _ store: any Store, clock: SimulationClock = SimulationClock(), performed: Record<Effect> = Record()
    ) throws -> Engine {
        let ids = Record<Int>()
        let machine = SimulationMachine(SimulationJournal())
        let engine = Engine(
            store: store, runner: ProbedRunner(SimulationRunner(machine)) { $0.forEach(performed.add) }, clock: clock,
            makeID: {
                ids.add(0)
                return "id-\(ids.all.count)"
            }, publish: { _ in }, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
            linger: .zero)
        try engine.start { _ in }
        return engine
    }

    /// Nobody asks for anything after a read failed: that the store answers is enough.
    @Test func anIdleServerIsWellAgain() throws {
        let disk = SimulationDisk()
        let engine = try Self.makeEngine(LinkedStore(SimulationStore(disk), Link()))
        disk.isAway = true
        #expect(ask(engine, [.pause("unknown", .now, CommandOptions())]).first?.error?.reason == "STORE_UNAVAILABLE")
        #expect(engine.isHeldOff && engine.storeTrouble?.code == .unavailable)
        disk.heal()
        engine.storeAnswers()
        engine.process([])
        #expect(engine.storeTrouble == nil && disk.commits == 0)
    }

    /// What a read met ends with the next read that meets nothing, and attempts may begin again.
    @Test func aReadThatFailedOnce() throws {
        let clock = SimulationClock()
        let store = FleetStore(FleetDisk(clock: clock), server: "s", SimulationFuse())
        store.link = Link()
        let engine = try Self.makeEngine(store, clock: clock)
        let gate = try #require(engine.gate)
        store.readTrouble = { _ in StoreError(.permission, "not now") }
        #expect(ask(engine, [.pause("unknown", .now, CommandOptions())]).first?.error?.reason == "STORE_PERMISSION")
        #expect(engine.storeTrouble?.code == .permission && !gate.isOpen)
        store.readTrouble = { _ in nil }
        engine.process([])
        #expect(engine.storeTrouble == nil && gate.isOpen)
    }

    /// Nor does a server stand still for ever because what it was refused nobody asks for again: its lease is a write too.
    @Test func aCommandThatWasRefusedOnce() throws {
        let clock = SimulationClock()
        let fleet = FleetDisk(clock: clock)
        let store = FleetStore(fleet, server: "s", SimulationFuse())
        store.link = Link()
        let engine = try Self.makeEngine(store, clock: clock)
        let gate = try #require(engine.gate)
        fleet.disk.fail([.refuse(.permission)])
        #expect(ask(engine, [.start(EngineRig.spec(), requestID: "")]).first?.error?.reason == "STORE_PERMISSION")
        engine.process([])
        #expect(engine.storeTrouble?.code == .permission && !gate.isOpen)
        clock.advance(by: .seconds(6))
        engine.process([])
        #expect(engine.storeTrouble == nil && gate.isOpen)
    }

    /// A full disk is not well because it can be read.
    @Test func readsSayNothingOfWrites() throws {
        let disk = SimulationDisk()
        let engine = try Self.makeEngine(LinkedStore(SimulationStore(disk), Link()))
        disk.fail([.refuse(.full)])
        #expect(ask(engine, [.start(EngineRig.spec(), requestID: "")]).first?.error?.reason == "STORE_FULL")
        #expect(ask(engine, [.pause("unknown", .now, CommandOptions())]).first?.error?.reason == "NO_SUCH_WORKFLOW")
        #expect(engine.storeTrouble?.code == .full)
        #expect(ask(engine, [.start(EngineRig.spec(), requestID: "")]).first?.error == nil)
        #expect(engine.storeTrouble == nil)
    }

    /// One record that cannot be read keeps no other workflow from going on.
    @Test func oneUnreadableRecord() throws {
        let clock = SimulationClock()
        let store = FleetStore(FleetDisk(clock: clock), server: "s", SimulationFuse())
        store.link = Link()
        let performed = Record<Effect>()
        let engine = try Self.makeEngine(store, clock: clock, performed: performed)
        let gate = try #require(engine.gate)
        let bad = try #require(try ask(engine, [.start(EngineRig.spec(), requestID: "")]).first?.get().workflow)
        let good = try #require(try ask(engine, [.start(EngineRig.spec(), requestID: "")]).first?.get().workflow)
        let task = try #require(bad.steps[0].current?.id)
        store.readTrouble = { $0 == bad.id ? StoreError(.corrupt, "it makes no sense") : nil }
        engine.process([.changedElsewhere(bad.id)])
        gate.close()
        _ = performed.take()
        engine.process([])
        #expect(gate.isOpen && engine.storeTrouble == nil)
        #expect(performed.take() == [.release(task)], "it may be another's, or be replaced")
        #expect(ask(engine, [.pause(bad.id, .now, CommandOptions())]).first?.error != nil)
        #expect(ask(engine, [.pause(good.id, .now, CommandOptions())]).first?.error == nil)
        #expect(engine.nextWakeUp.map { $0 > clock.now() } == true, "it is not asked for without a pause")
        // Somebody has mended it.
        store.readTrouble = { _ in nil }
        _ = performed.take()
        clock.advance(by: .seconds(2))
        engine.process([])
        let again = performed.take().compactMap { effect in
            if case .dispatch(let dispatch) = effect { (dispatch.taskID, dispatch.isRepeated) } else { nil }
        }
        #expect(again.map(\.0) == [task] && again.map(\.1) == [true])
        #expect(ask(engine, [.pause(bad.id, .now, CommandOptions())]).first?.error == nil)
    }

    /// What another server took over while the store was away leaves nothing to be stored.
    @Test func takenOverWhileTheStoreWasAway() throws {
        let clock = SimulationClock()
        let fleet = FleetDisk(clock: clock)
        let store = FleetStore(fleet, server: "s", SimulationFuse())
        store.link = Link()
        let engine = try Self.makeEngine(store, clock: clock)
        let workflow = try #require(try ask(engine, [.start(EngineRig.spec(), requestID: "")]).first?.get().workflow)
        let task = try #require(workflow.steps[0].current?.id)
        _ = ask(
            engine, [],
            reports: [
                Report(workflowID: workflow.id, taskID: task, .started(at: clock.now(), worker: "w")),
                Report(
                    workflowID: workflow.id, taskID: task,
                    .progress(ProgressReport(done: 1, total: 2, at: clock.now()))),
            ])
        _ = ask(
            engine, [],
            reports: [
                Report(
                    workflowID: workflow.id, taskID: task,
                    .progress(ProgressReport(done: 2, total: 2, at: clock.now())))
            ])
        #expect(engine.progressDueAt != nil)
        fleet.disk.isAway = true
        #expect(ask(engine, [.pause("unknown", .now, CommandOptions())]).first?.error?.reason == "STORE_UNAVAILABLE")
        #expect(engine.isHeldOff)
        engine.process([.changedElsewhere(workflow.id)])
        #expect(engine.activeCount == 0)
        fleet.disk.heal()
        #expect(engine.unsavedProgress.isEmpty)
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
