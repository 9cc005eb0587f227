import RhythmCore
import RhythmMongo

/// The task runs of steps as the Python library's readers see them (`Workflow.taskRuns`), and the result documents that
/// they need and no worker writes.
enum ShownRuns {
    static func make(_ workflow: Workflow, step index: Int) -> [BSONValue] {
        workflow.taskRuns(ofStep: index).map { run in
            .document(["date_start": .date(run.at), "task_id": .string(run.id)])
        }
    }

    /// Makes a result document say what only this server knows; nil if there is nothing of the kind. What a worker stored
    /// as a success stays, and an attempt that has yet to be sent has none: whoever follows it would take that for a
    /// worker's (``TaskRun/id``).
    static func standIn(for workflow: Workflow) -> MongoWrite? {
        let index = min(workflow.pendingIndex, workflow.steps.count - 1)
        guard index >= 0, let run = workflow.taskRuns(ofStep: index).last, let word = run.standIn
        else { return nil }
        let step = workflow.steps[index].spec
        let attempt = run.attempt
        let revoked = Failure(type: "TaskRevokedError", message: "terminated", module: "celery.exceptions")
        // A step that waits to be repeated has failed before.
        let known = word == .retry ? workflow.steps[index].attempts.dropLast().last?.failure : attempt?.failure
        let failure = word == .revoked ? revoked : known ?? revoked
        var set: BSONDocument = [
            "status": .string(word.rawValue), "result": .string(failure.embellished.compactText),
            "traceback": failure.traceback.isEmpty ? .null : .string(failure.traceback),
        ]
        // Of a word that is no end, too: without a date Celery's own clean-up would leave it for ever.
        set.append("date_done", .date(attempt?.endedAt ?? workflow.updatedAt))
        let injected = JSONValue.object([
            .init("workflow_id", .string(workflow.id.rawValue)), .init("step", .string(step.name)),
            .init("app_id", .string(workflow.appID)),
        ])
        let kwargs = JSON((attempt?.kwargs ?? step.kwargs).value.merging(injected))
        let made: BSONDocument = [
            "children": [], "name": .string(step.task), "args": attempt?.args.asBSON ?? [],
            "kwargs": kwargs.asBSON ?? [:], "worker": .null, "retries": 0,
            "queue": (attempt?.queue ?? step.queue).map { .string($0) } ?? .null,
        ]
        return .update(
            filter: ["_id": .string(run.id), "status": ["$nin": [.string(word.rawValue), "SUCCESS"]]],
            update: ["$set": .document(set), "$setOnInsert": .document(made)], upsert: true)
    }
}
