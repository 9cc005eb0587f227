import RhythmCore

extension ModelWorld {
    /// A receipt tells the truth.
    mutating func take(_ receipt: Receipt, holds: Bool, before: Workflow, _ transition: Transition) throws {
        if receipt.accepted && holds { isHeld = true }
        if receipt.quiesced && !runner.running.isEmpty { throw violation("receipt says quiesced, but something runs") }
        if receipt.status != workflow.status || receipt.version != workflow.version {
            throw violation("receipt tells another state")
        }
        if (receipt.already || !receipt.accepted) && (before != workflow || !transition.isEmpty) {
            throw violation("a command that was refused, or was so already, changed something")
        }
        if !receipt.accepted && receipt.reason.isEmpty { throw violation("refused without a reason") }
        if let revoked = receipt.revokedStep, workflow.position(of: revoked.taskID).map({ workflow[$0].isLive }) != true
        {
            throw violation("receipt names a revoked attempt that is not live")
        }
    }

    /// A report arrives; then arrives twice more, which must change nothing.
    mutating func observe(_ word: ModelRunner.Word, of id: TaskID, before: Workflow) throws {
        let observation = word.observation(at: now)
        var transition = makeTransition()
        workflow.observe(observation, of: id, in: &transition)
        if word.isEnd, !transition.effects.contains(.settle(id)) { throw violation("an end was not settled") }
        if word == .success { try keepFinishedWork(of: id, before: before) }
        try settleUp(transition, from: before.version)

        var copy = workflow
        for round in 1...2 {
            var repeated = makeTransition()
            let last = copy
            copy.observe(observation, of: id, in: &repeated)
            let noted = repeated.events.allSatisfy { $0.kind == .lateReport }
            let settles = repeated.effects.allSatisfy { if case .settle = $0 { true } else { false } }
            guard noted, settles, copy.status == last.status, round == 1 || copy == last else {
                throw violation("I8: a duplicate of \(word) changed something")
            }
        }
    }

    /// A success of the attempt that counts, while it is not known to have failed, makes its step succeed, unless a
    /// resume with other arguments or from an earlier step was accepted meanwhile.
    private mutating func keepFinishedWork(of id: TaskID, before: Workflow) throws {
        guard let position = before.position(of: id), position.step == before.pendingIndex,
            before.steps[position.step].current?.id == id, before[position].status != .failure
        else { return }
        if case .resuming(let plan) = before.control, plan != ResumePlan() { return }
        guard workflow[position].status == .success, !workflow[position].superseded else {
            throw violation("finished work of step \(position.step) was lost")
        }
        finished.insert(position.step)
    }

    /// What must hold after every transition.
    mutating func settleUp(_ transition: Transition, from version: Int64) throws {
        try checkEvents(transition, from: version)
        try checkEffects(transition)
        for effect in transition.effects { runner.perform(effect) }
        // Performing what is outstanding once more, as after a crash, is all that is to be done, and harmless.
        var again = runner
        for effect in workflow.outstandingEffects { again.perform(effect) }
        if again != runner { throw violation("outstanding effects are not what was performed") }
        try checkAttempts()
        try checkState()
        for index in finished where workflow.steps[index].status != .success {
            throw violation("step \(index) had succeeded and is to run again")
        }
    }

    private func checkEvents(_ transition: Transition, from version: Int64) throws {
        let versions = transition.events.map(\.version)
        guard versions == (0..<versions.count).map({ version + 1 + Int64($0) }),
            workflow.version == version + Int64(versions.count)
        else { throw violation("I7: versions \(versions) after \(version), workflow at \(workflow.version)") }
        if let last = transition.events.last, last.status != workflow.status || last.stepsDone != workflow.pendingIndex
        {
            throw violation("the last event tells another state")
        }
        if !workflow.status.isDone, transition.events.contains(where: { $0.kind != .created && $0.status.isDone }) {
            throw violation("an event reads as an end although the workflow goes on")
        }
    }

    private func checkEffects(_ transition: Transition) throws {
        let outstanding = workflow.outstandingEffects.map { effect in
            guard case .dispatch(var dispatch) = effect else { return effect }
            dispatch.isRepeated = false
            return .dispatch(dispatch)
        }
        for effect in transition.effects {
            switch effect {
            case .dispatch(let dispatch):
                if isHeld { throw violation("I3: \(dispatch.taskID) dispatched although held") }
                if !runner.running.isEmpty { throw violation("I2: dispatched while \(runner.running) runs") }
                if !outstanding.contains(effect) { throw violation("D1: a dispatch would be lost by a crash") }
                if finished.contains(workflow.steps.firstIndex { $0.spec.name == dispatch.step } ?? -1) {
                    throw violation("a finished step is dispatched again")
                }
            case .revoke:
                if !outstanding.contains(effect) { throw violation("a revoke would be lost by a crash") }
            case .settle(let id):
                if workflow.position(of: id).map({ workflow[$0].isLive }) == true {
                    throw violation("a live attempt was settled")
                }
            case .bury(let id):
                if workflow.position(of: id).map({ workflow[$0].isLive }) == true {
                    throw violation("a live attempt was buried")
                }
                if !outstanding.contains(effect) { throw violation("a burial would be lost by a crash") }
            case .release(let id): throw violation("\(id) was released by rules that know of one server")
            }
        }
    }

    private func checkAttempts() throws {
        for (index, step) in workflow.steps.enumerated() {
            let counting = step.attempts.filter { !$0.superseded }
            if counting.count > 1 || (counting.first != nil && step.attempts.last?.superseded == true) {
                throw violation("step \(index) has \(counting.count) attempts that count")
            }
            if step.attempts.map(\.number)
                != Array(1...max(1, step.attempts.count)).prefix(step.attempts.count).map({ $0 })
            {
                throw violation("attempts are numbered \(step.attempts.map(\.number))")
            }
            if workflow.status == .success, counting.map(\.status) != [.success] {
                throw violation("I1: step \(index) of a finished workflow has no accepted result")
            }
            if step.attempts.filter(\.isLive).count > 1 { throw violation("I2: two live attempts in the record") }
            for attempt in step.attempts where attempt.status.isEnd && attempt.endedAt == nil {
                throw violation("attempt \(attempt.id) ended at no time")
            }
        }
        if runner.running.count > 1 { throw violation("I2: \(runner.running) run at once") }
    }

    private func checkState() throws {
        let status = workflow.status
        let copy = workflow.rebuilt
        if copy != workflow || copy.status != status { throw violation("I4: a rebuilt copy reads \(copy.status)") }
        let watched = workflow.liveAttempts.contains { position in
            runner.tasks[workflow[position].id].map { !$0.forgotten } == true
        }
        if !workflow.liveAttempts.isEmpty && !watched { throw violation("I5: nobody watches the live attempt") }
        if !status.isDone && !watched && workflow.nextWakeUp == nil { throw violation("I5: nothing will move it") }
        if isHeld && !workflow.control.holds && workflow.control != .pausing && !status.isDone {
            throw violation("an acknowledged pause was forgotten")
        }
        let ended = status.isDone && (workflow.control == .running || workflow.control == .cancelled)
        if (workflow.endedAt != nil) != ended { throw violation("ended_at is \(workflow.endedAt as Any), \(status)") }
        if workflow.steps.contains(where: { $0.status == .started }), workflow.startedAt == nil {
            throw violation("started_at is missing")
        }
    }
}

extension Workflow {
    /// A copy made from what a store keeps, field by field.
    var rebuilt: Workflow {
        var copy = Workflow(id: id, spec: spec, createdAt: createdAt, requestID: requestID)
        copy.steps = steps.map { Step(spec: $0.spec, attempts: $0.attempts.map(\.rebuilt)) }
        copy.control = control
        copy.deletesWhenSettled = deletesWhenSettled
        copy.version = version
        copy.updatedAt = updatedAt
        copy.startedAt = startedAt
        copy.endedAt = endedAt
        copy.requests = requests
        return copy
    }
}

extension Attempt {
    fileprivate var rebuilt: Attempt {
        var copy = Attempt(
            restoring: id, number: number, retry: retry, args: args, kwargs: kwargs, createdAt: createdAt)
        copy.status = status
        copy.notBefore = notBefore
        copy.dispatchedAt = dispatchedAt
        copy.startedAt = startedAt
        copy.endedAt = endedAt
        copy.result = result
        copy.failure = failure
        copy.worker = worker
        copy.queue = queue
        copy.retries = retries
        copy.progress = progress.map { Progress(restoring: $0.state) }
        copy.revocation = revocation
        copy.superseded = superseded
        copy.lateReport = lateReport
        return copy
    }
}
