import RhythmTesting

/// One way to set up Celery, as its users do: a value for everything that changes how workers behave.
struct Combination: Sendable, CustomStringConvertible {
    /// A place among all rows, by which a run names it.
    let number: Int
    let row: Pairwise.Row

    static let matrix = Pairwise(
        [
            Pairwise.Factor("celery", ["5.2.7", "5.6.3", "5.7"]),
            Pairwise.Factor("pool", ["prefork", "threads", "gevent", "solo"]),
            Pairwise.Factor("store", ["sqlite", "mongodb"]),
            Pairwise.Factor("track_started", ["on", "off"]),
            Pairwise.Factor("acks", ["early", "late"]),
            Pairwise.Factor("result_extended", ["on", "off"]),
            Pairwise.Factor("events", ["off", "on"]),
            Pairwise.Factor("queue", ["classic", "quorum"]),
            Pairwise.Factor("priorities", ["no", "yes"]),
            Pairwise.Factor("rate_limit", ["no", "yes"]),
            Pairwise.Factor("autoscale", ["no", "yes"]),
            Pairwise.Factor("other_app", ["no", "yes"]),
            Pairwise.Factor("collection", ["usual", "other"]),
            Pairwise.Factor("time", ["utc", "local", "TZ"]),
            Pairwise.Factor("heartbeat", ["on", "off"]),
            Pairwise.Factor("mingle", ["on", "off"]),
            Pairwise.Factor("gossip", ["on", "off"]),
        ],
        exclusions: [
            ("celery", "5.2.7", "queue", "quorum", reason: "Celery consumes from quorum queues since 5.5"),
            ("queue", "quorum", "priorities", "yes", reason: "RabbitMQ refuses x-max-priority for quorum queues"),
            ("pool", "gevent", "autoscale", "yes", reason: "Celery does not scale greenlets"),
            ("pool", "threads", "autoscale", "yes", reason: "the pool of threads cannot grow"),
            ("pool", "solo", "autoscale", "yes", reason: "there is one process and it stays one"),
        ])

    /// All rows, in an order that stays.
    static let all = matrix.rows().enumerated().map { Combination(number: $0.offset, row: $0.element) }

    /// Few of them, for every run of the tests: of each generation one, and a pool with one process, whose worker answers
    /// nothing while it runs a task. None has a rate limit, whose turns take minutes.
    static let selection = all.filter { [0, 4, 9, 11].contains($0.number) }

    subscript(_ factor: String) -> String {
        guard let index = Self.matrix.factors.firstIndex(where: { $0.name == factor }) else { return "" }
        return Self.matrix.factors[index].values[row[index]]
    }

    private func isOn(_ factor: String) -> Bool { ["on", "yes", "late"].contains(self[factor]) }

    var version: CeleryWorker.Version {
        switch self["celery"] {
        case "5.2.7": .celery52
        case "5.6.3": .celery56
        default: .celery57
        }
    }

    var isOnMongo: Bool { self["store"] == "mongodb" }
    var isRateLimited: Bool { isOn("rate_limit") }
    var hasOtherApplication: Bool { isOn("other_app") }
    var hasOtherCollection: Bool { self["collection"] == "other" }
    var keepsArguments: Bool { isOn("result_extended") }

    /// Celery itself runs again what a killed worker had begun. That of one process sends no acknowledgement before its task
    /// is over, whatever the setting.
    var repeatsWhatWasLost: Bool { isOn("acks") || self["pool"] == "solo" }
    /// A success stays stored when the worker is told to stop the task. Workers of 5.6.3 write REVOKED over it if they hear
    /// of that only then, as one of one process does.
    var keepsLateSuccess: Bool { self["celery"] != "5.6.3" || self["pool"] != "solo" }

    /// A worker can end a running task of a process of its own; of the other pools only the task itself can.
    var canKill: Bool { self["pool"] == "prefork" }
    /// A begin is stored, or can be asked for.
    var tellsOfBegins: Bool { isOn("track_started") || self["pool"] != "solo" }
    /// How many tasks a worker runs at once.
    var places: Int { self["pool"] == "solo" ? 1 : 3 }

    static let collection = "results_of_ours"
    /// So that the last of some tasks waits longer than what is nowhere takes to be given up.
    static let ratePerMinute = 10

    /// What `app.py` reads.
    var settings: [String: String] {
        var settings = [
            "TRACK_STARTED": isOn("track_started") ? "1" : "0", "RESULT_EXTENDED": keepsArguments ? "1" : "0",
            "ACKS_LATE": isOn("acks") ? "1" : "0",
        ]
        if isOn("priorities") { settings["MAX_PRIORITY"] = "10" }
        if self["queue"] == "quorum" { settings["QUEUE_TYPE"] = "quorum" }
        var own: [String] = []
        // What waits for its turn keeps its place among what the worker has taken.
        if isRateLimited { settings["PREFETCH"] = "8" }
        if isRateLimited { own.append(#""task_annotations": {"limited": {"rate_limit": "\#(Self.ratePerMinute)/m"}}"#) }
        if hasOtherCollection {
            own.append(#""mongodb_backend_settings": {"taskmeta_collection": "\#(Self.collection)"}"#)
        }
        if self["time"] == "local" { own.append(#""enable_utc": false, "timezone": "America/New_York""#) }
        settings["SETTINGS"] = "{\(own.joined(separator: ", "))}"
        return settings
    }

    var environment: [String: String] { self["time"] == "TZ" ? ["TZ": "Asia/Tokyo"] : [:] }

    var arguments: [String] {
        var arguments = ["--pool", self["pool"]]
        if isOn("events") { arguments.append("--task-events") }
        if isOn("autoscale") { arguments += ["--autoscale", "\(places),1"] }
        for name in ["heartbeat", "mingle", "gossip"] where !isOn(name) { arguments.append("--without-\(name)") }
        return arguments
    }

    /// What is not as usual in it.
    var description: String {
        let usual = ["utc", "usual", "classic", "no", "early"]
        var parts = ["\(self["celery"]) \(self["pool"]) \(self["store"])"]
        for factor in Self.matrix.factors.dropFirst(3) {
            let value = self[factor.name]
            let isUsual = factor.name == "events" ? value == "off" : value == "on" || usual.contains(value)
            if !isUsual { parts.append(value == "on" || value == "yes" ? factor.name : "\(factor.name)=\(value)") }
        }
        return parts.joined(separator: ", ")
    }
}
