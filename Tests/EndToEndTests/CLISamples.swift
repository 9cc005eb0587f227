import RhythmClient
import RhythmCore

/// Workflows in various states, at fixed times.
enum CLISamples {
    static let now = Timestamp(microseconds: 1_767_323_045_678_901)
    static let id: WorkflowID = "36b598c1-9735-4a4b-a7ae-16698f38c6f9"

    static func ago(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: now.microseconds - seconds * 1_000_000) }

    static func fresh() throws -> Workflow {
        let spec = WorkflowSpec(
            name: "archive_batch", appID: "app-1", description: "four steps", labels: ["year": "2026", "kind": "raw"],
            args: try JSON(parsing: #"["batch-7"]"#),
            steps: [
                StepSpec(name: "inspect", task: "rhythm.inspect"),
                StepSpec(name: "hold", task: "rhythm.slow", kwargs: try JSON(parsing: #"{"seconds": 4}"#)),
                StepSpec(name: "check", task: "rhythm.fail_until"), StepSpec(name: "stage", task: "rhythm.stage"),
            ])
        return Workflow(id: id, spec: spec, createdAt: ago(300))
    }

    static func attempt(_ number: Int, of step: Int, _ status: TaskStatus) throws -> Attempt {
        var attempt = Attempt(
            restoring: TaskID("task-\(step)-\(number)"), number: number, retry: 0,
            args: try JSON(parsing: #"["batch-7"]"#), kwargs: .emptyObject, createdAt: ago(290))
        attempt.status = status
        attempt.worker = "local"
        attempt.queue = "default"
        if status != .pending {
            attempt.dispatchedAt = ago(290)
            attempt.startedAt = ago(290 - Int64(step) * 60)
        }
        if status.isEnd { attempt.endedAt = ago(290 - Int64(step) * 60 - 7) }
        if status == .success { attempt.result = try JSON(parsing: #"["batch-7", {"bytes": 12345678901234567890}]"#) }
        return attempt
    }

    static func progress() -> Progress {
        var progress = Progress(ProgressReport(name: "copy", done: 0, total: 1000, units: "items", at: ago(20)))
        _ = progress.update(ProgressReport(name: "copy", done: 250, total: 1000, units: "items", at: ago(10)))
        _ = progress.update(ProgressReport(name: "copy", done: 420, total: 1000, units: "items", at: now))
        return progress
    }

    static func running() throws -> Workflow {
        var workflow = try fresh()
        workflow.steps[0].attempts = [try attempt(1, of: 0, .success)]
        var current = try attempt(1, of: 1, .started)
        current.progress = progress()
        workflow.steps[1].attempts = [current]
        workflow.startedAt = ago(290)
        workflow.updatedAt = ago(230)
        workflow.version = 6
        return workflow
    }

    static func failed() throws -> Workflow {
        var workflow = try running()
        var stopped = try attempt(1, of: 1, .revoked)
        stopped.superseded = true
        stopped.failure = Failure(type: "TaskRevokedError", message: "terminated", module: "celery.exceptions")
        workflow.steps[1].attempts = [stopped, try attempt(2, of: 1, .success)]
        var current = try attempt(1, of: 2, .failure)
        current.failure = Failure(
            type: "FileNotFoundError", message: "[Errno 2] not there yet", module: "builtins",
            traceback: (1...20).map { "  line \($0) of the traceback\u{1B}[2J" }.joined(separator: "\n") + "\n")
        workflow.steps[2].attempts = [current]
        workflow.endedAt = ago(163)
        workflow.version = 14
        return workflow
    }

    static func paused() throws -> Workflow {
        var workflow = try running()
        workflow.control = .paused
        workflow.steps[1].attempts[0].revocation = Revocation(reason: .pause, requestedAt: ago(5))
        return workflow
    }

    static func succeeded() throws -> Workflow {
        var workflow = try fresh()
        for step in workflow.steps.indices { workflow.steps[step].attempts = [try attempt(1, of: step, .success)] }
        workflow.startedAt = ago(290)
        workflow.endedAt = ago(103)
        workflow.version = 17
        return workflow
    }

    static func event(
        _ version: Int64, _ kind: Event.Kind, _ status: WorkflowStatus, done: Int, step: String = "",
        detail: String = "",
        attempt: Int = 1
    ) -> Event {
        Event(
            workflowID: id, version: version, at: ago(100 - version), kind: kind, status: status, stepsDone: done,
            step: step, taskID: TaskID("task-\(step)-\(attempt)"), attempt: attempt, detail: detail)
    }
}
