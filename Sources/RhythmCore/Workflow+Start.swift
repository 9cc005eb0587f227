extension Workflow {
    /// Accepts a workflow: makes its record and the first attempt's intent.
    ///
    /// `spec` has been validated; the caller has made sure that `id` is free.
    public static func start(
        id: WorkflowID, spec: WorkflowSpec, requestID: String = "", in transition: inout Transition
    ) -> Workflow {
        var workflow = Workflow(id: id, spec: spec, createdAt: transition.now, requestID: requestID)
        workflow.record(.created, in: &transition)
        workflow.makeAttempt(step: 0, args: spec.args, kwargs: workflow.kwargs(forStep: 0), in: &transition)
        return workflow
    }

    /// What has to be done for this workflow after a crash, whether or not it was done before: the runner is given
    /// every live attempt again, and told again which of them to stop and which are lost. All of it is harmless to repeat.
    public var outstandingEffects: [Effect] {
        var effects: [Effect] = []
        for step in steps {
            for attempt in step.attempts where attempt.failure?.isLoss == true || attempt.failure?.isGivenUp == true {
                effects.append(.bury(attempt.id))
            }
        }
        for position in liveAttempts {
            if self[position].revocation != nil {
                effects.append(revoke(at: position))
            } else {
                var dispatch = dispatch(at: position)
                dispatch.isRepeated = true
                effects.append(.dispatch(dispatch))
            }
        }
        return effects
    }

    /// What asks a runner to stop an attempt, made from the record.
    func revoke(at position: AttemptPosition) -> Effect {
        .revoke(
            self[position].id, of: id, begunBy: workerToHandOn(at: position), queue: steps[position.step].spec.queue)
    }

    /// The worker that has an attempt, as far as is known. Between two runs that is nobody: any may have begun the next.
    private func workerToHandOn(at position: AttemptPosition) -> String? {
        self[position].status == .retry ? nil : self[position].worker
    }

    /// The dispatch of an attempt, made from the record.
    public func dispatch(at position: AttemptPosition) -> Dispatch {
        let attempt = self[position]
        let spec = steps[position.step].spec
        return Dispatch(
            taskID: attempt.id, attempt: attempt.number, workflowID: id, appID: appID, step: spec.name,
            task: spec.task, queue: spec.queue, priority: spec.effectivePriority(at: position.step),
            args: attempt.args, kwargs: attempt.kwargs, inject: spec.inject, queuedAt: attempt.queuedAt,
            startedAt: attempt.startedAt,
            worker: workerToHandOn(at: position),
            following: steps[(position.step + 1)...].prefix(Dispatch.followingMax).map {
                .init(name: $0.spec.name, task: $0.spec.task, inject: $0.spec.inject)
            })
    }
}

// MARK: What commands and observations have in common

extension Workflow {
    /// Writes down one transition. Call it after the change, so that the event tells the state it led to.
    mutating func record(
        _ kind: Event.Kind, at position: AttemptPosition? = nil, detail: String = "", in transition: inout Transition
    ) {
        version += 1
        updatedAt = transition.now
        if let position { transition.touch(position) }
        transition.add(
            Event(
                workflowID: id, version: version, at: transition.now, kind: kind, status: status,
                stepsDone: pendingIndex, step: position.map { steps[$0.step].spec.name } ?? "",
                taskID: position.map { self[$0].id }, attempt: position.map { self[$0].number } ?? 0, detail: detail))
    }

    /// Keyword arguments of a step: the call's (first step only) win over the step's own.
    func kwargs(forStep index: Int) -> JSON {
        let own = steps[index].spec.kwargs
        guard index == 0, kwargs.text != "{}" else { return own }
        if own.text == "{}" { return kwargs }
        return JSON(own.value.merging(kwargs.value))
    }

    /// The one positional argument that the step before hands on; the workflow's own for the first step.
    func handedArgs(forStep index: Int) -> JSON {
        guard index > 0 else { return args }
        guard let first = steps[index - 1].current?.result?.firstElement else { return .emptyArray }
        return .array(of: [first])
    }

    /// Adds an attempt and records the intent to run it, at once or after a delay.
    mutating func makeAttempt(
        step index: Int, args: JSON, kwargs: JSON, retry: Int = 0, delay: Duration = .zero,
        in transition: inout Transition
    ) {
        let position = appendAttempt(
            step: index, args: args, kwargs: kwargs, retry: retry, delay: delay, in: &transition)
        announceAttempt(at: position, delay: delay, in: &transition)
    }

    /// Adds an attempt without recording an event yet.
    mutating func appendAttempt(
        step index: Int, args: JSON, kwargs: JSON, retry: Int, delay: Duration, in transition: inout Transition
    ) -> AttemptPosition {
        var attempt = Attempt(
            id: transition.newTaskID(), number: steps[index].attempts.count + 1, retry: retry, args: args,
            kwargs: kwargs, queue: steps[index].spec.queue, createdAt: transition.now)
        if delay > .zero {
            attempt.notBefore = transition.now + delay
        } else if transition.keepsFromRunners {
            attempt.notBefore = transition.now
            transition.leaveAttempt()
        } else {
            attempt.dispatchedAt = transition.now
        }
        steps[index].attempts.append(attempt)
        let position = AttemptPosition(step: index, attempt: steps[index].attempts.count - 1)
        transition.touch(position)
        return position
    }

    /// Records the event, and the effect, of an attempt that was appended.
    mutating func announceAttempt(at position: AttemptPosition, delay: Duration, in transition: inout Transition) {
        if delay > .zero {
            record(
                .retryScheduled, at: position, detail: "in \(delay.wholeMilliseconds) ms", in: &transition)
        } else if self[position].dispatchedAt != nil {
            record(.dispatched, at: position, in: &transition)
            transition.add(.dispatch(dispatch(at: position)))
        }
    }

    /// Asks the attempt to stop; the first reason stays unless a person gives another.
    mutating func revoke(
        _ position: AttemptPosition, reason: Revocation.Reason, in transition: inout Transition
    ) {
        if self[position].revocation != nil {
            self[position].revocation?.reason = reason
            transition.touch(position)
            return
        }
        self[position].revocation = Revocation(reason: reason, requestedAt: transition.now)
        record(.revoking, at: position, detail: reason.rawValue, in: &transition)
        transition.add(revoke(at: position))
    }

    /// Takes back an attempt that no runner has seen.
    mutating func withdraw(
        _ position: AttemptPosition, reason: Revocation.Reason, in transition: inout Transition
    ) {
        self[position].revocation = Revocation(reason: reason, requestedAt: transition.now)
        self[position].status = .revoked
        self[position].endedAt = transition.now
        record(.revoked, at: position, detail: "before it was dispatched", in: &transition)
    }

    /// Sets back the steps from the plan's on and starts there. Nothing of the workflow runs when this is called.
    mutating func carryOut(_ plan: ResumePlan, in transition: inout Transition) {
        let index = plan.from ?? pendingIndex
        precondition(index < steps.count && isQuiesced, "resume of \(id) at step \(index) in \(self)")
        let previous = steps[index].current
        let args = plan.args ?? previous?.args ?? handedArgs(forStep: index)
        let kwargs = previous?.kwargs ?? kwargs(forStep: index)
        control = .running
        endedAt = nil
        for later in index..<steps.count where steps[later].current != nil {
            let position = AttemptPosition(step: later, attempt: steps[later].attempts.count - 1)
            self[position].superseded = true
            transition.touch(position)
        }
        makeAttempt(step: index, args: args, kwargs: kwargs, in: &transition)
    }
}
