package import RhythmClient
package import RhythmCore

extension WorkflowSummary {
    /// One row for programs; the keys are those of ``Workflow/embellished(previousTaskRuns:)``.
    package var json: JSONValue {
        .object([
            .init("id", .string(id.rawValue)),
            .init("name", .string(name)),
            .init("app_id", .string(appID)),
            .init("created_at", .string(createdAt.iso8601)),
            .init("updated_at", .string(updatedAt.iso8601)),
            .init("status", .string(status.rawValue)),
            .init("steps_done", .integer(stepsDone)),
            .init("total_steps", .integer(totalSteps)),
            .init("pending_step", pendingStep.isEmpty ? .null : .string(pendingStep)),
            .init("labels", .object(labels.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })),
            .init("version", .integer(version)),
            .init("started_at", .optional(startedAt?.iso8601)),
            .init("ended_at", .optional(endedAt?.iso8601)),
            .init("paused", .bool(isPaused)),
            .init("cancelled", .bool(isCancelled)),
        ])
    }
}

extension CommandResult {
    /// A receipt for programs. `paused` and `resumed` are the Python library's names for `accepted`.
    package func json(for id: WorkflowID) -> JSONValue {
        func attempt(_ summary: AttemptSummary?) -> JSONValue {
            guard let summary else { return .null }
            return .object([
                .init("task_id", summary.taskID.rawValue.isEmpty ? .null : .string(summary.taskID.rawValue)),
                .init("task", .string(summary.task)),
                .init("name", .string(summary.step)),
            ])
        }
        let verb =
            switch receipt.command {
            case .pause: "paused"
            case .resume: "resumed"
            case .cancel: "cancelled"
            }
        return .object([
            .init("id", .string(id.rawValue)),
            .init("command", .string(receipt.command.rawValue)),
            .init(verb, .bool(receipt.accepted)),
            .init("accepted", .bool(receipt.accepted)),
            .init("already", .bool(receipt.already)),
            .init("reason", .string(receipt.reason)),
            .init("message", .string(receipt.message)),
            .init("revoked_step", attempt(receipt.revokedStep)),
            .init("restarted_step", attempt(receipt.restartedStep)),
            .init("quiesced", .bool(receipt.quiesced)),
            .init("status", .string(receipt.status.rawValue)),
            .init("version", .integer(receipt.version)),
            .init("replayed", .bool(replayed)),
        ])
    }
}

extension WatchUpdate {
    /// One update for programs; `type` says which.
    package var json: JSONValue {
        switch self {
        case .snapshot(let snapshot):
            .object([
                .init("type", .string("snapshot")), .init("workflow", snapshot.summary.json),
                .init("steps", .array(snapshot.steps.map(\.json))),
            ])
        case .transition(let event): event.json
        case .progress(let update):
            .object([
                .init("type", .string("progress")), .init("id", .string(update.workflowID.rawValue)),
                .init("step", .string(update.step)), .init("task_id", .string(update.taskID.rawValue)),
                .init("progress", update.progress.embellished),
            ])
        case .gap(let id, let oldestVersion):
            .object([
                .init("type", .string("gap")), .init("id", .string(id.rawValue)),
                .init("oldest_version", .integer(oldestVersion)),
            ])
        case .deleted(let id):
            .object([.init("type", .string("deleted")), .init("id", .string(id.rawValue))])
        case .limited(let most, let leftOut):
            .object([
                .init("type", .string("limited")), .init("max_workflows", .integer(most)),
                .init("left_out", .integer(leftOut)),
            ])
        case .interrupted(let error):
            .object([.init("type", .string("interrupted")), .init("message", .string(error.message))])
        }
    }
}

extension Event {
    fileprivate var json: JSONValue {
        .object([
            .init("type", .string("transition")), .init("id", .string(workflowID.rawValue)),
            .init("version", .integer(version)), .init("at", .string(at.iso8601)),
            .init("kind", .string(kind.rawValue)), .init("status", .string(status.rawValue)),
            .init("steps_done", .integer(stepsDone)), .init("step", step.isEmpty ? .null : .string(step)),
            .init("task_id", .optional(taskID?.rawValue)), .init("attempt", .integer(attempt)),
            .init("detail", .string(detail)),
        ])
    }
}

extension StepSnapshot {
    fileprivate var json: JSONValue {
        .object([
            .init("name", .string(name)), .init("task", .string(task)), .init("status", .string(status.rawValue)),
            .init("task_id", .optional(taskID?.rawValue)), .init("attempt", .integer(attempt)),
            .init("date_start", .optional(startedAt?.iso8601)), .init("date_done", .optional(endedAt?.iso8601)),
            .init("progress", progress?.embellished ?? .null),
            .init("exc_type", failureType.isEmpty ? .null : .string(failureType)),
            .init("exc_message", failureType.isEmpty ? .null : .string(failureMessage)),
        ])
    }
}
