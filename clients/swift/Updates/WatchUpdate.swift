public import RhythmCore
import RhythmWire

/// What a watch tells. Transitions of a workflow come in version order, each exactly once.
public enum WatchUpdate: Sendable, Hashable {
    /// A workflow as it is; transitions with higher versions follow.
    case snapshot(WorkflowSnapshot)
    /// One change of a workflow.
    case transition(Event)
    /// The latest progress of an attempt; earlier ones may have been left out.
    case progress(StepProgress)
    /// Transitions before `oldestVersion` are no longer kept by the server; a snapshot follows.
    case gap(WorkflowID, oldestVersion: Int64)
    /// The workflow was deleted.
    case deleted(WorkflowID)
    /// The filter means more workflows than a watch may follow, so many of them are left out until others are done; with
    /// 0, that is over. A watch that is to end with its workflows waits for those too.
    case limited(maxWorkflows: Int, leftOut: Int)
    /// The connection was lost. The watch goes on by itself, from where it was, when the server is back.
    case interrupted(RhythmError)
}

/// A workflow as a watch first sees it.
public struct WorkflowSnapshot: Sendable, Hashable {
    /// The workflow.
    public var summary: WorkflowSummary
    /// Its steps in order.
    public var steps: [StepSnapshot]

    /// Makes a snapshot.
    public init(summary: WorkflowSummary, steps: [StepSnapshot]) {
        self.summary = summary
        self.steps = steps
    }

    /// The snapshot of a record.
    public init(_ workflow: Workflow) { self.init(Snapshot(workflow)) }

    init(_ snapshot: Snapshot) {
        self.init(summary: snapshot.summary, steps: snapshot.steps.map { StepSnapshot($0) })
    }
}

/// How a step stands.
public struct StepSnapshot: Sendable, Hashable {
    /// Unique in its workflow.
    public var name: String
    /// What it runs.
    public var task: String
    /// The status of the current attempt.
    public var status: TaskStatus
    /// The current attempt; nil if there is none.
    public var taskID: TaskID?
    /// Its number; 0 if there is none.
    public var attempt: Int
    /// When a worker began it.
    public var startedAt: Timestamp?
    /// When it ended.
    public var endedAt: Timestamp?
    /// The latest it reported.
    public var progress: Progress?
    /// The type of its failure; empty if it did not fail.
    public var failureType: String
    /// The same for people.
    public var failureMessage: String

    /// Makes a step.
    public init(
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

    init(_ state: StepState) {
        self.init(
            name: state.name, task: state.task, status: state.status, taskID: state.taskID, attempt: state.attempt,
            startedAt: state.startedAt, endedAt: state.endedAt, progress: state.progress,
            failureType: state.failureType, failureMessage: state.failureMessage)
    }
}

/// The latest progress of an attempt.
public struct StepProgress: Sendable, Hashable {
    /// The workflow.
    public var workflowID: WorkflowID
    /// The name of its step.
    public var step: String
    /// The attempt.
    public var taskID: TaskID
    /// How far it is.
    public var progress: Progress

    /// Makes an update.
    public init(workflowID: WorkflowID, step: String, taskID: TaskID, progress: Progress) {
        self.workflowID = workflowID
        self.step = step
        self.taskID = taskID
        self.progress = progress
    }
}
