package import RhythmCore

/// Asks for everything that happens to some workflows.
package struct WatchProgress: Sendable, Hashable {
    /// These workflows ...
    package var targets: [WatchTarget]
    /// ... and the active ones that this filter means, those that start later included. Beside a filter the targets are
    /// those that an interrupted watch has seen and that were not done: it learns their end even if they are no longer
    /// active, or that they were deleted.
    package var filter: WorkflowFilter?
    /// End the stream when all its workflows are done.
    package var untilDone: Bool
    package var withoutProgress: Bool
    /// At most one progress update per step in this time; 0 for the server's default.
    package var minProgressIntervalMilliseconds: UInt32
    /// Tell by ``WatchEvent/limited(maxWorkflows:leftOut:)`` if the filter means more than one watch may follow.
    package var tellLimit: Bool

    /// Makes a request.
    package init(
        targets: [WatchTarget] = [], filter: WorkflowFilter? = nil, untilDone: Bool = false,
        withoutProgress: Bool = false, minProgressIntervalMilliseconds: UInt32 = 0, tellLimit: Bool = false
    ) {
        self.targets = targets
        self.filter = filter
        self.untilDone = untilDone
        self.withoutProgress = withoutProgress
        self.minProgressIntervalMilliseconds = minProgressIntervalMilliseconds
        self.tellLimit = tellLimit
    }
}

/// One workflow to watch.
package struct WatchTarget: Sendable, Hashable {
    package var workflowID: WorkflowID
    /// Go on after this version, without a snapshot; nil to begin with a snapshot.
    package var afterVersion: Int64?

    /// Makes a target.
    package init(workflowID: WorkflowID, afterVersion: Int64? = nil) {
        self.workflowID = workflowID
        self.afterVersion = afterVersion
    }
}

/// What a watch sees. Large payloads are boxed, as in ``ServerBody``.
package enum WatchEvent: Sendable, Hashable {
    /// A workflow as it is; transitions from its version on follow.
    indirect case snapshot(Snapshot)
    /// One change of a workflow.
    indirect case transition(Event)
    /// The latest progress of an attempt.
    indirect case progress(ProgressUpdate)
    /// Transitions up to before `oldestVersion` are no longer kept; a snapshot follows.
    case gap(WorkflowID, oldestVersion: Int64)
    case deleted(WorkflowID)
    /// Nothing has happened for a while; the stream is alive.
    case bookmark(at: Timestamp)
    /// The filter means more workflows than the watch follows; 0 are left out when that is over.
    case limited(maxWorkflows: UInt32, leftOut: UInt64)
}

/// The latest progress of an attempt.
package struct ProgressUpdate: Sendable, Hashable {
    package var workflowID: WorkflowID
    package var step: String
    package var taskID: TaskID
    package var progress: Progress

    /// Makes an update.
    package init(workflowID: WorkflowID, step: String, taskID: TaskID, progress: Progress) {
        self.workflowID = workflowID
        self.step = step
        self.taskID = taskID
        self.progress = progress
    }
}
