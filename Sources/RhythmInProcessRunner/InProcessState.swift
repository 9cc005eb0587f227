import RhythmCore
import RhythmEngine

/// What the in-process runner knows of its attempts; a plain value behind a lock.
struct InProcessState {
    enum Phase {
        case waiting(Dispatch)
        /// The task is nil for a synchronous closure.
        case running(RevokeFlag, Task<Void, Never>?)
        case ended(Observation)
    }

    struct Entry {
        /// Nil once nobody waits for it any more.
        var workflowID: WorkflowID?
        var phase: Phase
    }

    var bodies: [String: InProcessRunner.Body] = [:]
    var queues: RunnerQueues<TaskID>
    let defaultQueue: String
    var entries: [TaskID: Entry] = [:]
    /// Synchronous closures whose turn has come, from `readyHead` on.
    var ready: [InProcessJob] = []
    var readyHead = 0
    /// How many threads run such closures.
    var pumps = 0
    var report: (@Sendable ([Report]) -> Void)?
    private var outbox: [Report] = []
    private var isStopped = false

    init(queues: RunnerQueues<TaskID>, defaultQueue: String) {
        self.queues = queues
        self.defaultQueue = defaultQueue
    }

    mutating func perform(_ effect: Effect) {
        guard !isStopped else { return }
        switch effect {
        case .dispatch(let dispatch):
            guard entries[dispatch.taskID] == nil else { return want(dispatch.taskID, of: dispatch.workflowID) }
            entries[dispatch.taskID] = Entry(workflowID: dispatch.workflowID, phase: .waiting(dispatch))
            queues.enqueue(dispatch.taskID, queue: dispatch.queue ?? defaultQueue, priority: dispatch.priority)
        case .revoke(let id, let workflowID, _, _): revoke(id, of: workflowID)
        case .settle(let id): settle(id)
        case .bury: break  // What is lost on this machine is gone.
        case .release: break  // Attempts of this machine are followed by nobody else.
        }
    }

    private mutating func want(_ id: TaskID, of workflowID: WorkflowID) {
        entries[id]?.workflowID = workflowID
        if case .ended(let end) = entries[id]?.phase { tell(id, end) }
    }

    private mutating func revoke(_ id: TaskID, of workflowID: WorkflowID) {
        guard let entry = entries[id] else {
            // Never seen: from now on it never runs.
            entries[id] = Entry(workflowID: workflowID, phase: .ended(.revoked(detail: "", at: .wallClock)))
            end(id, .revoked(detail: "it had not begun", at: .wallClock))
            return
        }
        want(id, of: workflowID)
        switch entry.phase {
        case .waiting:
            queues.withdraw(id)
            end(id, .revoked(detail: "it was withdrawn before it began", at: .wallClock))
        case .running(let flag, let task):
            flag.raise()
            task?.cancel()
        case .ended: break
        }
    }

    private mutating func settle(_ id: TaskID) {
        switch entries[id]?.phase {
        case .ended: entries[id] = nil
        case .waiting:
            queues.withdraw(id)
            entries[id] = nil
        case .running(let flag, let task):
            flag.raise()
            task?.cancel()
            entries[id]?.workflowID = nil
        case nil: break
        }
    }

    mutating func end(_ id: TaskID, _ observation: Observation) {
        queues.release(id)
        guard let workflowID = entries[id]?.workflowID else {
            entries[id] = nil
            return
        }
        entries[id]?.phase = .ended(observation)
        outbox.append(Report(workflowID: workflowID, taskID: id, observation))
    }

    mutating func tell(_ id: TaskID, _ observation: Observation) {
        guard let workflowID = entries[id]?.workflowID else { return }
        outbox.append(Report(workflowID: workflowID, taskID: id, observation))
    }

    mutating func takeReports() -> [Report] {
        defer { outbox = [] }
        return isStopped ? [] : outbox
    }

    /// Up to `limit` closures to run; empty if there is none, and then the asking thread no longer counts.
    mutating func takeReady(limit: Int) -> [InProcessJob] {
        let end = min(ready.count, readyHead + limit)
        guard readyHead < end else {
            pumps -= 1
            return []
        }
        let taken = Array(ready[readyHead..<end])
        readyHead = end
        if readyHead == ready.count {
            ready.removeAll(keepingCapacity: true)
            readyHead = 0
        }
        return taken
    }

    mutating func stop() {
        isStopped = true
        report = nil
        ready = []
        readyHead = 0
        for entry in entries.values {
            if case .running(let flag, let task) = entry.phase {
                flag.raise()
                task?.cancel()
            }
        }
        entries = [:]
    }
}

/// A synchronous closure and what it is called with.
struct InProcessJob: Sendable {
    let invocation: Invocation
    let body: InProcessRunner.SynchronousBody
}
