import Dispatch
import RhythmCore

/// Pause and resume of workflows that another orchestrator drives.
extension LegacyDesk {
    /// Carries out what was asked of a workflow that the engine does not know.
    func carryOut(
        _ command: Command, of id: WorkflowID, within scope: AppScope, notFound: RhythmError, by service: EngineService,
        reply: @escaping ReplyHandler
    ) {
        queue.async { [self] in
            let record: LegacyRecord
            do throws(StoreError) {
                guard let found = try documents.records([id]).first, scope.contains(found.workflow.appID) else {
                    return reply(.failure(notFound))
                }
                record = found
            } catch {
                return reply(.failure(RhythmError(error)))
            }
            switch command {
            case .start: reply(.failure(notFound))
            case .pause(_, let mode, _): pause(record, mode, reply)
            case .resume(_, let request, let options):
                resume(Resumption(id: id, request: request, options: options, scope: scope), service, reply)
            case .cancel: cancel(record, command, scope, service, reply)
            case .delete(_, let cancelFirst, _): delete(record, cancelFirst: cancelFirst, reply)
            }
        }
    }

    static func receipt(
        _ command: Receipt.Command, _ record: LegacyRecord, refused reason: String = "", _ message: String = "",
        already: Bool = false, revoked: AttemptSummary? = nil, quiesced: Bool = false
    ) -> Result<Reply, RhythmError> {
        let workflow = record.workflow
        return .success(
            .receipt(
                Receipt(
                    command: command, accepted: reason.isEmpty, already: already, reason: reason, message: message,
                    revokedStep: revoked, quiesced: quiesced, status: workflow.status, version: workflow.version),
                replayed: false))
    }
}

// MARK: Pausing

extension LegacyDesk {
    /// Stops the attempt that runs, as the library itself would, and answers when it is known what came of that. The one
    /// thing that is stored is the library's own word for it.
    private func pause(_ record: LegacyRecord, _ mode: PauseMode, _ reply: @escaping ReplyHandler) {
        let workflow = record.workflow
        guard mode == .now else {
            return reply(
                Self.receipt(
                    .pause, record, refused: "LEGACY",
                    "its workers hand one step over to the next by themselves, so it can only be paused at once"))
        }
        guard let step = workflow.pendingStep else {
            return reply(Self.receipt(.pause, record, refused: "SUCCEEDED", "every step has succeeded"))
        }
        if step.status == .failure {
            return reply(
                Self.receipt(.pause, record, refused: "FAILED", "step '\(step.spec.name)' has failed; nothing runs"))
        }
        if step.status == .revoked { return answerPaused(record, already: true, revoked: nil, reply) }
        guard let current = step.current else {
            return reply(
                Self.receipt(
                    .pause, record, refused: "NOT_BEGUN",
                    "step '\(step.spec.name)' has not begun, and until it has nobody knows its id; try again then"))
        }
        let summary = AttemptSummary(taskID: current.id, task: step.spec.task, step: step.spec.name)
        runner.perform([.revoke(current.id, of: workflow.id, begunBy: current.worker, queue: step.spec.queue)])
        followPause(of: workflow.id, summary, until: .now + Self.patience, reply)
    }

    /// Looks until the attempt has ended one way or the other.
    private func followPause(
        of id: WorkflowID, _ summary: AttemptSummary, until deadline: ContinuousClock.Instant,
        _ reply: @escaping ReplyHandler
    ) {
        let record: LegacyRecord
        do throws(StoreError) {
            guard let workflow = try documents.states([id]).first?.workflow else {
                return reply(.failure(AdoptionAnswer.changed(id)))
            }
            let hasEnded = workflow.position(of: summary.taskID).map { workflow[$0].status.isEnd } ?? true
            guard hasEnded || ContinuousClock.now >= deadline else {
                return queue.asyncAfter(deadline: .now() + Self.pause) { [self] in
                    followPause(of: id, summary, until: deadline, reply)
                }
            }
            guard let found = try documents.records([id]).first else {
                return reply(.failure(AdoptionAnswer.changed(id)))
            }
            record = found
            switch record.workflow.position(of: summary.taskID).map({ record.workflow[$0].status }) {
            case .revoked where try documents.markHeld(record):
                return answerPaused(record, already: false, revoked: summary, reply)
            case .success:
                return reply(
                    Self.receipt(
                        .pause, record, refused: "TOO_LATE",
                        "step '\(summary.step)' succeeded before it could be stopped"
                            + (record.workflow.pendingStep == nil
                                ? "" : "; its worker sends the next one: try again when that has begun")))
            case .failure:
                return reply(
                    Self.receipt(
                        .pause, record, refused: "FAILED", "step '\(summary.step)' failed before it could be stopped"))
            default: break
            }
        } catch {
            return reply(.failure(RhythmError(error)))
        }
        guard ContinuousClock.now < deadline else {
            return reply(
                Self.receipt(
                    .pause, record, refused: "NOT_STOPPED_YET",
                    "its workers were told to stop attempt \(summary.taskID), and none has said that it did",
                    revoked: summary))
        }
        queue.asyncAfter(deadline: .now() + Self.pause) { [self] in
            followPause(of: id, summary, until: deadline, reply)
        }
    }

    /// It is held; whether something of it still runs is asked of the workers.
    private func answerPaused(
        _ record: LegacyRecord, already: Bool, revoked: AttemptSummary?, _ reply: @escaping ReplyHandler
    ) {
        inspect([record.workflow]) { inspection in
            let quiesced =
                AdoptionRule.holders(of: record.workflow, in: inspection).isEmpty
                && AdoptionRule.doubt(record.workflow, inspection, mayBeQueued: false) == nil
            reply(Self.receipt(.pause, record, already: already, revoked: revoked, quiesced: quiesced))
        }
    }
}

// MARK: Resuming

extension LegacyDesk {
    /// A resume that is being carried out.
    struct Resumption: Sendable {
        let id: WorkflowID
        let request: ResumeRequest
        let options: CommandOptions
        let scope: AppScope
        var deadline = ContinuousClock.now + LegacyDesk.patience
    }

    /// Adopts the workflow as it is and resumes it then: its next attempts are sent so that no worker hands over by
    /// itself.
    private func resume(_ asked: Resumption, _ service: EngineService, _ reply: @escaping ReplyHandler) {
        do throws(StoreError) {
            guard let record = try documents.records([asked.id]).first else {
                // Somebody else was faster: it is ours now.
                return service.submitToEngine(
                    .resume(asked.id, asked.request, asked.options), within: asked.scope, reply: reply)
            }
            inspect([record.workflow]) { [self] inspection in decide(asked, inspection, service, reply) }
        } catch {
            reply(.failure(RhythmError(error)))
        }
    }

    private func decide(
        _ asked: Resumption, _ inspection: Inspection, _ service: EngineService, _ reply: @escaping ReplyHandler
    ) {
        let record: LegacyRecord
        do throws(StoreError) {
            guard let found = try documents.records([asked.id]).first else {
                return reply(.failure(AdoptionAnswer.changed(asked.id)))
            }
            record = found
        } catch {
            return reply(.failure(RhythmError(error)))
        }
        let workflow = record.workflow
        let name = workflow.pendingStep?.spec.name ?? ""
        let isStopped = workflow.pendingStep?.status == .revoked
        if let holder = AdoptionRule.holders(of: workflow, in: inspection).first {
            // What was just paused takes a moment to end.
            if isStopped, ContinuousClock.now < asked.deadline {
                return queue.asyncAfter(deadline: .now() + Self.pause) { [self] in resume(asked, service, reply) }
            }
            return reply(
                Self.receipt(
                    .resume, record, refused: "RUNNING",
                    "worker \(holder.worker) has attempt \(holder.taskID) of it; "
                        + (isStopped ? "it is still being stopped" : "pause it first")))
        }
        guard workflow.status == .failure || workflow.status == .revoked else {
            let message =
                workflow.status == .success
                ? "every step has succeeded"
                : "it is \(workflow.status.rawValue) at step '\(name)', and no worker has it; adopt it instead"
            return reply(Self.receipt(.resume, record, refused: "ACTIVE", message))
        }
        let doubt = AdoptionRule.doubt(workflow, inspection, mayBeQueued: record.resumeLock != nil)
        if let doubt, !asked.request.force {
            return reply(
                Self.receipt(
                    .resume, record, refused: doubt.reason,
                    "\(doubt.detail); forced, the step is run again all the same, and may then run twice"))
        }
        if let current = workflow.pendingStep?.current, record.unknownArgs.contains(current.id),
            asked.request.args == nil
        {
            return reply(
                Self.receipt(
                    .resume, record, refused: "ARGS_NEEDED", "the arguments of step '\(name)' are stored nowhere"))
        }
        service.take(Adoption(record: record, plan: .keep, detail: "")) { result in
            switch result {
            case .failure(let error): reply(.failure(error))
            case .success:
                service.submitToEngine(
                    .resume(asked.id, asked.request, asked.options), within: asked.scope, reply: reply)
            }
        }
    }
}
