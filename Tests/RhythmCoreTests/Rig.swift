import RhythmCore
import Synchronization
import Testing

/// Gives the ids "1", "2", ... to the attempts of one workflow.
final class TaskIDs: Sendable {
    private let last: Mutex<Int>
    init(after last: Int = 0) { self.last = Mutex(last) }
    func next() -> TaskID {
        last.withLock {
            $0 += 1
            return TaskID("\($0)")
        }
    }
}

/// One workflow, a clock, and what the last act led to: lets a rule be read as a short story.
struct Rig {
    var workflow: Workflow
    var now: Timestamp
    /// What the last act led to.
    private(set) var last: Transition
    /// Every event so far.
    private(set) var history: [Event] = []
    private let ids = TaskIDs()

    /// A started workflow of steps named "a", "b", ...
    init(
        steps count: Int = 2, args: String = "[7]", kwargs: String = "{}", each: (inout StepSpec) -> Void = { _ in }
    ) throws {
        let steps = "abcdefgh".prefix(count).map { letter in
            var step = StepSpec(name: String(letter), task: "task.\(letter)")
            each(&step)
            return step
        }
        try self.init(
            WorkflowSpec(
                name: "w", appID: "app", args: JSON(parsing: args), kwargs: JSON(parsing: kwargs), steps: steps))
    }

    init(_ spec: WorkflowSpec) throws {
        try spec.validate()
        now = Timestamp(microseconds: 1_800_000_000_000_000)
        let ids = self.ids
        last = Transition(now: now) { ids.next() }
        workflow = Workflow.start(id: "w-1", spec: spec, in: &last)
        history = last.events
    }

    /// Does something one second later.
    private mutating func act<Result>(_ body: (inout Workflow, inout Transition) throws -> Result) rethrows -> Result {
        now = now + .seconds(1)
        let ids = self.ids
        last = Transition(now: now) { ids.next() }
        let result = try body(&workflow, &last)
        history += last.events
        return result
    }

    @discardableResult
    mutating func pause(_ mode: PauseMode = .now, force: Bool = false) -> Receipt {
        act { $0.pause(mode, force: force, in: &$1) }
    }

    @discardableResult
    mutating func cancel(force: Bool = false) -> Receipt { act { $0.cancel(force: force, in: &$1) } }

    @discardableResult
    mutating func resume(_ args: String? = nil, from step: String? = nil, force: Bool = false) throws -> Receipt {
        let args = try args.map { try JSON(parsing: $0) }
        return try act { try $0.resume(args: args, from: step, force: force, in: &$1) }
    }

    mutating func delete(cancelFirst: Bool = false, force: Bool = false) throws -> Bool {
        try act { try $0.requestDeletion(cancelFirst: cancelFirst, force: force, in: &$1) }
    }

    /// A report of the attempt that counts, or of another.
    mutating func report(_ make: (Timestamp) -> Observation, of task: TaskID? = nil) {
        guard let task = task ?? current?.id else {
            Issue.record("no attempt to report of")
            return
        }
        act { $0.observe(make($1.now), of: task, in: &$1) }
    }

    mutating func start(_ task: TaskID? = nil) { report({ .started(at: $0, worker: "worker-1") }, of: task) }

    mutating func succeed(_ result: String? = "[1]", _ task: TaskID? = nil) throws {
        let result = try result.map { try JSON(parsing: $0) }
        report({ .succeeded(result: result, at: $0) }, of: task)
    }

    mutating func fail(_ task: TaskID? = nil, retriable: Bool = true) {
        report({ .failed(Failure(type: "Boom", message: "it broke", isRetriable: retriable), at: $0) }, of: task)
    }

    mutating func stopped(_ task: TaskID? = nil) { report({ .revoked(detail: "stopped", at: $0) }, of: task) }

    /// Lets time pass up to the next wake-up.
    mutating func sleepUntilWakeUp() throws {
        now = try #require(workflow.nextWakeUp) + .seconds(-1)
        act { $0.wakeUp(in: &$1) }
    }

    /// The attempt of the pending step that counts.
    var current: Attempt? { workflow.pendingStep?.current }
    var status: WorkflowStatus { workflow.status }
    /// What the last act gave to the runner.
    var dispatched: [Dispatch] { last.effects.compactMap { if case .dispatch(let it) = $0 { it } else { nil } } }
    /// Whom the last act asked to stop.
    var revoked: [TaskID] {
        last.effects.compactMap { if case .revoke(let it, of: _, begunBy: _, queue: _) = $0 { it } else { nil } }
    }
    /// Whom the last act let the runner forget.
    var settled: [TaskID] { last.effects.compactMap { if case .settle(let it) = $0 { it } else { nil } } }
    /// What the last act recorded.
    var kinds: [Event.Kind] { last.events.map(\.kind) }
}
