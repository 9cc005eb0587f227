package import RhythmCore

/// A workflow as a watch first sees it.
package struct Snapshot: Sendable, Hashable {
    package var summary: WorkflowSummary
    package var steps: [StepState]

    /// Makes a snapshot.
    package init(summary: WorkflowSummary, steps: [StepState]) {
        self.summary = summary
        self.steps = steps
    }

    /// The snapshot of a record.
    package init(_ workflow: Workflow) {
        self.init(summary: workflow.summary, steps: workflow.steps.map { StepState($0) })
    }
}

/// How a step stands.
package struct StepState: Sendable, Hashable {
    package var name: String
    package var task: String
    package var status: TaskStatus
    /// The current attempt; nil if there is none.
    package var taskID: TaskID?
    /// Its number; 0 if there is none.
    package var attempt: Int
    package var startedAt: Timestamp?
    package var endedAt: Timestamp?
    package var progress: Progress?
    /// The type of its failure; empty if it did not fail.
    package var failureType: String
    package var failureMessage: String

    /// Makes a state.
    package init(
        name: String, task: String, status: TaskStatus, taskID: TaskID? = nil, attempt: Int = 0,
        startedAt: Timestamp? = nil, endedAt: Timestamp? = nil, progress: Progress? = nil, failureType: String = "",
        failureMessage: String = ""
    ) {
        self.name = name
        self.task = task
        self.status = status
        self.taskID = taskID
        self.attempt = attempt
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.progress = progress
        self.failureType = failureType
        self.failureMessage = failureMessage
    }

    /// The state of a step of a record.
    package init(_ step: Step) {
        let current = step.current
        self.init(
            name: step.spec.name, task: step.spec.task, status: step.status, taskID: current?.id,
            attempt: current?.number ?? 0, startedAt: current?.startedAt, endedAt: current?.endedAt,
            progress: current?.progress, failureType: current?.failure?.type ?? "",
            failureMessage: current?.failure?.message ?? "")
    }
}
