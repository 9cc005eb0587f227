import RhythmCore

// MARK: Settings of workers

extension Diagnosis {
    private static let day: Duration = .seconds(86_400)

    static func settingsAdvice(_ worker: Worker, _ evidence: Evidence) -> [Finding] {
        guard let settings = worker.answers.settings else {
            return [
                Finding(
                    .notice, "settings_unknown", worker.subject, "it did not tell its settings",
                    consequence: "they are not checked", remedy: "ask again; it may be busy")
            ]
        }
        return resultPlace(worker, settings, evidence) + resultForm(worker, settings)
            + acknowledgement(worker, settings) + signals(worker, settings, evidence) + holdUps(worker)
    }

    // MARK: Results

    /// Where results go.
    private static func resultPlace(_ worker: Worker, _ settings: WorkerSettings, _ evidence: Evidence) -> [Finding] {
        let consequence = "a step that runs there is never seen to begin or end: it looks lost and is repeated"
        // Whoever takes from other queues may be another application's, with results of its own.
        let isOurs = evidence.queues.isEmpty || evidence.queues.keys.contains { worker.takes(from: $0) }
        let severity: Finding.Severity = isOurs ? .error : .notice
        let condition = isOurs ? "" : "if it ever takes steps of this server: "
        guard let place = settings.resultPlace else {
            let place = settings.resultBackend.map { "to \(scheme(of: $0))" } ?? "nowhere"
            return [
                Finding(
                    severity, "result_backend", worker.subject, "its results go \(place)",
                    consequence: condition + consequence, remedy: "result_backend = '\(evidence.results)'")
            ]
        }
        switch place.compared(
            with: ResultPlace(
                hosts: ResultPlace.hosts(of: evidence.results), database: evidence.resultsDatabase,
                collection: evidence.configuration.resultsCollection))
        {
        case .same: return []
        // What was read here was stored here.
        case .maybe where worker.isRead: return []
        case .other(let seen):
            return [
                Finding(
                    severity, "result_backend", worker.subject, seen, consequence: condition + consequence,
                    remedy: "name the same database in result_backend, and the same taskmeta_collection in"
                        + " mongodb_backend_settings")
            ]
        case .maybe(let seen):
            return [
                Finding(
                    isOurs ? .warning : .notice, "result_host", worker.subject, seen,
                    consequence: condition + "if it is another: " + consequence,
                    remedy: "nothing, if both names mean the same database server; else name the same in"
                        + " result_backend as in --results")
            ]
        }
    }

    /// An address may hold what is nobody's business.
    private static func scheme(of address: String) -> String {
        "a backend of the kind '\(address.prefix { $0 != ":" })'"
    }

    /// What results look like, and how long they stay.
    private static func resultForm(_ worker: Worker, _ settings: WorkerSettings) -> [Finding] {
        var findings: [Finding] = []
        if settings.resultExtended == false {
            findings.append(resultExtended(worker.subject, "result_extended is off"))
        }
        let compresses = settings.resultCompression.map { !$0.isEmpty } ?? false
        if let serializer = settings.resultSerializer, serializer != "json" || compresses {
            findings.append(
                Finding(
                    .error, "result_serializer", worker.subject,
                    compresses
                        ? "it compresses results (\(settings.resultCompression ?? ""))"
                        : "it stores results as '\(serializer)'",
                    consequence: "what a step returns cannot be read, so it cannot be handed to the next one",
                    remedy: "result_serializer = 'json' and result_compression = None"))
        }
        let silent = (worker.answers.tasks ?? [:]).filter { $0.value.ignoresResult }.keys.sorted()
        // From 5.3 on the message overrides it.
        if !silent.isEmpty, let number = worker.pulse?.version.flatMap({ numbers($0) }),
            number.lexicographicallyPrecedes([5, 3])
        {
            findings.append(
                Finding(
                    .error, "ignore_result", worker.subject, "its tasks \(some(silent)) ignore their results",
                    consequence: "a step of such a task is never seen to end",
                    remedy: "ignore_result = False for them, or Celery 5.3 or later, where the server's word counts"))
        }
        if let expires = settings.resultExpires, expires > .zero {
            findings.append(
                Finding(
                    expires < day ? .warning : .notice, "result_expires", worker.subject,
                    "results expire after \(words(expires))",
                    consequence: "if celery beat cleans up: when this server is away for longer, the outcome of a step"
                        + " that ended meanwhile is gone and the step is repeated",
                    remedy: "result_expires = None, or longer than the server may ever be away"))
        }
        return findings
    }

    // MARK: Acknowledgement

    private static func acknowledgement(_ worker: Worker, _ settings: WorkerSettings) -> [Finding] {
        let tasks = worker.answers.tasks ?? [:]
        let late = tasks.filter { $0.value.acksLate }.keys.sorted()
        guard settings.acksLate == true || !late.isEmpty else { return [] }
        let seen = settings.acksLate == true ? "task_acks_late is on" : "acks_late is on for \(some(late))"
        var findings = [consumerTimeout(worker, seen)]
        if settings.cancelsOnConnectionLoss == false {
            findings.append(
                Finding(
                    .warning, "connection_loss", worker.subject,
                    "\(seen), and worker_cancel_long_running_tasks_on_connection_loss is off",
                    consequence: "when it loses the broker while a step runs, the step is given to another worker and"
                        + " runs twice at once",
                    remedy: "worker_cancel_long_running_tasks_on_connection_loss = True"))
        }
        let rejects = settings.rejectOnWorkerLost == true || late.allSatisfy { tasks[$0]?.rejectsOnWorkerLost == true }
        if !rejects || (late.isEmpty && settings.rejectOnWorkerLost != true) {
            findings.append(
                Finding(
                    .notice, "reject_on_worker_lost", worker.subject, "\(seen), task_reject_on_worker_lost is off",
                    consequence: "a step whose process is killed fails with WorkerLostError; a retry policy or a resume"
                        + " repeats it",
                    remedy: "nothing, or task_reject_on_worker_lost = True to have the worker repeat it"))
        }
        return findings
    }

    private static func consumerTimeout(_ worker: Worker, _ seen: String) -> Finding {
        let remedy =
            "raise consumer_timeout in rabbitmq.conf above the longest step, or turn acks_late off: this server notices"
            + " lost steps by itself"
        let limits = (worker.answers.queues ?? []).map(\.consumerTimeout)
        if let least = limits.compactMap(\.self).min(), !limits.contains(nil) {
            return Finding(
                least < day ? .warning : .notice, "consumer_timeout", worker.subject,
                "\(seen), and its queues have a consumer timeout of \(words(least))",
                consequence:
                    "a step that runs longer makes the broker hang up: the worker ends and the step is repeated",
                remedy: remedy)
        }
        return Finding(
            .warning, "consumer_timeout", worker.subject, seen,
            consequence:
                "a step that runs longer than the broker's consumer_timeout (30 min unless it was raised, which"
                + " cannot be seen from here) makes the broker hang up: the worker ends and the step is repeated",
            remedy: remedy)
    }

    // MARK: What it tells

    private static func signals(_ worker: Worker, _ settings: WorkerSettings, _ evidence: Evidence) -> [Finding] {
        var findings: [Finding] = []
        let untracked = (worker.answers.tasks ?? [:]).filter { !$0.value.tracksStarted }.keys.sorted()
        if settings.trackStarted == false || !untracked.isEmpty {
            findings.append(
                Finding(
                    .warning, "track_started", worker.subject,
                    settings.trackStarted == false
                        ? "task_track_started is off" : "track_started is off for \(some(untracked))",
                    consequence: "that a step runs is known from events only: if one is lost it reads as queued, and"
                        + " workers from 5.6.2 on may mark a running one as revoked",
                    remedy: "task_track_started = True"))
        }
        if settings.sendsEvents == false, evidence.configuration.usesEvents {
            let long = words(evidence.configuration.times.longAttempt)
            findings.append(
                Finding(
                    .notice, "events_off", worker.subject, "worker_send_task_events is off",
                    consequence: evidence.configuration.taskEvents == .always
                        ? "this server switches events on by remote control, and again after each reconnect; in"
                            + " between ends are found by polling"
                        : "this server switches events on by remote control once it runs a step for more than \(long);"
                            + " the ends of shorter ones are found by polling",
                    remedy: "nothing; --task-events says when this server wants them"))
        }
        if settings.stateFile == "" {
            findings.append(
                Finding(
                    .notice, "state_file", worker.subject,
                    "worker_state_db is not set (--statedb on its command line cannot be seen)",
                    consequence: "it forgets what was revoked when it restarts; this server tells it again, unless the"
                        + " server is away then or the worker runs with --without-mingle",
                    remedy: "nothing, or a file for worker_state_db"))
        }
        return findings
    }

    // MARK: What holds steps up

    /// Where steps wait out of sight.
    private static func holdUps(_ worker: Worker) -> [Finding] {
        var findings: [Finding] = []
        let limited = (worker.answers.tasks ?? [:]).compactMapValues(\.rateLimit).sorted { $0.key < $1.key }
        if let first = limited.first, worker.answers.settings?.disablesRateLimits != true {
            let more = limited.count > 1 ? " and \(limited.count - 1) more tasks are limited, too" : ""
            findings.append(
                Finding(
                    .notice, "rate_limit", worker.subject,
                    "it runs task '\(first.key)' at most \(first.value)\(more)",
                    consequence: "a step of it beyond that waits in the worker, which does not say that it holds it",
                    remedy: "nothing, if it is meant so"))
        }
        let quorum = (worker.answers.queues ?? []).filter(\.isQuorum).map(\.name).sorted()
        if !quorum.isEmpty, let number = worker.pulse?.version.flatMap({ numbers($0) }),
            !number.lexicographicallyPrecedes([5, 5])
        {
            findings.append(
                Finding(
                    .notice, "delayed_delivery", worker.subject,
                    "it takes from quorum queues (\(some(quorum))): delays are kept by the broker",
                    consequence: "a step whose task repeats itself with a delay (self.retry) waits in queues"
                        + " celery_delayed_*, where no worker holds it",
                    remedy: "nothing; a step's own 'retry' waits in this server"))
        }
        return findings
    }

    static func some(_ names: [String]) -> String {
        names.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
            + (names.count > 3 ? " and \(names.count - 3) more" : "")
    }
}
