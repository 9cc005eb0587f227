extension Workflow {
    /// Takes a runner's report of one of this workflow's attempts.
    ///
    /// Duplicates and reports of attempts that no longer count change nothing (beyond a note in the attempt's own
    /// record); every report of an end is answered with ``Effect/settle(_:)``, so that the runner forgets it.
    public mutating func observe(_ observation: Observation, of task: TaskID, in transition: inout Transition) {
        guard let position = position(of: task) else {
            if observation.isEnd { transition.add(.settle(task)) }
            return
        }
        if self[position].status.isEnd {
            if observation.isEnd { takeLate(observation, at: position, in: &transition) }
            return
        }
        guard self[position].isLive else { return }
        switch observation {
        case .queued(let at):
            guard self[position].queuedAt == nil else { return }
            self[position].queuedAt = plausible(at, position, now: transition.now)
            transition.touch(position)
        case .waiting(let reason): wait(position, reason: reason, in: &transition)
        case .started(let at, let worker): begin(position, at: at, worker: worker, in: &transition)
        case .ran(let worker):
            guard !worker.isEmpty, self[position].worker == nil else { return }
            self[position].worker = worker
            transition.touch(position)
        case .progress(let report): progress(position, report, in: &transition)
        case .retrying(let retries, let failure):
            // Counted from 1, so one that is not above what is known is late or a duplicate.
            guard retries > self[position].retries else { return }
            self[position].status = .retry
            self[position].retries = retries
            record(.retrying, at: position, detail: failure.message, in: &transition)
        case .succeeded(let result, let at): succeed(position, result: result, at: at, in: &transition)
        case .failed(let failure, let at): fail(position, failure, at: at, in: &transition)
        case .revoked(let detail, let at): stop(position, detail: detail, at: at, in: &transition)
        case .lost(let detail, let at, let mayHaveBegun):
            lose(position, detail: detail, mayHaveBegun: mayHaveBegun, at: at, in: &transition)
        }
    }

    /// Does what is due by now: dispatches an attempt that has waited long enough, revokes one that ran too long.
    public mutating func wakeUp(in transition: inout Transition) {
        guard let due = nextWakeUp, due <= transition.now, let position = currentPosition else { return }
        if self[position].isWaiting {
            if transition.keepsFromRunners { return transition.leaveAttempt() }
            self[position].notBefore = nil
            self[position].dispatchedAt = transition.now
            announceAttempt(at: position, delay: .zero, in: &transition)
        } else {
            revoke(position, reason: .timeout, in: &transition)
        }
    }
}

// MARK: While it runs

extension Workflow {
    private mutating func begin(
        _ position: AttemptPosition, at: Timestamp, worker: String, in transition: inout Transition
    ) {
        guard self[position].status != .started else {
            return move(position, to: worker, in: &transition)
        }
        let begun = plausible(at, position, now: transition.now)
        self[position].status = .started
        self[position].waiting = nil
        if self[position].startedAt == nil { self[position].startedAt = begun }
        if !worker.isEmpty { self[position].worker = worker }
        if startedAt == nil { startedAt = begun }
        record(.started, at: position, in: &transition)
    }

    /// A broker that lost sight of the worker that had begun it gave it to another, or only now is known who has it.
    private mutating func move(_ position: AttemptPosition, to worker: String, in transition: inout Transition) {
        guard !worker.isEmpty, self[position].worker != worker else { return }
        let before = self[position].worker
        self[position].worker = worker
        guard let before else { return transition.touch(position) }
        record(.started, at: position, detail: "begun anew by \(worker), after \(before)", in: &transition)
    }

    private mutating func wait(_ position: AttemptPosition, reason: String, in transition: inout Transition) {
        let reason = reason.isEmpty ? nil : reason
        guard self[position].waiting != reason else { return }
        self[position].waiting = reason
        transition.touch(position)
    }

    private mutating func progress(
        _ position: AttemptPosition, _ report: ProgressReport, in transition: inout Transition
    ) {
        if self[position].status != .started { begin(position, at: report.at, worker: "", in: &transition) }
        let changed: Bool
        if var progress = self[position].progress {
            changed = progress.update(report)
            self[position].progress = progress
        } else {
            self[position].progress = Progress(report)
            changed = true
        }
        if changed { transition.touch(position) }
    }

    /// A worker's clock may be off: keeps its time between the dispatch and now.
    private func plausible(_ at: Timestamp, _ position: AttemptPosition, now: Timestamp) -> Timestamp {
        let attempt = self[position]
        return max(attempt.startedAt ?? attempt.dispatchedAt ?? attempt.createdAt, min(at, now))
    }
}

// MARK: When it ends

extension Workflow {
    private mutating func succeed(
        _ position: AttemptPosition, result: JSON?, at: Timestamp, in transition: inout Transition
    ) {
        let result = result ?? passedOn(by: position)
        if !isHandOff(result, from: position) {
            self[position].result = result
            let next = steps[position.step + 1].spec.name
            let wanted =
                "step '\(next)' follows, and its argument is the first element of the JSON array that a task returns"
            fail(
                position,
                Failure(
                    type: "ResultFormat", message: "\(wanted); this one returned \(result.excerpt)",
                    isRetriable: false),
                at: at, in: &transition)
            return
        }
        end(position, .success, at: at, in: &transition)
        self[position].result = result
        accept(position, in: &transition)
    }

    /// What a step that returned nothing hands on: its own first argument.
    private func passedOn(by position: AttemptPosition) -> JSON {
        self[position].args.firstElement.map { .array(of: [$0]) } ?? .emptyArray
    }

    /// Whether the next step can go on with this result. After the last step nobody has to.
    private func isHandOff(_ result: JSON, from position: AttemptPosition) -> Bool {
        if position.step == steps.count - 1 { return true }
        return result.isArray && (result.firstElement != nil || self[position].args.firstElement == nil)
    }

    /// The step has succeeded: goes on, unless something holds the workflow.
    private mutating func accept(_ position: AttemptPosition, in transition: inout Transition) {
        if case .resuming(let plan) = control, !plan.acceptsLateSuccess {
            record(.succeeded, at: position, in: &transition)
            carryOut(plan, in: &transition)
            return
        }
        let next = pendingIndex
        guard next < steps.count else {
            if control != .cancelled { control = .running }
            endedAt = transition.now
            record(.succeeded, at: position, in: &transition)
            return
        }
        switch control {
        case .running, .resuming:
            control = .running
            endedAt = nil
            record(.succeeded, at: position, in: &transition)
            makeAttempt(
                step: next, args: handedArgs(forStep: next), kwargs: kwargs(forStep: next), in: &transition)
        case .pausing:
            control = .paused
            record(.succeeded, at: position, in: &transition)
            record(.paused, in: &transition)
        case .paused, .cancelled:
            record(.succeeded, at: position, in: &transition)
        }
    }

    mutating func fail(
        _ position: AttemptPosition, _ failure: Failure, at: Timestamp, in transition: inout Transition
    ) {
        if let reason = self[position].revocation?.reason, reason != .timeout {
            // It was told to stop and did; how it ended is kept but is no failure.
            self[position].failure = failure
            stop(position, detail: failure.message, at: at, in: &transition)
            return
        }
        end(position, .failure, at: at, in: &transition)
        self[position].failure = failure
        if case .resuming(let plan) = control {
            record(.failed, at: position, detail: failure.message, in: &transition)
            carryOut(plan, in: &transition)
            return
        }
        guard failure.isRetriable, let policy = steps[position.step].spec.retry,
            self[position].retry + 1 < policy.maxAttempts
        else {
            if control == .pausing { control = .running }
            if control == .running { endedAt = transition.now }
            record(.failed, at: position, detail: failure.message, in: &transition)
            return
        }
        if control == .pausing || control == .paused {
            control = .paused
            record(.failed, at: position, detail: failure.message, in: &transition)
            record(.paused, in: &transition)
            return
        }
        // The repetition is made before the failure is recorded: the workflow never reads FAILURE in between.
        let retry = self[position].retry + 1
        let delay = policy.delay(beforeRetry: retry)
        let repetition = appendAttempt(
            step: position.step, args: self[position].args, kwargs: self[position].kwargs, retry: retry, delay: delay,
            in: &transition)
        self[position].superseded = true
        record(.failed, at: position, detail: failure.message, in: &transition)
        announceAttempt(at: repetition, delay: delay, in: &transition)
    }

    /// The attempt is gone without a success.
    mutating func stop(
        _ position: AttemptPosition, detail: String, at: Timestamp, in transition: inout Transition
    ) {
        if self[position].revocation?.reason == .timeout {
            fail(position, overdue(position), at: at, in: &transition)
            return
        }
        end(position, .revoked, at: at, in: &transition)
        if control == .pausing { control = .paused }
        if control == .running { endedAt = transition.now }
        record(.revoked, at: position, detail: detail, in: &transition)
        if case .resuming(let plan) = control { carryOut(plan, in: &transition) }
    }

    /// What an attempt failed of that was stopped by one of its step's limits.
    private func overdue(_ position: AttemptPosition) -> Failure {
        let spec = steps[position.step].spec
        let attempt = self[position]
        // It may have begun after it was told to stop.
        let wasBegun = attempt.startedAt.map { $0 < attempt.revocation?.requestedAt ?? $0 } ?? false
        guard !wasBegun, let limit = spec.startTimeout else {
            let limit = spec.timeout?.wholeMilliseconds ?? 0
            return Failure(
                type: "TimeLimitExceeded", message: "it ran longer than the step's timeout of \(limit) ms")
        }
        let reason = attempt.waiting.map { "; \($0)" } ?? ""
        return Failure(
            type: "StartTimeLimitExceeded",
            message: "it was not begun within the step's start_timeout of \(limit.wholeMilliseconds) ms\(reason)")
    }

    mutating func end(
        _ position: AttemptPosition, _ status: TaskStatus, at: Timestamp, in transition: inout Transition
    ) {
        let ended = plausible(at, position, now: transition.now)
        self[position].status = status
        self[position].waiting = nil
        self[position].endedAt = ended
        if status == .success, self[position].startedAt == nil {
            // Nobody saw it begin; it cannot have begun later than it ended.
            self[position].startedAt = self[position].dispatchedAt
            if startedAt == nil { startedAt = self[position].startedAt }
        }
        transition.touch(position)
        transition.add(.settle(self[position].id))
    }

    /// An end that comes after an end.
    private mutating func takeLate(
        _ observation: Observation, at position: AttemptPosition, in transition: inout Transition
    ) {
        let attempt = self[position]
        if case .succeeded(let result, let at) = observation, attempt.status == .revoked, position == currentPosition,
            !isWaitingForOther(position), isHandOff(result ?? passedOn(by: position), from: position)
        {
            // Finished work is never thrown away: no newer attempt exists, so this one still counts.
            self[position].failure = nil
            succeed(position, result: result, at: at, in: &transition)
            return
        }
        transition.add(.settle(attempt.id))
        switch observation {
        case .succeeded(let result, _):
            if attempt.status != .success {
                note(.success, detail: result?.text ?? "", at: position, in: &transition)
            }
        case .failed(let failure, _):
            if attempt.status == .success {
                note(.failure, detail: "\(failure.type): \(failure.message)", at: position, in: &transition)
            }
        case .revoked, .lost, .queued, .waiting, .started, .ran, .progress, .retrying: break
        }
    }

    /// Whether something else of the workflow is live although this attempt counts; then nothing may be dispatched.
    private func isWaitingForOther(_ position: AttemptPosition) -> Bool {
        liveAttempts.contains { $0 != position }
    }

    private mutating func note(
        _ status: TaskStatus, detail: String, at position: AttemptPosition, in transition: inout Transition
    ) {
        guard self[position].lateReport == nil else { return }
        self[position].lateReport = LateReport(status: status, at: transition.now, detail: detail)
        record(
            .lateReport, at: position, detail: "\(status.rawValue) after \(self[position].status.rawValue)",
            in: &transition)
    }
}
