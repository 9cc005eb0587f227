import RhythmCore
import RhythmEngine
import Synchronization

/// Simulated workers on machines of their own: the truth about every attempt, whatever becomes of the servers.
final class FleetWorkers: Sendable {
    enum Phase: Hashable { case queued, running, ended }

    struct Attempt {
        let dispatch: Dispatch
        var phase = Phase.queued
        var stopAsked = false
        var ends: [Observation] = []
    }

    private struct State {
        var attempts: [TaskID: Attempt] = [:]
        /// Revoked, or given up as lost: a message with this id is thrown away by whoever fetches it.
        var refused: Set<TaskID> = []
        var followers: [TaskID: [FleetRunner]] = [:]
        var problems: [String] = []
    }

    private let state = Mutex(State())

    func takeProblems() -> [String] {
        state.withLock { state in
            defer { state.problems = [] }
            return state.problems
        }
    }

    var live: [(TaskID, Attempt)] {
        state.withLock { state in
            state.attempts.filter { $0.value.phase != .ended }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        }
    }

    /// Those that a server waits for although no worker ever got them.
    var missing: [TaskID] {
        state.withLock { state in
            state.followers.filter { state.attempts[$0.key] == nil && !$0.value.isEmpty }.keys.sorted()
        }
    }

    func publish(_ dispatch: Dispatch) {
        state.withLock { state in
            let id = dispatch.taskID
            if state.refused.contains(id) { return }
            if state.attempts[id] != nil { return state.problems.append("\(id) was given to workers twice") }
            let others = state.attempts.filter {
                $0.value.phase != .ended && $0.value.dispatch.workflowID == dispatch.workflowID
            }
            if !others.isEmpty {
                state.problems.append("I2: \(id) is given to workers while \(others.keys.sorted()) live")
            }
            state.attempts[id] = Attempt(dispatch: dispatch)
        }
    }

    func follow(_ id: TaskID, _ runner: FleetRunner) {
        state.withLock { state in
            if !state.followers[id, default: []].contains(where: { $0 === runner }) {
                state.followers[id, default: []].append(runner)
            }
            guard let attempt = state.attempts[id] else { return }
            switch attempt.phase {
            case .queued: break
            case .running: runner.tell(id, [.started(at: Timestamp(microseconds: 0), worker: "w")])
            case .ended: runner.tell(id, attempt.ends)
            }
        }
    }

    func unfollow(_ id: TaskID, _ runner: FleetRunner) {
        state.withLock { $0.followers[id]?.removeAll { $0 === runner } }
    }

    func unfollowAll(_ runner: FleetRunner) {
        state.withLock { state in
            for id in Array(state.followers.keys) { state.followers[id]?.removeAll { $0 === runner } }
        }
    }

    func revoke(_ id: TaskID, _ runner: FleetRunner) {
        state.withLock { state in
            if state.attempts[id] != nil {
                state.attempts[id]?.stopAsked = true
            } else {
                state.refused.insert(id)
                runner.tell(id, [.revoked(detail: "never begun", at: Timestamp(microseconds: 0))])
            }
        }
        follow(id, runner)
    }

    /// Somebody did not want to wait until it has stopped: nobody hears of it any more. What is lost is gone already.
    func bury(_ id: TaskID) {
        state.withLock { state in
            guard let attempt = state.attempts[id], attempt.phase != .ended, attempt.stopAsked else { return }
            state.attempts[id]?.phase = .ended
            state.refused.insert(id)
        }
    }

    func settle(_ id: TaskID) {
        state.withLock { state in
            if let attempt = state.attempts[id], attempt.phase != .ended {
                state.problems.append("\(id) was settled while it lives")
            }
            state.followers[id] = nil
        }
    }

    /// Nobody holds it and the queue is empty: whoever waits for it is told, and it never runs.
    func declareLost(_ id: TaskID, at now: Timestamp) {
        state.withLock { state in
            guard state.attempts[id] == nil else { return }
            state.refused.insert(id)
            for runner in state.followers[id] ?? [] { runner.tell(id, [.lost(detail: "no trace of it", at: now)]) }
        }
    }

    func begin(_ id: TaskID, at now: Timestamp) {
        change(id) { attempt in
            attempt.phase = .running
            return [.started(at: now, worker: "w")]
        }
    }

    func end(_ id: TaskID, _ ends: [Observation]) {
        change(id) { attempt in
            attempt.phase = .ended
            attempt.ends = ends
            return ends
        }
    }

    func say(_ id: TaskID, _ observation: Observation) { change(id) { _ in [observation] } }

    private func change(_ id: TaskID, _ body: (inout Attempt) -> [Observation]) {
        state.withLock { state in
            guard var attempt = state.attempts[id] else { return }
            let said = body(&attempt)
            state.attempts[id] = attempt
            for runner in state.followers[id] ?? [] { runner.tell(id, said) }
        }
    }
}

/// One server's way to the workers.
final class FleetRunner: TaskRunner {
    private struct State {
        var report: (@Sendable ([Report]) -> Void)?
        var workflows: [TaskID: WorkflowID] = [:]
        var mail: [(TaskID, Observation)] = []
        /// What was to be done when the process was stopped in the middle; nil while it runs.
        var frozen: [Effect]?
        var isInTrouble = false
    }

    private let workers: FleetWorkers
    private let fuse: SimulationFuse
    private let state = Mutex(State())

    init(_ workers: FleetWorkers, _ fuse: SimulationFuse) {
        self.workers = workers
        self.fuse = fuse
    }

    var logs: (any LogSource)? { nil }

    /// It says that it can begin nothing. What it is given all the same it begins some time.
    var isInTrouble: Bool {
        get { state.withLock { $0.isInTrouble } }
        set { state.withLock { $0.isInTrouble = newValue } }
    }

    var trouble: String? { isInTrouble ? "the simulated broker is away" : nil }

    func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        state.withLock { $0.report = report }
        perform(outstanding)
    }

    func perform(_ effects: [Effect]) {
        let isFrozen = state.withLock { state in
            state.frozen?.append(contentsOf: effects)
            return state.frozen != nil
        }
        if isFrozen { return }
        for effect in effects where fuse.pass() {
            switch effect {
            case .dispatch(let dispatch):
                state.withLock { $0.workflows[dispatch.taskID] = dispatch.workflowID }
                if !dispatch.isRepeated { workers.publish(dispatch) }
                workers.follow(dispatch.taskID, self)
            case .revoke(let id, of: let workflow, begunBy: _, queue: _):
                state.withLock { $0.workflows[id] = workflow }
                workers.revoke(id, self)
            case .settle(let id): workers.settle(id)
            case .bury(let id): workers.bury(id)
            case .release(let id): workers.unfollow(id, self)
            }
        }
    }

    func purge(_ tasks: [TaskID]) {}
    func stop() {
        workers.unfollowAll(self)
        state.withLock { $0.report = nil }
    }

    func tell(_ id: TaskID, _ observations: [Observation]) {
        state.withLock { $0.mail += observations.map { (id, $0) } }
    }

    /// What has arrived, some of it twice, in any order; with `all`, everything.
    func deliver(all: Bool, using random: inout SeededGenerator) {
        var taken: [(TaskID, Observation)] = []
        var random2 = random
        state.withLock { state in
            var left: [(TaskID, Observation)] = []
            for item in state.mail {
                if all || !random2.once(in: 3) { taken.append(item) } else { left.append(item) }
                if !all, random2.once(in: 6) { left.append(item) }
            }
            state.mail = left
        }
        if !all, random2.once(in: 3) { taken.shuffle(using: &random2) }
        random = random2
        let reports = state.withLock { state in
            taken.compactMap { id, what in
                state.workflows[id].map { Report(workflowID: $0, taskID: id, what) }
            }
        }
        if !reports.isEmpty { state.withLock { $0.report }?(reports) }
    }

    var hasMail: Bool { state.withLock { !$0.mail.isEmpty } }

    /// The process is stopped just after a commit.
    func freeze() { state.withLock { $0.frozen = $0.frozen ?? [] } }

    /// It goes on. After a long time the broker has closed its connection: what it wanted to publish does not go out,
    /// and it has to find out what became of it.
    func thaw(late: Bool) {
        let effects = state.withLock { state in
            defer { state.frozen = nil }
            return state.frozen ?? []
        }
        perform(
            effects.map { effect in
                guard late, case .dispatch(var dispatch) = effect else { return effect }
                dispatch.isRepeated = true
                return .dispatch(dispatch)
            })
    }
}
