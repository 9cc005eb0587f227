import RhythmCore

/// Cancel and delete of workflows that another orchestrator drove. What its workers are at work on is theirs; what has
/// ended, or stands still, is nobody's any more.
extension LegacyDesk {
    /// What stands still becomes ours, and is cancelled then, so that nobody resumes it.
    func cancel(
        _ record: LegacyRecord, _ command: Command, _ scope: AppScope, _ service: EngineService,
        _ reply: @escaping ReplyHandler
    ) {
        let workflow = record.workflow
        switch workflow.status {
        case .success:
            reply(
                Self.receipt(
                    .cancel, record, refused: "SUCCEEDED", "every step has succeeded; there is nothing to cancel"))
        case .pending, .started: reply(.failure(isAtWork(workflow, "cancel")))
        case .failure, .revoked:
            service.take(Adoption(record: record, plan: .keep, detail: "")) { result in
                switch result {
                case .failure(let error): reply(.failure(error))
                case .success: service.submitToEngine(command, within: scope, reply: reply)
                }
            }
        }
    }

    /// Its document goes; the results of its tasks are Celery's.
    ///
    /// - Parameter cancelFirst: Also one that has never begun. If its first task waits in a queue, the library's class
    ///   does not find the document then, and ends the task before it has done anything.
    func delete(_ record: LegacyRecord, cancelFirst: Bool, _ reply: @escaping ReplyHandler) {
        let workflow = record.workflow
        let hasBegun = workflow.steps.contains { !$0.attempts.isEmpty }
        guard workflow.status.isDone || (cancelFirst && !hasBegun) else {
            return reply(.failure(isAtWork(workflow, "delete")))
        }
        do throws(StoreError) {
            guard try documents.delete(record) else { return reply(.failure(AdoptionAnswer.changed(workflow.id))) }
            reply(.success(.deleted(true)))
        } catch {
            reply(.failure(RhythmError(error)))
        }
    }

    private func isAtWork(_ workflow: Workflow, _ word: String) -> RhythmError {
        RhythmError(
            .failedPrecondition, reason: "LEGACY",
            "workflow \(workflow.id) is \(workflow.status.rawValue) and driven by the original library's workers; "
                + "pause it first, then \(word) it; if it is stuck, adopt it first", field: "workflow_id")
    }
}
