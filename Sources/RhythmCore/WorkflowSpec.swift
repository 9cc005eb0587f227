/// What a client asks for when it starts a workflow.
public struct WorkflowSpec: Sendable, Hashable {
    /// The id the client wants; nil lets the server choose a UUID.
    public var id: WorkflowID?
    /// What people call it; not unique.
    public var name: String
    /// Tag of the application (tenant) it belongs to.
    public var appID: String
    /// Free text.
    public var description: String
    /// Free tags to find it by.
    public var labels: [String: String]
    /// Positional arguments of the first step: a JSON array.
    public var args: JSON
    /// Keyword arguments of the first step: a JSON object. They win over the step's own.
    public var kwargs: JSON
    /// What to run, in this order.
    public var steps: [StepSpec]

    /// Makes a request; nothing is checked until ``validate()``.
    public init(
        id: WorkflowID? = nil, name: String, appID: String, description: String = "", labels: [String: String] = [:],
        args: JSON = .emptyArray, kwargs: JSON = .emptyObject, steps: [StepSpec]
    ) {
        self.id = id
        self.name = name
        self.appID = appID
        self.description = description
        self.labels = labels
        self.args = args
        self.kwargs = kwargs
        self.steps = steps
    }
}

/// One step of a workflow as it was asked for. It never changes once the workflow exists.
public struct StepSpec: Sendable, Hashable {
    /// Unique within the workflow.
    public var name: String
    /// What to run: the name of a task that the runner knows.
    public var task: String
    /// Where to run it; nil for the runner's default queue.
    public var queue: String?
    /// 0 (last) to 9 (first); nil for the step's position, see ``effectivePriority(at:)``.
    public var priority: Int?
    /// Keyword arguments for every attempt of this step: a JSON object.
    public var kwargs: JSON
    /// How long an attempt may run once it has started; nil for no limit.
    public var timeout: Duration?
    /// How long an attempt may wait for a worker to begin it; nil for ever. What waits too long fails, like what runs too
    /// long.
    public var startTimeout: Duration?
    /// What to do when an attempt fails; nil to leave it failed.
    public var retry: RetryPolicy?
    /// How many times in a row an attempt that was lost before any worker had begun it is sent again.
    public var maxLost: Int
    /// Which keyword arguments its task is given beside those that are asked for.
    public var inject: Injection

    /// What a step says of lost attempts that says nothing.
    public static let defaultMaxLost = 3

    /// Makes a step.
    public init(
        name: String, task: String, queue: String? = nil, priority: Int? = nil, kwargs: JSON = .emptyObject,
        timeout: Duration? = nil, startTimeout: Duration? = nil, retry: RetryPolicy? = nil,
        maxLost: Int = Self.defaultMaxLost, inject: Injection = .all
    ) {
        self.name = name
        self.task = task
        self.queue = queue
        self.priority = priority
        self.kwargs = kwargs
        self.timeout = timeout
        self.startTimeout = startTimeout
        self.retry = retry
        self.maxLost = maxLost
        self.inject = inject
    }

    /// The priority rule: the step's own priority, else its 1-based position, clamped to 0...9. Later steps overtake
    /// earlier ones, so workflows that have begun finish first.
    public func effectivePriority(at index: Int) -> Int { min(9, max(0, priority ?? index + 1)) }
}

/// How failed attempts of a step are repeated without anybody asking.
public struct RetryPolicy: Sendable, Hashable {
    /// How many attempts in all, the first included; 1 means none is repeated.
    public var maxAttempts: Int
    /// The wait before the second attempt.
    public var backoff: Duration
    /// Each further wait is this many times the one before.
    public var factor: Double
    /// No wait is longer than this.
    public var maxBackoff: Duration

    /// Makes a policy; by default waits of 1 s, 2 s, 4 s ... up to 5 minutes.
    public init(
        maxAttempts: Int, backoff: Duration = .seconds(1), factor: Double = 2, maxBackoff: Duration = .seconds(300)
    ) {
        self.maxAttempts = maxAttempts
        self.backoff = backoff
        self.factor = factor
        self.maxBackoff = maxBackoff
    }

    /// The wait before the `retry`-th repetition, counted from 1.
    public func delay(beforeRetry retry: Int) -> Duration {
        let limit = maxBackoff.inSeconds
        var seconds = backoff.inSeconds
        var left = min(retry, WorkflowSpec.Limits.attempts) - 1
        while left > 0, seconds > 0, seconds < limit {
            seconds *= factor
            left -= 1
        }
        return .microseconds(Int64((min(seconds, limit) * 1_000_000).rounded()))
    }
}
