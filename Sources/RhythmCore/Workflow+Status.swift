extension Workflow {
    /// The index of the first step whose status is not SUCCESS; the number of steps if there is none. This is
    /// `steps_done`.
    public var pendingIndex: Int {
        // Here and below by index: a closure over the elements would copy each step and attempt that it looks at.
        steps.indices.first { steps[$0].status != .success } ?? steps.count
    }

    /// The step that decides the status; nil when every step succeeded.
    public var pendingStep: Step? {
        let index = pendingIndex
        return index < steps.count ? steps[index] : nil
    }

    /// The status: a function of the record and nothing else (invariant I4).
    public var status: WorkflowStatus {
        let index = pendingIndex
        switch control {
        case .cancelled: return .revoked
        // Even if every step has succeeded by now: it goes on at the plan's.
        case .resuming(let plan): return (plan.from ?? index) == 0 ? .pending : .started
        case .paused where index < steps.count: return .revoked
        case .running, .pausing, .paused: break
        }
        guard index < steps.count else { return .success }
        switch steps[index].status {
        case .pending: return index == 0 ? .pending : .started
        case .started, .retry: return .started
        case .failure: return .failure
        case .revoked: return .revoked
        case .success: return .success
        }
    }

    /// Whether it was cancelled. Its status then reads REVOKED, and it cannot be resumed.
    public var isCancelled: Bool { control == .cancelled }

    /// Whether a pause holds it, or will when the running step ends.
    public var isPaused: Bool { control == .paused || control == .pausing }

    /// Every attempt a runner may hold, as (step, attempt) positions. At most one per step, and at most one in all
    /// unless a runner reported an attempt gone that was not.
    public var liveAttempts: [AttemptPosition] {
        var found: [AttemptPosition] = []
        for step in steps.indices {
            for attempt in steps[step].attempts.indices where steps[step].attempts[attempt].isLive {
                found.append(AttemptPosition(step: step, attempt: attempt))
            }
        }
        return found
    }

    /// Nothing of it runs any more.
    public var isQuiesced: Bool {
        !steps.indices.contains { step in steps[step].attempts.indices.contains { steps[step].attempts[$0].isLive } }
    }

    /// Nothing happens any more unless somebody acts: it is done and nothing of it runs. Such workflows need no place
    /// in the engine's memory.
    public var isSettled: Bool { status.isDone && isQuiesced }

    /// The attempt at a position.
    public subscript(position: AttemptPosition) -> Attempt {
        get { steps[position.step].attempts[position.attempt] }
        set { steps[position.step].attempts[position.attempt] = newValue }
    }

    /// Where the attempt with this id is; nil if the workflow has none.
    public func position(of task: TaskID) -> AttemptPosition? {
        // Reports concern the latest attempts, so look from the end.
        for step in steps.indices.reversed() {
            for attempt in steps[step].attempts.indices.reversed() where steps[step].attempts[attempt].id == task {
                return AttemptPosition(step: step, attempt: attempt)
            }
        }
        return nil
    }

    /// The attempt of the pending step that counts.
    var currentPosition: AttemptPosition? {
        let index = pendingIndex
        guard index < steps.count, let last = steps[index].attempts.indices.last,
            !steps[index].attempts[last].superseded
        else { return nil }
        return AttemptPosition(step: index, attempt: last)
    }

    /// When the engine has to look at it again although nothing is reported: the end of a retry's delay, or a
    /// timeout (invariant I5). Nil if only a report or a command can move it.
    public var nextWakeUp: Timestamp? {
        guard let position = currentPosition else { return nil }
        let attempt = self[position]
        if attempt.isWaiting { return attempt.notBefore }
        guard attempt.isLive, attempt.revocation == nil else { return nil }
        let spec = steps[position.step].spec
        if let started = attempt.startedAt { return spec.timeout.map { started + $0 } }
        guard let dispatched = attempt.dispatchedAt else { return nil }
        return spec.startTimeout.map { dispatched + $0 }
    }
}

/// Where an attempt stands in its workflow.
public struct AttemptPosition: Sendable, Hashable {
    /// Index of the step.
    public var step: Int
    /// Index of the attempt within the step.
    public var attempt: Int

    /// Makes a position.
    public init(step: Int, attempt: Int) {
        self.step = step
        self.attempt = attempt
    }
}
