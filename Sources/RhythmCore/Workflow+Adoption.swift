/// How a workflow that others orchestrated until now goes on once its record is ours.
public enum AdoptionPlan: Sendable, Hashable {
    /// As its record says: what runs is followed, what has ended stays as it is.
    case keep
    /// The pending step, of which there is no attempt, is sent.
    ///
    /// - Parameter args: nil for what the step before it handed over.
    case send(args: JSON?)
    /// The pending step, whose attempt has ended, is run again.
    ///
    /// - Parameter args: nil for those it had.
    case restart(args: JSON?)
    /// The attempt that runs is stopped; as soon as it is gone the step is run again.
    case stopAndRestart
}

extension Workflow {
    /// Takes the workflow over.
    ///
    /// The record must be whole: all its attempts, each with the latest that is known of it. Attempts beside the one of the
    /// pending step that have no end are closed as lost, so nothing of them may run any more.
    ///
    /// - Parameter detail: why, in a phrase, for the history.
    public mutating func adopt(_ plan: AdoptionPlan, detail: String, in transition: inout Transition) {
        let current = currentPosition
        for position in liveAttempts where position != current { closeAsLost(position, in: &transition) }
        let pending = pendingIndex
        guard pending < steps.count else { return }
        let live = current.map { self[$0].isLive } ?? false
        switch plan {
        case .keep: return
        case .send(let args):
            precondition(current == nil, "step \(pending) of \(id) has an attempt already")
            endedAt = nil
            record(.resumed, detail: detail, in: &transition)
            makeAttempt(
                step: pending, args: args ?? handedArgs(forStep: pending), kwargs: kwargs(forStep: pending),
                in: &transition)
        case .stopAndRestart where live:
            endedAt = nil
            control = .resuming(ResumePlan())
            if let current { revoke(current, reason: .restart, in: &transition) }
            record(.resumed, detail: detail, in: &transition)
        case .restart where live: return
        case .restart(let args): restart(args, detail, in: &transition)
        case .stopAndRestart: restart(nil, detail, in: &transition)
        }
    }

    private mutating func restart(_ args: JSON?, _ detail: String, in transition: inout Transition) {
        let plan = ResumePlan(args: args)
        endedAt = nil
        // Before anything is recorded: no event of this transition may read as an end.
        control = .resuming(plan)
        record(.resumed, detail: detail, in: &transition)
        carryOut(plan, in: &transition)
    }

    private mutating func closeAsLost(_ position: AttemptPosition, in transition: inout Transition) {
        self[position].status = .failure
        self[position].endedAt = transition.now
        self[position].failure = .lost("no worker had it when the workflow was adopted")
        transition.touch(position)
        transition.add(.bury(self[position].id))
    }

    /// The same record with other arguments of the first step.
    public func with(args: JSON) -> Workflow {
        var spec = spec
        spec.args = args
        var copy = Workflow(id: id, spec: spec, createdAt: createdAt, requestID: requestID)
        copy.steps = steps
        copy.control = control
        copy.deletesWhenSettled = deletesWhenSettled
        copy.version = version
        copy.updatedAt = updatedAt
        copy.startedAt = startedAt
        copy.endedAt = endedAt
        copy.requests = requests
        return copy
    }

    /// What the step at `index` gets from the one before it; nil if that did not return what a step hands over.
    public func handOver(toStep index: Int) -> JSON? {
        guard index > 0, let result = steps[index - 1].current?.result, result.isArray else { return nil }
        return result.firstElement.map { .array(of: [$0]) }
    }
}
