/// Where the local runner works and what it allows.
public struct LocalRunnerConfiguration: Sendable {
    /// The directory whose executable files are the tasks.
    public var tasksDirectory: String
    /// The directory that the runner keeps attempts and logs in; made if it is missing. One runner at a time.
    public var dataDirectory: String
    /// The `rhythm-supervisor` program.
    public var supervisorPath: String
    /// The directory that tasks run in; nil for the tasks directory.
    public var workingDirectory: String?
    /// How many attempts of a queue run at once, by the queue's name.
    public var queues: [String: Int] = [:]
    /// The queue of steps that name none.
    public var defaultQueue = "default"
    /// How many attempts of any other queue run at once.
    public var defaultConcurrency = 4
    /// How long a revoked attempt has between SIGTERM and SIGKILL.
    public var grace: Duration = .seconds(10)
    /// Bytes of one log segment. The newest two are kept, so an attempt keeps up to twice as many.
    public var logSegmentBytes = 16 << 20
    /// Bytes of one result line; a longer one fails the attempt.
    public var resultBytes = 1 << 20
    /// Whether a task is given no `workflow_id`, `step` and `app_id` among its keyword arguments, whatever its step says.
    public var isUninjected: @Sendable (_ task: String) -> Bool = { _ in false }
    /// What reports name as the worker; nil for the name of this machine.
    public var worker: String?
    /// Variables that every task gets beside `RHYTHM_*` and the base environment (PATH, HOME, LANG, TZ, USER).
    public var environment: [String: String] = [:]
    /// How often to look at running attempts in case that a wake-up got lost.
    public var sweepInterval: Duration = .seconds(5)

    /// Makes a configuration with defaults for everything else.
    public init(tasksDirectory: String, dataDirectory: String, supervisorPath: String) {
        self.tasksDirectory = tasksDirectory
        self.dataDirectory = dataDirectory
        self.supervisorPath = supervisorPath
    }
}

/// Why the local runner cannot begin.
public struct LocalRunnerError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One sentence that names the path and what the system said.
    public let description: String

    init(_ description: String) { self.description = description }
}
