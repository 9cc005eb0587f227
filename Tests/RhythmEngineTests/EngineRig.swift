import Logging
import RhythmCore
import RhythmEngine
import RhythmTesting
import Synchronization
import Testing

/// What happened in which order, from any thread.
final class Record<Element: Sendable>: Sendable {
    private let entries = Mutex<[Element]>([])
    func add(_ entry: Element) { entries.withLock { $0.append(entry) } }
    var all: [Element] { entries.withLock { $0 } }
    func take() -> [Element] {
        entries.withLock { entries in
            defer { entries = [] }
            return entries
        }
    }
}

/// A simulated store that tells when it is called, and lets a test do something just before.
final class ProbedStore: Store {
    private let store: SimulationStore
    private let onCommit: @Sendable (CommitBatch) -> Void

    init(_ store: SimulationStore, onCommit: @escaping @Sendable (CommitBatch) -> Void) {
        self.store = store
        self.onCommit = onCommit
    }

    var reader: any StoreReader { store.reader }
    func loadUnsettled() throws(StoreError) -> [Workflow] { try store.loadUnsettled() }
    func load(_ id: WorkflowID) throws(StoreError) -> Workflow? { try store.load(id) }
    func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        try store.workflow(forRequest: requestID)
    }
    func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID] {
        onCommit(batch)
        // As a database with a limit for a record.
        for change in batch.changes {
            let sizes = change.workflow.steps.flatMap(\.attempts).map { $0.result?.text.utf8.count ?? 0 }
            if sizes.contains(where: { $0 > 100_000 }) || change.workflow.args.text.utf8.count > 100_000 {
                throw StoreError(.full, "the record is too large", workflow: change.workflow.id)
            }
        }
        return try store.commit(batch)
    }
}

/// A runner that tells when it is called.
final class ProbedRunner: TaskRunner {
    private let runner: SimulationRunner
    private let onPerform: @Sendable ([Effect]) -> Void
    private let troubleNow = Mutex<String?>(nil)

    /// Why it begins nothing, as the test wishes.
    var trouble: String? {
        get { troubleNow.withLock { $0 } }
        set { troubleNow.withLock { $0 = newValue } }
    }

    init(_ runner: SimulationRunner, onPerform: @escaping @Sendable ([Effect]) -> Void) {
        self.runner = runner
        self.onPerform = onPerform
    }

    var logs: (any LogSource)? { nil }
    func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        runner.start(outstanding: outstanding, report: report)
    }
    func perform(_ effects: [Effect]) {
        onPerform(effects)
        runner.perform(effects)
    }
    func purge(_ tasks: [TaskID]) { runner.purge(tasks) }
    func stop() { runner.stop() }
}

/// A real engine over simulated ports, driven by hand.
final class EngineRig {
    let clock = SimulationClock()
    let disk = SimulationDisk()
    let machine = SimulationMachine(SimulationJournal())
    /// "commit", "perform", "reply", "publish" in the order in which they came.
    let order = Record<String>()
    let batches = Record<CommitBatch>()
    let published = Record<Publication>()
    private let ids = Record<Int>()
    private let linger: Duration
    private(set) var engine: Engine

    init(linger: Duration = .zero) throws {
        self.linger = linger
        engine = Self.makeEngine(clock, disk, machine, order, batches, published, ids, linger)
        try engine.start { _ in }
    }

    private static func makeEngine(
        _ clock: SimulationClock, _ disk: SimulationDisk, _ machine: SimulationMachine, _ order: Record<String>,
        _ batches: Record<CommitBatch>, _ published: Record<Publication>, _ ids: Record<Int>, _ linger: Duration
    ) -> Engine {
        let store = ProbedStore(SimulationStore(disk)) { batch in
            order.add("commit")
            batches.add(batch)
        }
        let runner = ProbedRunner(SimulationRunner(machine)) { _ in order.add("perform") }
        return Engine(
            store: store, runner: runner, clock: clock,
            makeID: {
                ids.add(0)
                return "id-\(ids.all.count)"
            },
            publish: { publication in
                order.add("publish")
                published.add(publication)
            }, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), linger: linger)
    }

    /// The process is killed and another one starts.
    func restart() throws {
        machine.disconnect(attemptsDie: false)
        engine = Self.makeEngine(clock, disk, machine, order, batches, published, ids, linger)
        try engine.start { _ in }
    }

    /// All of them in one cycle, with whatever is in the mail.
    @discardableResult
    func ask(_ commands: [Command], within scope: AppScope = .all) -> [Result<Reply, RhythmError>] {
        let answers = Record<(Int, Result<Reply, RhythmError>)>()
        let order = order
        var inputs = mail()
        for (number, command) in commands.enumerated() {
            inputs.append(
                .command(command, within: scope) { result in
                    order.add("reply")
                    answers.add((number, result))
                })
        }
        engine.process(inputs)
        return answers.all.sorted { $0.0 < $1.0 }.map(\.1)
    }

    @discardableResult
    func ask(_ command: Command) throws -> Reply { try #require(ask([command]).first).get() }

    /// One cycle for what is in the mail, and for what is due.
    func run() { engine.process(mail()) }

    func sleepUntilWakeUp() throws {
        let due = try #require(engine.nextWakeUp)
        clock.advance(by: due.since(clock.now()))
        run()
    }

    private func mail() -> [Input] {
        machine.takeMail { mailbox in
            defer { mailbox = [] }
            return mailbox
        }.map { .report($0) }
    }

    func start(_ spec: WorkflowSpec = spec(), requestID: String = "") throws -> Workflow {
        guard case .started(let workflow, replayed: false) = try ask(.start(spec, requestID: requestID)) else {
            throw RhythmError(.internal, reason: "TEST", "a start was replayed")
        }
        return workflow
    }

    static func spec(_ name: String = "w", steps: Int = 2, each: (inout StepSpec) -> Void = { _ in }) -> WorkflowSpec {
        WorkflowSpec(
            name: name, appID: "app", args: .array(of: [.string("in")]),
            steps: (0..<steps).map { index in
                var step = StepSpec(name: "s\(index)", task: "t")
                each(&step)
                return step
            })
    }

    func stored(_ id: WorkflowID) throws -> Workflow { try #require(disk.image.workflows[id]) }
    var running: [TaskID] { machine.attempts.filter { $0.1.isLive }.map(\.0) }

    func succeed(_ task: TaskID) {
        machine.end(task, [.succeeded(result: .array(of: [.string("out")]), at: clock.now())])
    }
    func begin(_ task: TaskID) { machine.say(.started(at: clock.now(), worker: "w"), of: task) }
    func progress(_ task: TaskID, _ done: Double) {
        machine.say(.progress(ProgressReport(done: done, total: 100, at: clock.now())), of: task)
    }
}

extension Result where Success == Reply, Failure == RhythmError {
    var error: RhythmError? { if case .failure(let error) = self { error } else { nil } }
}

extension Reply {
    var receipt: Receipt? { if case .receipt(let receipt, _) = self { receipt } else { nil } }
    var workflow: Workflow? { if case .started(let workflow, _) = self { workflow } else { nil } }
    var isReplayed: Bool {
        switch self {
        case .started(_, let replayed), .receipt(_, let replayed): replayed
        case .deleted: false
        }
    }
    var isGone: Bool? { if case .deleted(let gone) = self { gone } else { nil } }
}
