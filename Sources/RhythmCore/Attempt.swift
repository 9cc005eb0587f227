/// One run of one step (a "task run" in the stored documents).
public struct Attempt: Sendable, Hashable {
    /// Chosen by the engine and persisted before anything is sent.
    public let id: TaskID
    /// 1 for the step's first attempt, and so on.
    public let number: Int
    /// How many automatic repetitions came before it since somebody last started or resumed the step.
    public let retry: Int
    /// Positional arguments: a JSON array.
    public let args: JSON
    /// Keyword arguments without what the runner injects: a JSON object.
    public let kwargs: JSON
    /// When the engine made it.
    public let createdAt: Timestamp

    /// What is known of it.
    public var status: TaskStatus = .pending
    /// Before this time it is not dispatched: the wait of a retry policy, or no wait at all if the server that made it could
    /// give it to no runner and left it to others. Nil if it was dispatched.
    public var notBefore: Timestamp?
    /// When the intent to run it was recorded; from then on a runner may have it. Nil while it waits.
    public var dispatchedAt: Timestamp?
    /// When it was known to be safe in a queue outside this server; nil if the runner has no such queues.
    public var queuedAt: Timestamp?
    /// Why it does not move, as its runner knows; nil if nothing is in its way.
    public var waiting: String?
    /// When a worker began it.
    public var startedAt: Timestamp?
    /// When it ended.
    public var endedAt: Timestamp?
    /// What it returned: a JSON array if it was accepted.
    public var result: JSON?
    /// Why it failed, or how it ended when it was revoked.
    public var failure: Failure?
    /// Who ran it.
    public var worker: String?
    /// The queue it was taken from.
    public var queue: String?
    /// Repetitions inside the same task id, as its worker counts them.
    public var retries: Int = 0
    /// The latest progress it reported.
    public var progress: Progress?
    /// Why it was asked to stop; nil if it was not.
    public var revocation: Revocation?
    /// A later attempt took its place: whatever it reports now changes nothing but its own record.
    public var superseded = false
    /// An end it reported after another end had been recorded; kept for whoever has to explain it.
    public var lateReport: LateReport?

    init(id: TaskID, number: Int, retry: Int, args: JSON, kwargs: JSON, queue: String?, createdAt: Timestamp) {
        self.id = id
        self.number = number
        self.retry = retry
        self.args = args
        self.kwargs = kwargs
        self.queue = queue
        self.createdAt = createdAt
    }

    /// A runner may hold it: dispatched and not known to have ended.
    public var isLive: Bool { dispatchedAt != nil && !status.isEnd }

    /// It waits for the delay of a retry policy, or for a server that can give it to a runner.
    public var isWaiting: Bool { dispatchedAt == nil && !status.isEnd }

    /// It was made by a server that could not give it to a runner, and waits for another one.
    public var waitsForServer: Bool { isWaiting && notBefore.map { $0 <= createdAt } ?? false }

    /// The status as the step shows it: a repetition that waits for its delay reads RETRY.
    public var shownStatus: TaskStatus { isWaiting && notBefore != nil && !waitsForServer ? .retry : status }
}

extension Attempt {
    /// An empty attempt of given identity, for stores that read one back field by field.
    public init(
        restoring id: TaskID, number: Int, retry: Int, args: JSON, kwargs: JSON, createdAt: Timestamp
    ) {
        self.init(id: id, number: number, retry: retry, args: args, kwargs: kwargs, queue: nil, createdAt: createdAt)
    }
}

/// Why an attempt failed, in the shape of Celery's failure documents.
public struct Failure: Error, Sendable, Hashable {
    /// Stable type name, such as `ExitStatus` or a Python exception's class.
    public var type: String
    /// What went wrong, for people.
    public var message: String
    /// The module of the type; empty if there is none.
    public var module: String
    /// A traceback or the last lines of the standard error stream; empty if there is none.
    public var traceback: String
    /// Whether running the same thing again might help; the step's retry policy repeats only such failures.
    public var isRetriable: Bool

    /// Makes a failure.
    public init(type: String, message: String, module: String = "", traceback: String = "", isRetriable: Bool = true) {
        self.type = type
        self.message = message
        self.module = module
        self.traceback = traceback
        self.isRetriable = isRetriable
    }

    /// No worker had the attempt any more.
    /// - Parameter mayHaveBegun: Nobody can say whether a worker had begun it.
    static func lost(_ message: String, mayHaveBegun: Bool = false) -> Failure {
        Failure(
            type: "WorkerLostError", message: message, module: mayHaveBegun ? doubtfulModule : "rhythm")
    }

    /// A mark that every store keeps: nothing else of the record tells such a loss from another.
    private static let doubtfulModule = "rhythm.doubtful"

    /// It is one that ``lost(_:mayHaveBegun:)`` made; workers have an error of that name in a module of theirs.
    var isLoss: Bool { type == "WorkerLostError" && (module == "rhythm" || module == Self.doubtfulModule) }

    /// A loss of which nobody can say whether a worker had begun the attempt.
    var isDoubtfulLoss: Bool { isLoss && module == Self.doubtfulModule }
}

/// Why and when an attempt was asked to stop.
public struct Revocation: Sendable, Hashable {
    /// Who wanted it to stop.
    public enum Reason: String, Sendable, Hashable, CaseIterable {
        /// A pause.
        case pause
        /// A cancel.
        case cancel
        /// A forced resume that starts the step anew.
        case restart
        /// The step's timeout.
        case timeout
    }

    /// Who wanted it to stop.
    public var reason: Reason
    /// When.
    public var requestedAt: Timestamp

    /// Makes a revocation.
    public init(reason: Reason, requestedAt: Timestamp) {
        self.reason = reason
        self.requestedAt = requestedAt
    }
}

/// An end that came after the end that counts.
public struct LateReport: Sendable, Hashable {
    /// What was reported.
    public var status: TaskStatus
    /// When it arrived.
    public var at: Timestamp
    /// The result, or the message of the failure; cut to 1 KiB.
    public var detail: String

    /// Makes a late report.
    public init(status: TaskStatus, at: Timestamp, detail: String) {
        self.status = status
        self.at = at
        self.detail = String(detail.prefix(1024))
    }
}
