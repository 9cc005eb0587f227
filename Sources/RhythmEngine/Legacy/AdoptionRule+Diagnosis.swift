import RhythmCore

extension AdoptionRule {
    /// What is wrong with a workflow; nil if it is as it should be: done, or to be resumed by the usual means.
    func diagnose(_ record: LegacyRecord) -> Diagnosis? {
        let workflow = record.workflow
        guard let step = workflow.pendingStep else { return finished(record) }
        guard let current = step.current else { return neverSent(record, step) }
        switch current.status {
        case .failure, .revoked: return ended(record, step, current)
        case .pending, .started, .retry:
            let found = record.foundAttempts.contains(current.id) ? ", and its record does not know it" : ""
            return Diagnosis(
                reason: "WORKER_GONE",
                defect: "step '\(step.spec.name)' reads \(current.status.rawValue), but no worker has it\(found)",
                plan: .keep,
                action: "attempt \(current.id) is followed; when it is known to be lost it fails and can be resumed")
        case .success: return nil
        }
    }

    private func finished(_ record: LegacyRecord) -> Diagnosis? {
        let action = "nothing is left to be done; its status now says so"
        if !record.foundAttempts.isEmpty {
            return Diagnosis(
                reason: "LOST_ATTEMPT",
                defect: "its record does not know \(Self.attempts(record)), although every step has succeeded",
                plan: .keep, action: action, mayBeQueued: false)
        }
        guard record.storedStatus != WorkflowStatus.success.rawValue else { return nil }
        return Diagnosis(
            reason: "WRONG_STATUS",
            defect: "its stored status is \(record.storedStatus) although every step has succeeded", plan: .keep,
            action: action, mayBeQueued: false)
    }

    private func neverSent(_ record: LegacyRecord, _ step: Step) -> Diagnosis {
        let workflow = record.workflow
        let index = workflow.pendingIndex
        guard index > 0 else {
            return Diagnosis(
                reason: "NEVER_SENT",
                defect: "it was created \(ago(workflow.createdAt)), but its first step '\(step.spec.name)' never began",
                plan: .send(args: args), action: "step '\(step.spec.name)' is sent with the arguments given",
                args: args, needsArgs: args == nil)
        }
        let before = workflow.steps[index - 1]
        let handed = args ?? workflow.handOver(toStep: index)
        return Diagnosis(
            reason: "NEXT_NEVER_SENT",
            defect: "step '\(before.spec.name)' succeeded \(ago(before.current?.endedAt)), but step"
                + " '\(step.spec.name)' never began",
            plan: .send(args: handed),
            action: "step '\(step.spec.name)' is sent with "
                + (args == nil ? "what step '\(before.spec.name)' returned" : "the arguments given"),
            needsArgs: handed == nil)
    }

    /// The attempt of the pending step has ended badly.
    private func ended(_ record: LegacyRecord, _ step: Step, _ current: Attempt) -> Diagnosis? {
        let name = step.spec.name
        let why = current.failure.map { " (\($0.type))" } ?? ""
        let state = current.status == .revoked ? "was revoked" : "has failed" + why
        let resumable = "step '\(name)' \(state); a resume lets it go on"
        if let lock = record.resumeLock {
            let began = current.startedAt ?? current.createdAt
            // A lock that is older than the attempt's end is that of the resume which began it. So is one beside an attempt
            // that the record does not know: the write that set the lock has erased the attempt.
            guard lock > max(current.endedAt ?? began, began), !record.foundAttempts.contains(current.id) else {
                return Diagnosis(
                    reason: "LOCKED",
                    defect: "step '\(name)' \(state), and the lock of an earlier resume refuses every other one",
                    plan: .keep, action: "the lock is gone; \(resumable)", mayBeQueued: false)
            }
            let isUnknown = record.unknownArgs.contains(current.id)
            return Diagnosis(
                reason: "RESUME_LOST",
                defect: "it was resumed \(ago(lock)), but step '\(name)' never began again, and the lock of that resume"
                    + " refuses every other one",
                plan: .restart(args: args), action: "step '\(name)' is run again", needsArgs: isUnknown && args == nil)
        }
        if !record.foundAttempts.isEmpty {
            return Diagnosis(
                reason: "LOST_ATTEMPT", defect: "its record does not know \(Self.attempts(record))", plan: .keep,
                action: resumable, mayBeQueued: false)
        }
        let computed = record.workflow.status.rawValue
        guard record.storedStatus != computed else { return nil }
        return Diagnosis(
            reason: "WRONG_STATUS",
            defect: "its stored status is \(record.storedStatus), but step '\(name)' \(state)", plan: .keep,
            action: "its status now is \(computed); a resume lets it go on", mayBeQueued: false)
    }

    private static func attempts(_ record: LegacyRecord) -> String {
        let ids = record.foundAttempts.sorted()
        let steps = Set(
            ids.compactMap { id in
                record.workflow.position(of: id).map { "'\(record.workflow.steps[$0.step].spec.name)'" }
            })
        return (ids.count == 1 ? "an attempt of step " : "\(ids.count) attempts of step ")
            + steps.sorted().joined(separator: ", ")
    }
}
