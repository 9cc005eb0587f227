/// What is known of one attempt. The names are those of Celery's task states.
public enum TaskStatus: String, Sendable, Hashable, CaseIterable {
    /// Chosen and perhaps handed to a runner, not begun as far as is known.
    case pending = "PENDING"
    /// A worker has begun it.
    case started = "STARTED"
    /// It ended with a result that was accepted.
    case success = "SUCCESS"
    /// It ended without one.
    case failure = "FAILURE"
    /// It was asked to stop and has stopped.
    case revoked = "REVOKED"
    /// It will be tried again, by its worker or after a delay of the step's retry policy.
    case retry = "RETRY"

    /// Nothing of the attempt runs any more.
    public var isEnd: Bool { self == .success || self == .failure || self == .revoked }
}

/// The status of a workflow, always derived from its record (``Workflow/status``).
public enum WorkflowStatus: String, Sendable, Hashable, CaseIterable {
    /// The first step waits to begin.
    case pending = "PENDING"
    /// It is on its way.
    case started = "STARTED"
    /// Every step succeeded.
    case success = "SUCCESS"
    /// The pending step failed.
    case failure = "FAILURE"
    /// The pending step was revoked, or the workflow is paused or cancelled.
    case revoked = "REVOKED"

    /// Nothing more happens unless somebody acts.
    public var isDone: Bool { self == .success || self == .failure || self == .revoked }
}

/// A named set of workflow statuses, as filters use them.
public enum StatusGroup: String, Sendable, Hashable, CaseIterable {
    /// SUCCESS, FAILURE, REVOKED.
    case done = "DONE"
    /// PENDING, STARTED.
    case active = "ACTIVE"
    /// FAILURE, REVOKED.
    case exception = "EXCEPTION"

    /// The statuses of the group.
    public var members: Set<WorkflowStatus> {
        switch self {
        case .done: [.success, .failure, .revoked]
        case .active: [.pending, .started]
        case .exception: [.failure, .revoked]
        }
    }

    /// The statuses that a filter word names: one status or one group, upper or lower case; nil for anything else.
    public static func statuses(named word: String) -> Set<WorkflowStatus>? {
        let upper = word.uppercased()
        if let group = StatusGroup(rawValue: upper) { return group.members }
        return WorkflowStatus(rawValue: upper).map { [$0] }
    }
}
