public import RhythmCore

/// What a client asks of the engine.
public enum Command: Sendable {
    /// Start a workflow. Repeated with the same request id and the same spec it gives the workflow of the first time.
    case start(WorkflowSpec, requestID: String)
    /// Hold a workflow.
    case pause(WorkflowID, PauseMode, CommandOptions)
    /// Let a workflow go on.
    case resume(WorkflowID, ResumeRequest, CommandOptions)
    /// Hold a workflow for good.
    case cancel(WorkflowID, CommandOptions)
    /// Delete a workflow with its attempts and logs.
    case delete(WorkflowID, cancelFirst: Bool, force: Bool = false)
}

extension Command {
    /// The workflow it names; nil for a start.
    var workflow: WorkflowID? {
        switch self {
        case .start: nil
        case .pause(let id, _, _), .resume(let id, _, _), .cancel(let id, _), .delete(let id, _, _): id
        }
    }
}

/// How a workflow is to go on.
public struct ResumeRequest: Sendable, Hashable {
    /// New arguments; nil for those the step had.
    public var args: JSON?
    /// The step to run again; nil for the pending one.
    public var fromStep: String?
    /// Also when it is active or has succeeded.
    public var force: Bool

    /// Makes a request.
    public init(args: JSON? = nil, fromStep: String? = nil, force: Bool = false) {
        self.args = args
        self.fromStep = fromStep
        self.force = force
    }
}

/// What every command on an existing workflow may come with.
public struct CommandOptions: Sendable, Hashable {
    /// Repeating a command with the same id changes nothing and gives the same answer; empty for none.
    public var requestID: String
    /// Refuse with ABORTED unless the workflow has this version; nil to take it as it is.
    public var expectedVersion: Int64?
    /// Of a pause or a cancel: an attempt that has been told to stop and has not is waited for no longer.
    public var force: Bool

    /// Makes options.
    public init(requestID: String = "", expectedVersion: Int64? = nil, force: Bool = false) {
        self.requestID = requestID
        self.expectedVersion = expectedVersion
        self.force = force
    }
}

/// What the engine answers, once the answer is durable.
public enum Reply: Sendable {
    /// The workflow that was started, now or (`replayed`) by an earlier request with the same id.
    case started(Workflow, replayed: Bool)
    /// What a pause, resume or cancel did, now or (`replayed`) when it was first asked.
    case receipt(Receipt, replayed: Bool)
    /// Whether it is gone; else it will be as soon as its last attempt has stopped.
    case deleted(Bool)
}

/// Takes the answer to a command. Called once, on the engine's lane; must not block.
public typealias ReplyHandler = @Sendable (Result<Reply, RhythmError>) -> Void

/// Something the engine has to deal with.
public enum Input: Sendable {
    /// A client's command. Workflows outside of the scope do not exist for it.
    case command(Command, within: AppScope = .all, reply: ReplyHandler)
    /// A runner's report.
    case report(Report)
    /// Another server has changed this workflow.
    case changedElsewhere(WorkflowID)
    /// A workflow of another orchestrator becomes ours.
    case adopt(Adoption, reply: @Sendable (Result<Workflow, RhythmError>) -> Void)

    /// The workflow that it is about; nil for one that does not exist yet.
    var workflow: WorkflowID? {
        switch self {
        case .command(let command, _, _): command.workflow
        case .report(let report): report.workflowID
        case .changedElsewhere(let id): id
        case .adopt(let adoption, _): adoption.record.workflow.id
        }
    }
}

/// What one cycle of the engine changed, for whoever shows it to others.
public struct Publication: Sendable {
    /// A workflow as it is now, and the transitions that led there.
    public struct Change: Sendable {
        /// The record after the last of the events.
        public let workflow: Workflow
        /// The transitions of this cycle, in order; empty if only something about an attempt became known.
        public let events: [Event]
    }

    /// A workflow that another server changed.
    public struct ForeignChange: Sendable, Hashable {
        /// The workflow.
        public var id: WorkflowID
        /// Its version after the change; what it is has to be read from the store.
        public var version: Int64

        /// Makes a notice.
        public init(id: WorkflowID, version: Int64) {
            self.id = id
            self.version = version
        }
    }

    /// The latest progress of an attempt.
    public struct ProgressUpdate: Sendable {
        /// The workflow.
        public let workflowID: WorkflowID
        /// The step's name.
        public let step: String
        /// The attempt.
        public let taskID: TaskID
        /// The workflow's version when it was reported: the update belongs behind that transition.
        public let version: Int64
        /// How far it is.
        public let progress: Progress

        /// Makes an update; whoever carries them from one server to another uses this.
        public init(workflowID: WorkflowID, step: String, taskID: TaskID, version: Int64, progress: Progress) {
            self.workflowID = workflowID
            self.step = step
            self.taskID = taskID
            self.version = version
            self.progress = progress
        }
    }

    /// Workflows that changed.
    public internal(set) var changes: [Change] = []
    /// Progress that is new; one entry an attempt.
    public internal(set) var progress: [ProgressUpdate] = []
    /// Workflows that were deleted.
    public internal(set) var deleted: [WorkflowID] = []
    /// Workflows that another server took over from this one: what is known of them here is no longer the latest.
    public internal(set) var released: [WorkflowID] = []
    /// The store could not be asked what became of what was released.
    var storeIsAway = false
    /// What other servers changed; see ``EngineService/take(_:)``.
    public var foreign: [ForeignChange] = []
    /// It comes from another server, which has told everybody.
    public private(set) var isNews = false
    /// News of other servers may have been lost.
    public var mayHaveMissed = false
    /// Whether a server lives that is not heard; nil if that has not changed.
    var othersAreMute: Bool?

    /// Nothing changed.
    public var isEmpty: Bool {
        changes.isEmpty && progress.isEmpty && deleted.isEmpty && released.isEmpty && foreign.isEmpty
    }

    /// News of another server.
    public init(foreign: [ForeignChange], progress: [ProgressUpdate], deleted: [WorkflowID]) {
        self.foreign = foreign
        self.progress = progress
        self.deleted = deleted
        isNews = true
    }

    init() {}
}
