import RhythmCore

/// The settings of a worker that matter here, as it answers `conf`; nil where it does not say.
struct WorkerSettings: Hashable, Sendable {
    var resultBackend: String?
    /// Where its results go; nil if the backend is no MongoDB.
    var resultPlace: ResultPlace?
    var resultExtended: Bool?
    var trackStarted: Bool?
    var acksLate: Bool?
    var rejectOnWorkerLost: Bool?
    var cancelsOnConnectionLoss: Bool?
    var sendsEvents: Bool?
    var eventExchange: String?
    var stateFile: String?
    /// Zero: never.
    var resultExpires: Duration?
    var resultSerializer: String?
    var resultCompression: String?
    var disablesPrefetch: Bool?
    var disablesRateLimits: Bool?
    /// The queue of tasks that name none.
    var defaultQueue: String?
    var routes = TaskRoutes(.null)

    /// Reads an answer to `conf`; nil for one that is none.
    init?(_ answer: JSONValue) {
        // With its defaults every worker names one, be it null.
        guard answer["result_backend"] != nil else { return nil }
        resultBackend = answer["result_backend"]?.stringValue
        if let backend = resultBackend, backend.hasPrefix("mongodb") {
            resultPlace = ResultPlace(backend: backend, settings: answer["mongodb_backend_settings"])
        }
        func flag(_ name: String) -> Bool? {
            switch answer[name] {
            case .bool(let value): value
            case .null: false
            default: nil
            }
        }
        resultExtended = flag("result_extended")
        trackStarted = flag("task_track_started")
        acksLate = flag("task_acks_late")
        rejectOnWorkerLost = flag("task_reject_on_worker_lost")
        cancelsOnConnectionLoss = flag("worker_cancel_long_running_tasks_on_connection_loss")
        sendsEvents = flag("worker_send_task_events")
        eventExchange = answer["event_exchange"]?.stringValue
        stateFile = answer["worker_state_db"].map { $0.stringValue ?? "" }
        resultExpires = answer["result_expires"].flatMap { Self.duration($0) }
        resultSerializer = answer["result_serializer"]?.stringValue
        resultCompression = answer["result_compression"]?.stringValue
        disablesPrefetch = flag("worker_disable_prefetch")
        disablesRateLimits = flag("worker_disable_rate_limits")
        defaultQueue = answer["task_default_queue"]?.stringValue
        routes = TaskRoutes(answer["task_routes"] ?? .null)
    }

    /// Nil for what no setting means: anybody may answer with any number.
    static func duration(seconds: Double) -> Duration? { abs(seconds) < 1e12 ? .seconds(seconds) : nil }

    /// Seconds, or a Python timedelta as text: `1 day, 0:00:00`, `0:30:00`. No value means never.
    static func duration(_ value: JSONValue) -> Duration? {
        if case .null = value { return .zero }
        if let seconds = value.doubleValue { return duration(seconds: seconds) }
        guard let text = value.stringValue else { return nil }
        var rest = Substring(text)
        var seconds = 0.0
        if let comma = rest.firstRange(of: ", ") {
            guard let days = rest[..<comma.lowerBound].split(separator: " ").first.flatMap({ Double($0) }) else {
                return nil
            }
            seconds = days * 86_400
            rest = rest[comma.upperBound...]
        }
        let parts = rest.split(separator: ":").compactMap { Double($0) }
        guard parts.count == 3 else { return nil }
        return duration(seconds: seconds + parts[0] * 3600 + parts[1] * 60 + parts[2])
    }
}

/// How one task of a worker is set up, as it answers `registered`: what its definition says counts, else the settings.
struct TaskOptions: Hashable, Sendable {
    static let attributes = ["acks_late", "reject_on_worker_lost", "track_started", "ignore_result", "rate_limit"]

    private var values: [String: String] = [:]

    var acksLate: Bool { isOn("acks_late") }
    var rejectsOnWorkerLost: Bool { isOn("reject_on_worker_lost") }
    var tracksStarted: Bool { isOn("track_started") }
    var ignoresResult: Bool { isOn("ignore_result") }
    /// As `10/m`; nil for none.
    var rateLimit: String? { values["rate_limit"].flatMap { ["None", "0", ""].contains($0) ? nil : $0 } }

    private func isOn(_ name: String) -> Bool { values[name] == "True" }

    /// Reads an answer: a list of `NAME` or `NAME [attribute=value ...]`.
    static func read(_ answer: JSONValue) -> [String: TaskOptions]? {
        guard let entries = answer.arrayValue else { return nil }
        var tasks: [String: TaskOptions] = [:]
        for case .string(let entry) in entries {
            let parts = entry.split(separator: " [", maxSplits: 1, omittingEmptySubsequences: false)
            var options = TaskOptions()
            if parts.count > 1 {
                for pair in parts[1].dropLast().split(separator: " ") {
                    let sides = pair.split(separator: "=", maxSplits: 1)
                    if sides.count == 2 { options.values[String(sides[0])] = String(sides[1]) }
                }
            }
            tasks[String(parts[0])] = options
        }
        return tasks
    }
}

/// How a worker declared a queue that it takes from, as it answers `active_queues`.
struct WorkerQueue: Hashable, Sendable {
    var name: String
    /// `x-max-priority`; nil if the queue knows no priorities.
    var maxPriority: Int64?
    /// `x-consumer-timeout`; nil if the broker's own holds.
    var consumerTimeout: Duration?
    /// It is replicated (`x-queue-type`).
    var isQuorum = false

    static func read(_ answer: JSONValue) -> [WorkerQueue]? {
        answer.arrayValue?.compactMap { queue in
            guard let name = queue["name"]?.stringValue else { return nil }
            let arguments = queue["queue_arguments"]
            return WorkerQueue(
                name: name, maxPriority: arguments?["x-max-priority"]?.intValue,
                consumerTimeout: arguments?["x-consumer-timeout"]?.intValue.map { .milliseconds($0) },
                isQuorum: arguments?["x-queue-type"]?.stringValue == "quorum")
        }
    }
}

/// What a worker runs tasks with, as it answers `stats`: the command line counts here.
struct WorkerPool: Hashable, Sendable {
    /// How many tasks run at once.
    var concurrency: Int64
    /// How many may run at once when there is much to do: the pool grows by itself.
    var most: Int64
    /// How many it takes from its queues at once; 0: without limit.
    var prefetch: Int64?
    /// `prefork`, `threads`, `solo`, ...; nil if it does not say.
    var kind: String?
    /// Tasks are ended after so long; nil if never.
    var timeLimit: Duration?

    init?(_ answer: JSONValue) {
        guard let pool = answer["pool"], let concurrency = pool["max-concurrency"]?.intValue else { return nil }
        self.concurrency = concurrency
        most = max(concurrency, answer["autoscaler"]?["max"]?.intValue ?? 0)
        prefetch = answer["prefetch_count"]?.intValue
        // celery.concurrency.prefork:TaskPool
        kind = pool["implementation"]?.stringValue.flatMap {
            $0.split(separator: ":").first?.split(separator: ".").last.map(String.init)
        }
        let hard = pool["timeouts"]?.arrayValue?.last?.doubleValue ?? 0
        timeLimit = hard > 0 ? WorkerSettings.duration(seconds: hard) : nil
    }
}
