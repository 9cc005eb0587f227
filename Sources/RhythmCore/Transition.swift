/// One change of a workflow: what comes in (time, ids) and what goes out (events to record, effects to perform,
/// attempts to store).
public struct Transition: Sendable {
    /// The time at which it happens.
    public let now: Timestamp
    /// What happened, in order.
    public private(set) var events: [Event] = []
    /// What is to be done once all of it is stored.
    public private(set) var effects: [Effect] = []
    /// Attempts that changed and have to be stored.
    public private(set) var touched: Set<AttemptPosition> = []
    /// Whether no attempt may be given to a runner: what would be is left waiting, and due.
    public let keepsFromRunners: Bool
    /// An attempt is due that was kept from a runner: somebody else has to go on with it.
    public private(set) var leavesAttempt = false
    private let makeTaskID: @Sendable () -> TaskID

    /// Starts a change at `now`; `makeTaskID` gives a fresh id for every attempt that it makes.
    public init(now: Timestamp, keepsFromRunners: Bool = false, makeTaskID: @escaping @Sendable () -> TaskID) {
        self.now = now
        self.keepsFromRunners = keepsFromRunners
        self.makeTaskID = makeTaskID
    }

    /// Nothing happened.
    public var isEmpty: Bool { events.isEmpty && effects.isEmpty && touched.isEmpty && !leavesAttempt }

    func newTaskID() -> TaskID { makeTaskID() }
    mutating func add(_ event: Event) { events.append(event) }
    mutating func add(_ effect: Effect) { effects.append(effect) }
    mutating func leaveAttempt() { leavesAttempt = true }
    mutating func touch(_ position: AttemptPosition) { touched.insert(position) }
}

/// One transition of a workflow as its watchers see it. Its version orders it among all others of the workflow.
public struct Event: Sendable, Hashable {
    /// What happened.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// The workflow was accepted.
        case created
        /// The intent to run an attempt was recorded; a runner is being given it.
        case dispatched
        /// A worker began the attempt.
        case started
        /// The attempt's worker will try it again under the same id.
        case retrying
        /// The attempt succeeded and its result was accepted.
        case succeeded
        /// The attempt failed.
        case failed
        /// A new attempt will be dispatched after a delay.
        case retryScheduled = "retry_scheduled"
        /// The attempt was asked to stop.
        case revoking
        /// The attempt has stopped.
        case revoked
        /// The workflow will be paused when the running step ends.
        case pausing
        /// The workflow is held.
        case paused
        /// The workflow goes on.
        case resumed
        /// The workflow is held for good.
        case cancelled
        /// An attempt reported an end after its end had been recorded; nothing else changed.
        case lateReport = "late_report"
    }

    /// The workflow.
    public let workflowID: WorkflowID
    /// Its version after this transition.
    public let version: Int64
    /// When it happened.
    public let at: Timestamp
    /// What happened.
    public let kind: Kind
    /// The workflow's status after it.
    public let status: WorkflowStatus
    /// How many steps had succeeded after it.
    public let stepsDone: Int
    /// The step it concerns; empty if it concerns the workflow as a whole.
    public let step: String
    /// The attempt it concerns; nil if none.
    public let taskID: TaskID?
    /// The attempt's number within its step; 0 if it concerns none.
    public let attempt: Int
    /// One phrase for people, such as why an attempt failed; may be empty.
    public let detail: String

    /// Makes an event; stores use this to read one back.
    public init(
        workflowID: WorkflowID, version: Int64, at: Timestamp, kind: Kind, status: WorkflowStatus, stepsDone: Int,
        step: String = "", taskID: TaskID? = nil, attempt: Int = 0, detail: String = ""
    ) {
        self.workflowID = workflowID
        self.version = version
        self.at = at
        self.kind = kind
        self.status = status
        self.stepsDone = stepsDone
        self.step = step
        self.taskID = taskID
        self.attempt = attempt
        self.detail = detail
    }
}

/// Something to be done outside, once the record that says so is stored.
///
/// Effects are never stored by themselves: the record says which attempts are dispatched and which are being revoked,
/// so ``Workflow/outstandingEffects`` gives them again after a crash. Performing one twice must be harmless.
public enum Effect: Sendable, Hashable {
    /// Give this attempt to a runner.
    case dispatch(Dispatch)
    /// Ask the runner to stop this attempt and to say when it is gone. The worker is the one that was seen to begin it;
    /// nil if none was. The queue is that of its step; nil for the runner's default.
    case revoke(TaskID, of: WorkflowID, begunBy: String? = nil, queue: String? = nil)
    /// The attempt's end is stored: the runner may forget it.
    case settle(TaskID)
    /// That the attempt is lost is stored: it must never run from now on, should it turn up after all.
    case bury(TaskID)
    /// Another server follows this attempt from now on: the runner forgets it without touching it.
    case release(TaskID)
}

/// All that a runner needs to run one attempt.
public struct Dispatch: Sendable, Hashable {
    /// The attempt.
    public let taskID: TaskID
    /// Its number within its step.
    public let attempt: Int
    /// The workflow it belongs to.
    public let workflowID: WorkflowID
    /// Tag of the application.
    public let appID: String
    /// The step's name.
    public let step: String
    /// What to run.
    public let task: String
    /// Where; nil for the runner's default queue.
    public let queue: String?
    /// 0 (last) to 9 (first).
    public let priority: Int
    /// Positional arguments: a JSON array.
    public let args: JSON
    /// Keyword arguments without what the runner injects: a JSON object.
    public let kwargs: JSON
    /// What the runner injects.
    public var inject: Injection
    /// An earlier life of this server, or another server, may have given it to workers already.
    public var isRepeated: Bool
    /// When it was known to be safe in a queue outside this server; nil if that is not known.
    public var queuedAt: Timestamp?
    /// When a worker began it; nil if that is not known.
    public var startedAt: Timestamp?
    /// The worker that did; nil if that is not known.
    public var worker: String?
    /// The steps after this one, the next first, no more than ``followingMax``: a runner may prepare something for them.
    public var following: [Following]

    /// A step that comes later.
    public struct Following: Sendable, Hashable {
        /// The step's name.
        public let name: String
        /// What it will run.
        public let task: String
        /// What its task will be given.
        public let inject: Injection

        /// Makes one; tests of runners use this.
        public init(name: String, task: String, inject: Injection = .all) {
            self.name = name
            self.task = task
            self.inject = inject
        }
    }

    /// So many steps ahead are told.
    public static let followingMax = 8

    /// Makes a dispatch; tests of runners use this.
    public init(
        taskID: TaskID, attempt: Int = 1, workflowID: WorkflowID, appID: String = "", step: String, task: String,
        queue: String? = nil, priority: Int = 0, args: JSON = .emptyArray, kwargs: JSON = .emptyObject,
        inject: Injection = .all, isRepeated: Bool = false, queuedAt: Timestamp? = nil, startedAt: Timestamp? = nil,
        worker: String? = nil, following: [Following] = []
    ) {
        self.taskID = taskID
        self.attempt = attempt
        self.workflowID = workflowID
        self.appID = appID
        self.step = step
        self.task = task
        self.queue = queue
        self.priority = priority
        self.args = args
        self.kwargs = kwargs
        self.inject = inject
        self.isRepeated = isRepeated
        self.queuedAt = queuedAt
        self.startedAt = startedAt
        self.worker = worker
        self.following = following
    }

    /// The keyword arguments with those of `workflow_id`, `step` and `app_id` that are injected, which win over any others
    /// of these names.
    public var injectedKwargs: JSON {
        inject.isEmpty ? kwargs : JSON(inject.added(to: kwargs, workflowID: workflowID, step: step, appID: appID))
    }
}

extension Injection {
    /// Keyword arguments with what is injected.
    func added(to kwargs: JSON, workflowID: WorkflowID, step: String, appID: String) -> JSONValue {
        var members: [JSONValue.Member] = []
        if contains(.workflowID) { members.append(.init("workflow_id", .string(workflowID.rawValue))) }
        if contains(.step) { members.append(.init("step", .string(step))) }
        if contains(.appID) { members.append(.init("app_id", .string(appID))) }
        return kwargs.value.merging(.object(members))
    }
}
