/// The record of one workflow: everything that is known of it, and the only thing its status is made of.
///
/// A value without I/O, clock or randomness. Only the engine changes one, through the functions in
/// `Workflow+Commands.swift` and `Workflow+Observations.swift`; each records what happened and what is to be done in
/// the ``Transition`` it is given.
public struct Workflow: Sendable, Hashable {
    /// Unique, for ever.
    public let id: WorkflowID
    /// What people call it.
    public let name: String
    /// Tag of the application (tenant) it belongs to.
    public let appID: String
    /// Free text.
    public let description: String
    /// Free tags.
    public let labels: [String: String]
    /// Positional arguments of the first step.
    public let args: JSON
    /// Keyword arguments of the first step.
    public let kwargs: JSON
    /// When it was accepted.
    public let createdAt: Timestamp
    /// The request id of the start; empty if it had none.
    public let requestID: String

    /// The steps in order.
    public var steps: [Step]
    /// What people asked for beyond letting it run.
    public var control: Control = .running
    /// To be deleted as soon as nothing of it runs.
    public var deletesWhenSettled = false
    /// Grows by one with every transition.
    public var version: Int64 = 0
    /// When it last changed.
    public var updatedAt: Timestamp
    /// When its first attempt began.
    public var startedAt: Timestamp?
    /// When it ended; nil while it is active or paused.
    public var endedAt: Timestamp?
    /// The latest commands that came with a request id and their answers, oldest first.
    public var requests: [AppliedRequest] = []

    /// A record without any attempt; stores use this to read one back.
    public init(id: WorkflowID, spec: WorkflowSpec, createdAt: Timestamp, requestID: String = "") {
        self.id = id
        self.name = spec.name
        self.appID = spec.appID
        self.description = spec.description
        self.labels = spec.labels
        self.args = spec.args
        self.kwargs = spec.kwargs
        self.createdAt = createdAt
        self.updatedAt = createdAt
        self.requestID = requestID
        self.steps = spec.steps.map { Step(spec: $0) }
    }

    /// What was asked for when it was started.
    public var spec: WorkflowSpec {
        WorkflowSpec(
            id: id, name: name, appID: appID, description: description, labels: labels, args: args, kwargs: kwargs,
            steps: steps.map(\.spec))
    }
}

/// What people asked of a workflow beyond letting it run.
public enum Control: Sendable, Hashable {
    /// Nothing.
    case running
    /// It is to be paused when the step that runs ends.
    case pausing
    /// It is held; nothing is dispatched.
    case paused
    /// It goes on as soon as the attempt that was asked to stop is gone.
    case resuming(ResumePlan)
    /// It is held for good.
    case cancelled

    /// Nothing may be dispatched.
    public var holds: Bool {
        switch self {
        case .running, .pausing: false
        case .paused, .resuming, .cancelled: true
        }
    }
}

/// From where and with what a workflow goes on.
public struct ResumePlan: Sendable, Hashable {
    /// The index of the step to run; nil for the pending one.
    public var from: Int?
    /// Its arguments; nil for those it had.
    public var args: JSON?

    /// Makes a plan.
    public init(from: Int? = nil, args: JSON? = nil) {
        self.from = from
        self.args = args
    }

    /// Whether a success of the attempt that is being stopped saves the rerun: only if the rerun would do the same.
    var acceptsLateSuccess: Bool { from == nil && args == nil }
}
