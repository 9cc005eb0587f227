package import RhythmCore
package import RhythmEngine
import Synchronization

/// The machine on which simulated attempts run: the truth about them. It outlives every server process.
package final class SimulationMachine: Sendable {
    package enum Phase: Sendable, Hashable { case queued, running, ended }

    /// One attempt as it really is.
    package struct Attempt: Sendable {
        package let dispatch: Dispatch
        package var phase = Phase.queued
        package var stopAsked = false
        /// What is told when it has ended; more than one if a stop raced with the end.
        package var ends: [Observation] = []
        package var retries = 0

        package var isLive: Bool { phase != .ended }
    }

    private struct State {
        var attempts: [TaskID: Attempt] = [:]
        /// Revoked before they were ever dispatched: they never run.
        var refused: [TaskID: WorkflowID] = [:]
        var toldToStop: Set<TaskID> = []
        var settled: Set<TaskID> = []
        var purged: Set<TaskID> = []
        var mailbox: [Report] = []
    }

    private let state = Mutex(State())
    private let journal: SimulationJournal

    package init(_ journal: SimulationJournal) { self.journal = journal }

    /// Every attempt it still knows, in the order of their ids.
    package var attempts: [(TaskID, Attempt)] {
        state.withLock { $0.attempts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
    }

    package func live(of workflow: WorkflowID) -> [TaskID] {
        state.withLock { state in
            state.attempts.filter { $0.value.isLive && $0.value.dispatch.workflowID == workflow }.keys.sorted()
        }
    }

    /// Those that were told to stop while they lived, whatever became of them since.
    package var toldToStop: Set<TaskID> { state.withLock { $0.toldToStop } }
    package var settled: Set<TaskID> { state.withLock { $0.settled } }
    package var purged: Set<TaskID> { state.withLock { $0.purged } }
    package var mailCount: Int { state.withLock { $0.mailbox.count } }

    /// Takes reports out of the mailbox; `keep` says which of them are to arrive once more.
    package func takeMail(_ pick: (inout [Report]) -> [Report]) -> [Report] { state.withLock { pick(&$0.mailbox) } }

    // MARK: What attempts do by themselves

    package func begin(_ id: TaskID, now: Timestamp) {
        update(id) { attempt in
            attempt.phase = .running
            return [.started(at: now, worker: "machine")]
        }
    }

    package func say(_ observation: Observation, of id: TaskID) { update(id) { _ in [observation] } }

    package func retry(_ id: TaskID) {
        update(id) { attempt in
            attempt.retries += 1
            return [.retrying(retries: attempt.retries, Failure(type: "Flaky", message: "again"))]
        }
    }

    package func end(_ id: TaskID, _ ends: [Observation]) {
        update(id) { attempt in
            attempt.phase = .ended
            attempt.ends = ends
            return ends
        }
    }

    private func update(_ id: TaskID, _ body: (inout Attempt) -> [Observation]) {
        state.withLock { state in
            guard var attempt = state.attempts[id] else { return }
            let said = body(&attempt)
            state.attempts[id] = attempt
            state.mailbox += said.map { Report(workflowID: attempt.dispatch.workflowID, taskID: id, $0) }
        }
    }

    // MARK: What the server asks of it

    /// The server process died: what was on its way to it is lost; so are the attempts themselves if they ran in it.
    package func disconnect(attemptsDie: Bool) {
        state.withLock { state in
            state.mailbox = []
            if attemptsDie {
                state.attempts = [:]
                state.refused = [:]
            }
        }
    }

    /// A server process begins: it is told again what it may have missed, and what it does not ask for is forgotten.
    package func connect(_ outstanding: [Effect]) {
        let wanted = Set(
            outstanding.compactMap { effect -> TaskID? in
                switch effect {
                case .dispatch(let dispatch): dispatch.taskID
                case .revoke(let id, of: _, begunBy: _, queue: _): id
                case .settle, .bury, .release: nil
                }
            })
        let unwanted = state.withLock { state in
            for case .bury(let id) in outstanding { state.attempts[id] = nil }
            let unwanted = state.attempts.filter { !wanted.contains($0.key) }
            for id in unwanted.keys { state.attempts[id] = nil }
            return unwanted.filter { $0.value.isLive }.keys.sorted()
        }
        if !unwanted.isEmpty { journal.append(.problem("\(unwanted) run, but nobody asks for them after a restart")) }
        for effect in outstanding { perform(effect) }
        state.withLock { state in
            for (id, attempt) in state.attempts.sorted(by: { $0.key < $1.key }) where attempt.phase == .running {
                let begun = Observation.started(at: Timestamp(microseconds: 0), worker: "machine")
                state.mailbox.append(Report(workflowID: attempt.dispatch.workflowID, taskID: id, begun))
            }
        }
    }

    package func perform(_ effect: Effect) {
        state.withLock { state in
            switch effect {
            case .dispatch(let dispatch): dispatched(dispatch, &state)
            case .revoke(let id, of: let workflow, begunBy: _, queue: _): revoke(id, workflow, &state)
            case .settle(let id):
                if state.attempts[id]?.isLive == true { journal.append(.problem("\(id) was settled while it runs")) }
                state.attempts[id] = nil
                state.refused[id] = nil
                state.settled.insert(id)
            // Somebody did not want to wait for it: whatever becomes of it, nobody hears of it any more.
            case .bury(let id): if state.attempts[id]?.isLive == true { state.attempts[id] = nil }
            case .release: break
            }
        }
    }

    package func purge(_ ids: [TaskID]) { state.withLock { $0.purged.formUnion(ids) } }

    private func dispatched(_ dispatch: Dispatch, _ state: inout State) {
        let id = dispatch.taskID
        if let attempt = state.attempts[id] {
            // Known: it runs once. Its end is told again.
            if !attempt.isLive { tellEnd(of: id, attempt, &state) }
            return
        }
        guard state.refused[id] == nil else {
            state.mailbox.append(
                Report(workflowID: dispatch.workflowID, taskID: id, .revoked(detail: "refused", at: dispatchTime)))
            return
        }
        if state.settled.contains(id) { journal.append(.problem("\(id) is dispatched after its end was settled")) }
        let others = state.attempts.filter { $0.value.isLive && $0.value.dispatch.workflowID == dispatch.workflowID }
        if !others.isEmpty {
            journal.append(
                .problem("I2: \(id) of \(dispatch.workflowID) is dispatched while \(others.keys.sorted()) run"))
        }
        state.attempts[id] = Attempt(dispatch: dispatch)
        journal.append(.dispatched(dispatch))
    }

    private func revoke(_ id: TaskID, _ workflow: WorkflowID, _ state: inout State) {
        if let attempt = state.attempts[id] {
            guard attempt.isLive else { return tellEnd(of: id, attempt, &state) }
            state.attempts[id]?.stopAsked = true
            state.toldToStop.insert(id)
            return
        }
        state.refused[id] = workflow
        state.mailbox.append(
            Report(workflowID: workflow, taskID: id, .revoked(detail: "never begun", at: dispatchTime)))
    }

    private func tellEnd(of id: TaskID, _ attempt: Attempt, _ state: inout State) {
        state.mailbox += attempt.ends.map { Report(workflowID: attempt.dispatch.workflowID, taskID: id, $0) }
    }

    /// Long ago: a worker whose clock is wrong.
    private var dispatchTime: Timestamp { Timestamp(microseconds: 0) }
}

/// The machine as one server process sees it.
package final class SimulationRunner: TaskRunner {
    private let machine: SimulationMachine
    private let fuse: SimulationFuse
    private let report = Mutex<(@Sendable ([Report]) -> Void)?>(nil)

    package init(_ machine: SimulationMachine, _ fuse: SimulationFuse = SimulationFuse()) {
        self.machine = machine
        self.fuse = fuse
    }

    package var logs: (any LogSource)? { nil }

    package func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        guard fuse.pass() else { return }
        self.report.withLock { $0 = report }
        machine.connect(outstanding)
    }

    package func perform(_ effects: [Effect]) {
        for effect in effects where fuse.pass() { machine.perform(effect) }
    }

    package func purge(_ tasks: [TaskID]) { if fuse.pass() { machine.purge(tasks) } }

    package func stop() { report.withLock { $0 = nil } }

    /// Lets reports arrive.
    package func deliver(_ reports: [Report]) { report.withLock { $0 }?(reports) }
}
