extension PartialSettings {
    /// What the environment says: `RHYTHM_LISTEN`, `RHYTHM_ADVERTISE` (addresses separated by commas), `RHYTHM_DATA`,
    /// `RHYTHM_TASKS`,
    /// `RHYTHM_QUEUES` (`NAME=N,NAME=N`), `RHYTHM_DEFAULT_CONCURRENCY`, `RHYTHM_INSECURE` (1 or 0),
    /// `RHYTHM_TOKENS`, `RHYTHM_TLS_CERT`, `RHYTHM_TLS_KEY`, `RHYTHM_TLS_CLIENT_CA`, `RHYTHM_ALLOW_UIDS` (numbers
    /// separated by commas), `RHYTHM_LOG_LEVEL`, `RHYTHM_DRAIN_GRACE`, `RHYTHM_TASK_GRACE` (seconds), `RHYTHM_SUPERVISOR`,
    /// `RHYTHM_STORE`, `RHYTHM_BROKER`, `RHYTHM_RESULTS`, `RHYTHM_DEFAULT_QUEUE`,
    /// `RHYTHM_WORKER_LOST_AFTER`, `RHYTHM_WORKER_LEAVING`, `RHYTHM_LEASE` (seconds),
    /// `RHYTHM_LIBRARY_TASKS`, `RHYTHM_BARE_TASKS`, `RHYTHM_NO_INJECT`, `RHYTHM_IGNORE_WORKERS` (names separated by commas),
    /// `RHYTHM_RESULTS_COLLECTION`, `RHYTHM_CONTROL_EXCHANGE`, `RHYTHM_EVENT_EXCHANGE`, `RHYTHM_LOG_FORMAT`, `RHYTHM_METRICS`,
    /// `RHYTHM_MAX_CONNECTION_AGE`, `RHYTHM_MAX_WATCH_AGE`, `RHYTHM_START_TIMEOUT` (seconds), `RHYTHM_TASK_EVENTS`,
    /// `RHYTHM_PROJECTION`, `RHYTHM_STALE_READS`, `RHYTHM_DIFFERENT_SETTINGS`, `RHYTHM_LIMITS` (`NAME=VALUE,NAME=VALUE`).
    /// Empty variables count as not set.
    init(environment: [String: String]) throws(SettingsError) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        listen = value("RHYTHM_LISTEN")?.split(separator: ",").map { String($0) }
        advertise = value("RHYTHM_ADVERTISE")?.split(separator: ",").map { String($0) }
        data = value("RHYTHM_DATA")
        tasks = value("RHYTHM_TASKS")
        logLevel = value("RHYTHM_LOG_LEVEL")
        supervisor = value("RHYTHM_SUPERVISOR")
        logFormat = value("RHYTHM_LOG_FORMAT")
        metrics = value("RHYTHM_METRICS")
        maxConnectionAgeSeconds = try value("RHYTHM_MAX_CONNECTION_AGE").map { text throws(SettingsError) in
            try Self.seconds(text, source: "RHYTHM_MAX_CONNECTION_AGE")
        }
        maxWatchAgeSeconds = try value("RHYTHM_MAX_WATCH_AGE").map { text throws(SettingsError) in
            try Self.seconds(text, source: "RHYTHM_MAX_WATCH_AGE")
        }
        staleReads = value("RHYTHM_STALE_READS")
        differentSettings = value("RHYTHM_DIFFERENT_SETTINGS")
        startTimeoutSeconds = try value("RHYTHM_START_TIMEOUT").map { text throws(SettingsError) in
            try Self.seconds(text, source: "RHYTHM_START_TIMEOUT")
        }
        tokens = value("RHYTHM_TOKENS")
        store = value("RHYTHM_STORE")
        broker = value("RHYTHM_BROKER")
        results = value("RHYTHM_RESULTS")
        defaultQueue = value("RHYTHM_DEFAULT_QUEUE")
        libraryTasks = value("RHYTHM_LIBRARY_TASKS")?.split(separator: ",").map { String($0) }
        bareTasks = value("RHYTHM_BARE_TASKS")?.split(separator: ",").map { String($0) }
        noInject = value("RHYTHM_NO_INJECT")?.split(separator: ",").map { String($0) }
        resultsCollection = value("RHYTHM_RESULTS_COLLECTION")
        controlExchange = value("RHYTHM_CONTROL_EXCHANGE")
        eventExchange = value("RHYTHM_EVENT_EXCHANGE")
        ignoreWorkers = value("RHYTHM_IGNORE_WORKERS")?.split(separator: ",").map { String($0) }
        if let text = value("RHYTHM_LIMITS") {
            limits = try LimitSettings.values(text.split(separator: ",").map { String($0) }, source: "RHYTHM_LIMITS")
        }
        if let text = value("RHYTHM_LEASE") {
            guard let number = Double(text) else { throw Self.unusable("RHYTHM_LEASE", text, "seconds") }
            leaseSeconds = number
        }
        if let text = value("RHYTHM_WORKER_LOST_AFTER") {
            guard let number = Double(text) else { throw Self.unusable("RHYTHM_WORKER_LOST_AFTER", text, "seconds") }
            workerLostAfterSeconds = number
        }
        if let text = value("RHYTHM_WORKER_LEAVING") {
            guard let number = Double(text) else { throw Self.unusable("RHYTHM_WORKER_LEAVING", text, "seconds") }
            workerLeavingSeconds = number
        }
        taskEvents = value("RHYTHM_TASK_EVENTS")
        projection = value("RHYTHM_PROJECTION")
        tlsCert = value("RHYTHM_TLS_CERT")
        tlsKey = value("RHYTHM_TLS_KEY")
        tlsClientCA = value("RHYTHM_TLS_CLIENT_CA")
        if let text = value("RHYTHM_ALLOW_UIDS") {
            allowUIDs = try Self.uids(text.split(separator: ",").map { String($0) }, source: "RHYTHM_ALLOW_UIDS")
        }
        if let text = value("RHYTHM_QUEUES") {
            queues = try Self.queues(text.split(separator: ",").map { String($0) }, source: "RHYTHM_QUEUES")
        }
        if let text = value("RHYTHM_DEFAULT_CONCURRENCY") {
            guard let number = Int(text) else { throw Self.unusable("RHYTHM_DEFAULT_CONCURRENCY", text, "a number") }
            defaultConcurrency = number
        }
        if let text = value("RHYTHM_INSECURE") {
            guard let flag = ["1": true, "true": true, "0": false, "false": false][text] else {
                throw Self.unusable("RHYTHM_INSECURE", text, "1 or 0")
            }
            insecure = flag
        }
        if let text = value("RHYTHM_DRAIN_GRACE") {
            guard let number = Double(text) else { throw Self.unusable("RHYTHM_DRAIN_GRACE", text, "seconds") }
            drainGraceSeconds = number
        }
        if let text = value("RHYTHM_TASK_GRACE") {
            guard let number = Double(text) else { throw Self.unusable("RHYTHM_TASK_GRACE", text, "seconds") }
            taskGraceSeconds = number
        }
    }

    private static func seconds(_ text: String, source: String) throws(SettingsError) -> Double {
        guard let number = Double(text) else { throw unusable(source, text, "seconds") }
        return number
    }

    /// Reads `NAME=N` entries.
    static func queues(_ entries: [String], source: String) throws(SettingsError) -> [String: Int] {
        var queues: [String: Int] = [:]
        for entry in entries {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, let number = Int(parts[1]) else {
                throw unusable(source, entry, "NAME=N, such as archive=2")
            }
            queues[String(parts[0])] = number
        }
        return queues
    }

    static func unusable(_ source: String, _ value: String, _ wanted: String) -> SettingsError {
        SettingsError("\(source): '\(value)' is not \(wanted)")
    }
}
