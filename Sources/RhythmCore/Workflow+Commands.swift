extension Workflow {
    /// Holds the workflow.
    ///
    /// After this returns an accepted receipt nothing new is dispatched until a resume. Repeating it changes nothing.
    /// - Parameter force: an attempt that has been told to stop for ``stopPatience`` is waited for no longer; of one that
    ///   was told later the receipt says so.
    public mutating func pause(
        _ mode: PauseMode, force: Bool = false, in transition: inout Transition
    ) -> Receipt {
        guard control != .cancelled else {
            return refuse(.pause, "CANCELLED", "the workflow was cancelled; there is nothing to pause")
        }
        switch status {
        case .success: return refuse(.pause, "SUCCEEDED", "every step has succeeded; there is nothing to pause")
        case .failure:
            return refuse(.pause, "FAILED", "step '\(pendingName)' has failed; nothing runs that could be paused")
        case .pending, .started, .revoked: break
        }
        var givenUp: String?
        if force, case .givenUp(let sentence) = giveUpStopping(in: &transition) { givenUp = sentence }
        func message() -> String { givenUp ?? (force ? stillWaitedFor(at: transition.now) : "") }
        if control == .paused || (control == .pausing && mode == .afterStep && givenUp == nil) {
            return receipt(.pause, already: givenUp == nil, revoked: revokingAttempt, message: message())
        }
        if let position = currentPosition {
            let attempt = self[position]
            if mode == .afterStep, control == .running, attempt.isLive, attempt.revocation == nil {
                control = .pausing
                record(.pausing, detail: "after step '\(steps[position.step].spec.name)'", in: &transition)
                return receipt(.pause, message: message())
            }
            if attempt.isWaiting {
                withdraw(position, reason: .pause, in: &transition)
            } else if attempt.isLive {
                control = .paused
                revoke(position, reason: .pause, in: &transition)
            }
        }
        control = .paused
        endedAt = nil
        record(.paused, in: &transition)
        return receipt(.pause, revoked: revokingAttempt, message: message())
    }

    /// Lets a workflow go on that is paused, was revoked, or has failed: the pending step is started again with the
    /// arguments it had, or with `args`; or an earlier step, `from`, and all after it.
    ///
    /// With `force` also a workflow that is active (its attempt is stopped first) or, together with `from`, one that
    /// has succeeded. Never are there two live attempts: while the old one is being stopped, the new one waits.
    /// - Throws: INVALID_ARGUMENT for arguments that are no array, NOT_FOUND for a step that does not exist. What the
    ///   state forbids is no error but a receipt that says so.
    public mutating func resume(
        args: JSON? = nil, from stepName: String? = nil, force: Bool = false, in transition: inout Transition
    ) throws(RhythmError) -> Receipt {
        if let args { try WorkflowSpec.check(args: args, field: "args") }
        let named = try index(ofStep: stepName)
        guard control != .cancelled else {
            return refuse(.resume, "CANCELLED", "a cancelled workflow cannot be resumed; start a new one")
        }
        let pending = pendingIndex
        if let named, named > pending {
            return refuse(
                .resume, "STEP_NOT_REACHED",
                "step '\(steps[named].spec.name)' comes after the pending step '\(pendingName)'")
        }
        // Arguments are meant for the step that is pending now, even if its attempt succeeds while it is being stopped.
        let plan = ResumePlan(from: named ?? (args == nil ? nil : pending), args: args)
        var givenUp = ""
        if case .resuming(let before) = control {
            guard force else { return refuse(.resume, "RESUMING", "another resume is under way", already: true) }
            switch giveUpStopping(in: &transition) {
            case .givenUp(let sentence): givenUp = sentence
            case .nothing, .tooEarly:
                return refuse(
                    .resume, "RESUMING",
                    "another resume is under way, and waits until the attempt before it has stopped; forced again"
                        + " \(Self.stopPatience.wholeMilliseconds / 1000) s after that was told to stop, it is waited for no"
                        + " longer", already: true)
            }
            return restart(by: plan == ResumePlan() ? before : plan, message: givenUp, in: &transition)
        }
        if force {
            switch giveUpStopping(in: &transition) {
            case .givenUp(let sentence): givenUp = sentence
            case .tooEarly: givenUp = stillWaitedFor(at: transition.now)
            case .nothing: break
            }
        }
        if control == .pausing, !force, plan == ResumePlan() {
            control = .running
            record(.resumed, detail: "the pause is withdrawn", in: &transition)
            return receipt(.resume)
        }
        switch status {
        case .success:
            guard force, named != nil else {
                return refuse(
                    .resume, "SUCCEEDED", "every step has succeeded; to run steps again, force it and name the first")
            }
        case .pending, .started:
            guard force else {
                return refuse(
                    .resume, "ACTIVE",
                    "it is \(status.rawValue) at step '\(pendingName)'; force it to restart that step",
                    already: true)
            }
        case .failure, .revoked: break
        }
        return restart(by: plan, message: givenUp, in: &transition)
    }

    /// Holds the workflow for good: like a pause, but there is no resume.
    /// - Parameter force: an attempt that has been told to stop for ``stopPatience`` is waited for no longer; of one that
    ///   was told later the receipt says so.
    public mutating func cancel(force: Bool = false, in transition: inout Transition) -> Receipt {
        if force, case .givenUp(let sentence) = giveUpStopping(in: &transition) {
            if control != .cancelled { _ = cancel(in: &transition) }
            return receipt(.cancel, message: sentence)
        }
        if control == .cancelled {
            return receipt(
                .cancel, already: true, revoked: revokingAttempt,
                message: force ? stillWaitedFor(at: transition.now) : "")
        }
        if status == .success {
            return refuse(.cancel, "SUCCEEDED", "every step has succeeded; there is nothing to cancel")
        }
        let position = currentPosition
        control = .cancelled
        endedAt = transition.now
        if let position {
            if self[position].isWaiting {
                withdraw(position, reason: .cancel, in: &transition)
            } else if self[position].isLive {
                revoke(position, reason: .cancel, in: &transition)
            }
        }
        record(.cancelled, in: &transition)
        return receipt(
            .cancel, revoked: revokingAttempt, message: force ? stillWaitedFor(at: transition.now) : "")
    }

    /// Marks the workflow to be deleted as soon as nothing of it runs; with `cancelFirst` makes that happen, and with
    /// `force` does not wait for it.
    ///
    /// - Throws: FAILED_PRECONDITION while it is active and may not be cancelled.
    /// - Returns: whether it can be deleted at once.
    public mutating func requestDeletion(
        cancelFirst: Bool, force: Bool = false, in transition: inout Transition
    ) throws(RhythmError) -> Bool {
        if !isSettled && !deletesWhenSettled {
            guard cancelFirst else {
                throw RhythmError(
                    .failedPrecondition, reason: "ACTIVE",
                    "workflow \(id) is \(status.rawValue)\(isQuiesced ? "" : " and an attempt of it still runs");"
                        + " cancel it first, or ask for that in the same request")
            }
            _ = cancel(in: &transition)
        }
        deletesWhenSettled = true
        if force { giveUp(in: &transition) }
        return isSettled
    }

    /// Nobody waits any more for attempts that are being stopped: their ids are kept from beginning, and whatever runs of
    /// them goes on being stopped, unseen.
    private mutating func giveUp(in transition: inout Transition) {
        for position in liveAttempts {
            self[position].status = .revoked
            self[position].endedAt = transition.now
            self[position].failure = .lost("nobody waited for its end: its workflow was deleted by force")
            transition.add(.bury(self[position].id))
            transition.add(.settle(self[position].id))
            record(.revoked, at: position, detail: "its workflow was deleted by force", in: &transition)
        }
    }
}

extension Workflow {
    /// The name of the pending step, for messages.
    private var pendingName: String { pendingStep?.spec.name ?? "" }

    /// The attempt that is being stopped.
    private var revokingAttempt: AttemptSummary? {
        guard let position = liveAttempts.first(where: { self[$0].revocation != nil }) else { return nil }
        return summary(of: position)
    }

    private func summary(of position: AttemptPosition) -> AttemptSummary {
        let spec = steps[position.step].spec
        return AttemptSummary(taskID: self[position].id, task: spec.task, step: spec.name)
    }

    private func index(ofStep name: String?) throws(RhythmError) -> Int? {
        guard let name else { return nil }
        guard let index = steps.firstIndex(where: { $0.spec.name == name }) else {
            let names = steps.map { "'\($0.spec.name)'" }.joined(separator: ", ")
            throw RhythmError(
                .notFound, reason: "NO_SUCH_STEP", "workflow \(id) has no step '\(name)'; it has \(names)",
                field: "from_step")
        }
        return index
    }

    /// Stops what runs, then, or at once if nothing does, carries out the plan.
    private mutating func restart(
        by plan: ResumePlan, message: String, in transition: inout Transition
    ) -> Receipt {
        let index = plan.from ?? pendingIndex
        // Before anything is recorded: no event of this transition may read as an end.
        control = .resuming(plan)
        endedAt = nil
        if let position = currentPosition, self[position].isWaiting {
            withdraw(position, reason: .restart, in: &transition)
        }
        if let live = liveAttempts.first {
            let fresh = self[live].revocation == nil
            if fresh { revoke(live, reason: .restart, in: &transition) }
            record(.resumed, detail: "waits until attempt \(self[live].id) has stopped", in: &transition)
            let spec = steps[index].spec
            return receipt(
                .resume, revoked: revokingAttempt,
                restarted: AttemptSummary(taskID: "", task: spec.task, step: spec.name), message: message)
        }
        record(.resumed, detail: plan.from == nil ? "" : "from step '\(steps[index].spec.name)'", in: &transition)
        carryOut(plan, in: &transition)
        return receipt(.resume, restarted: currentPosition.map { summary(of: $0) }, message: message)
    }

    private func receipt(
        _ command: Receipt.Command, already: Bool = false, revoked: AttemptSummary? = nil,
        restarted: AttemptSummary? = nil, message: String = ""
    ) -> Receipt {
        Receipt(
            command: command, accepted: true, already: already, message: message, revokedStep: revoked,
            restartedStep: restarted,
            quiesced: isQuiesced, status: status, version: version)
    }

    private func refuse(
        _ command: Receipt.Command, _ reason: String, _ message: String, already: Bool = false
    ) -> Receipt {
        Receipt(
            command: command, accepted: false, already: already, reason: reason, message: message,
            quiesced: isQuiesced, status: status, version: version)
    }
}
