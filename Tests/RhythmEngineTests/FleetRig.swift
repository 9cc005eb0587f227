import Logging
import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmEngine

/// Real engines over one simulated store and one simulated machine, driven by hand.
final class FleetRig {
    /// One of the servers, and what it did.
    final class Server {
        let engine: Engine
        let store: FleetStore
        let runner: ProbedRunner
        let effects = Record<Effect>()
        let published = Record<Publication>()
        private let clock: SimulationClock
        private let machine: SimulationMachine

        init(_ name: String, _ fleet: FleetDisk, _ machine: SimulationMachine, _ clock: SimulationClock) throws {
            let (effects, published, ids) = (effects, published, Record<Int>())
            self.clock = clock
            self.machine = machine
            store = FleetStore(fleet, server: name, SimulationFuse())
            runner = ProbedRunner(SimulationRunner(machine)) { $0.forEach(effects.add) }
            engine = Engine(
                store: store, runner: runner, clock: clock,
                makeID: {
                    ids.add(0)
                    return "\(name)-\(ids.all.count)"
                }, publish: { published.add($0) },
                logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), linger: .zero)
            try engine.start { _ in }
        }

        func ask(_ commands: [Command]) -> [Result<Reply, RhythmError>] {
            let answers = Record<Result<Reply, RhythmError>>()
            engine.process(commands.map { .command($0) { answers.add($0) } })
            return answers.all
        }

        func start(_ count: Int, _ spec: WorkflowSpec = EngineRig.spec()) throws -> [Workflow] {
            try ask((0..<count).map { _ in .start(spec, requestID: "") }).compactMap { try $0.get().workflow }
        }

        /// What the runner is said to have seen of the attempt that counts.
        func report(_ workflow: Workflow, _ observation: Observation) {
            guard let task = workflow.pendingStep?.current?.id else { return }
            if observation.isEnd { machine.end(task, [observation]) }
            engine.process([.report(Report(workflowID: workflow.id, taskID: task, observation))])
        }

        /// Says of attempts that they are in a queue.
        func queue(_ workflows: some Sequence<Workflow>) {
            for workflow in workflows { report(workflow, .queued(at: clock.now())) }
        }

        /// The attempts that its runner was given, as new ones or as such that workers may have.
        func dispatched(again: Bool) -> [TaskID] {
            effects.all.compactMap { effect in
                if case .dispatch(let dispatch) = effect, dispatch.isRepeated == again { dispatch.taskID } else { nil }
            }
        }

        /// The attempts that it lets go of without touching them.
        var released: [TaskID] { effects.all.compactMap { if case .release(let id) = $0 { id } else { nil } } }
    }

    let clock = SimulationClock()
    let fleet: FleetDisk
    private let journal = SimulationJournal()
    private let machine: SimulationMachine

    init() {
        fleet = FleetDisk(clock: clock)
        machine = SimulationMachine(journal)
    }

    func makeServer(_ name: String) throws -> Server { try Server(name, fleet, machine, clock) }

    func pass(seconds: Int, _ servers: [Server]) {
        for _ in 0..<seconds {
            clock.advance(by: .seconds(1))
            for server in servers { server.engine.process([]) }
        }
    }

    /// What the machine found wrong, such as two attempts of a step at once.
    func takeProblems() -> [String] {
        journal.take().compactMap { if case .problem(let problem) = $0 { problem } else { nil } }
    }

    func stored(_ id: WorkflowID) throws -> Workflow { try #require(fleet.disk.image.workflows[id]) }
}
