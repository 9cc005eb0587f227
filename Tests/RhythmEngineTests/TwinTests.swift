import Logging
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// A server that finds out that another one goes by its id.
@Suite struct TwinTests {
    private let clock = SimulationClock()
    private let fleet: FleetDisk
    private let machine = SimulationMachine(SimulationJournal())
    private let published = Record<Publication>()

    init() { fleet = FleetDisk(clock: clock) }

    private func makeEngine(_ performed: Record<Effect>) throws -> Engine {
        let published = published
        let ids = Record<Int>()
        let engine = Engine(
            store: FleetStore(fleet, server: "s", SimulationFuse()),
            runner: ProbedRunner(SimulationRunner(machine)) { $0.forEach(performed.add) }, clock: clock,
            makeID: {
                ids.add(0)
                return "id-\(ids.all.count)"
            }, publish: { published.add($0) },
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), linger: .zero)
        try engine.start { _ in }
        return engine
    }

    private func ask(_ engine: Engine, _ command: Command) throws -> Result<Reply, RhythmError> {
        let answers = Record<Result<Reply, RhythmError>>()
        engine.process([.command(command) { answers.add($0) }])
        return try #require(answers.all.first)
    }

    @Test func itLetsGoOfEverythingAndComesBackWhenItIsAlone() throws {
        let performed = Record<Effect>()
        let engine = try makeEngine(performed)
        let workflow = try #require(try ask(engine, .start(EngineRig.spec(), requestID: "")).get().workflow)
        let task = try #require(workflow.steps[0].current?.id)
        #expect(engine.activeCount == 1)
        _ = performed.take()
        fleet.replace("s")
        clock.advance(by: .seconds(6))
        engine.process([])
        #expect(engine.activeCount == 0 && engine.storeTrouble?.code == .replaced)
        #expect(performed.take() == [.release(task)])
        #expect(published.all.last?.released == [workflow.id])
        // It takes on nothing, and does not begin again by itself.
        let answer = try ask(engine, .start(EngineRig.spec("other"), requestID: ""))
        #expect(answer.error?.code == .unavailable && answer.error?.reason == "STORE_REPLACED")
        #expect(try ask(engine, .pause(workflow.id, .now, CommandOptions())).error?.reason == "STORE_REPLACED")
        for _ in 0..<100 {
            clock.advance(by: .seconds(1))
            engine.process([])
        }
        #expect(engine.activeCount == 0 && performed.take().isEmpty)
        #expect(fleet.disk.image.workflows.count == 1)

        fleet.replace("s", false)
        for _ in 0..<10 {
            clock.advance(by: .seconds(1))
            engine.process([])
        }
        #expect(engine.storeTrouble == nil && engine.activeCount == 1)
        #expect(
            performed.take().compactMap { if case .dispatch(let dispatch) = $0 { dispatch.taskID } else { nil } } == [
                task
            ])
    }
}
