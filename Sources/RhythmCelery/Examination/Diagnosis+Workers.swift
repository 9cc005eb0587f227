import RhythmCore

// MARK: Workers: whether they are there, and what they run tasks with

extension Diagnosis {
    /// A clock that is off by less is not worth a word.
    static let clockTolerance: Duration = .seconds(5)
    private static let slowAnswer: Duration = .seconds(1)

    static func findings(on worker: Worker, _ evidence: Evidence) -> [Finding] {
        guard worker.answers.isThere else { return [absent(worker, evidence)].compactMap(\.self) }
        var findings = [summary(worker)]
        if case .leaving = worker.standing { findings.append(leaving(worker)) }
        findings += liveliness(worker, evidence)
        findings += versionAdvice(worker)
        findings += poolAdvice(worker)
        findings += settingsAdvice(worker, evidence)
        return findings
    }

    private static func summary(_ worker: Worker) -> Finding {
        var parts: [String] = []
        if let version = worker.pulse?.version { parts.append("Celery \(version)") }
        if let pool = worker.answers.pool {
            parts.append(
                pool.most > pool.concurrency
                    ? "runs \(pool.concurrency) to \(pool.most) tasks at once"
                    : "runs \(count(pool.concurrency, "task")) at once")
        }
        if let queues = worker.answers.queues {
            parts.append(
                queues.isEmpty
                    ? "takes from no queue" : "takes from \(queues.map(\.name).sorted().joined(separator: ", "))")
        }
        if let ping = worker.answers.ping { parts.append("answers in \(words(ping))") }
        return Finding(.ok, "worker", worker.subject, parts.joined(separator: ", "))
    }

    // MARK: There or not

    /// It has answered nothing.
    private static func absent(_ worker: Worker, _ evidence: Evidence) -> Finding? {
        let isIgnored = evidence.configuration.ignoredWorkers.contains(worker.name)
        switch worker.standing {
        case .dead: return nil
        case .leaving: return leaving(worker)
        case .silent where isIgnored, .live where isIgnored:
            return Finding(.ok, "worker", worker.subject, "it does not answer, and is ignored (--ignore-worker)")
        case .silent(let since) where worker.isForeign:
            return Finding(
                .notice, "foreign_worker", worker.subject,
                "nothing was heard of it for \(words(evidence.now - since)); it takes from none of the queues of steps"
                    + " and of workers that answer",
                consequence: "it is waited for only by steps of queues that it may take from",
                remedy: "nothing, unless it ought to run")
        case .silent(let since):
            let lost = evidence.configuration.times.workerLost
            return Finding(
                .warning, "worker_silent", worker.subject,
                "nothing was heard of it for \(words(evidence.now - since))",
                consequence:
                    "a step that it runs is repeated only once it is taken for dead, \(words(lost)) after it was"
                    + " last heard of (--worker-lost-after)",
                remedy: "start it again under the same name, or see what keeps its machine")
        case .live where worker.isForeign:
            return Finding(
                .notice, "foreign_worker", worker.subject,
                "it does not answer, and takes from none of the queues of steps and of workers that do: others account"
                    + " for all of their consumers",
                consequence: "it is waited for only by steps of queues that it may take from",
                remedy: "nothing; if it never takes from a queue of yours, --ignore-worker \(worker.name) says so")
        case .live where worker.isNew:
            return Finding(
                .notice, "worker_new", worker.subject, "it was heard of only now, and has not answered yet",
                consequence: "nothing of it is checked", remedy: "ask again in some seconds")
        case .live where worker.hasAnsweredBefore:
            return Finding(
                .warning, "no_answer", worker.subject,
                "it did not answer within \(words(evidence.configuration.times.reply)), as it has before",
                consequence: "while that lasts, no step that runs there can be stopped, and nothing of it is checked",
                remedy: "ask again in some seconds: it may have just ended; a worker of the pool 'solo' answers only"
                    + " between tasks: use prefork")
        case .live:
            return Finding(
                .error, "no_remote_control", worker.subject, "it shows signs of life, and answers no remote control",
                consequence:
                    "a step that runs there cannot be stopped, and one that it lost cannot be told from one that"
                    + " it runs: its workflow waits for ever",
                remedy: "worker_enable_remote_control = True, control_exchange ="
                    + " '\(evidence.configuration.controlExchange)', 'json' among accept_content and as task_serializer;"
                    + " a worker of the pool 'solo' answers only between tasks: use prefork; if it is another"
                    + " application's, --ignore-worker \(worker.name)")
        }
    }

    private static func leaving(_ worker: Worker) -> Finding {
        Finding(
            .notice, "worker_leaving", worker.subject, "it said goodbye, and may be finishing a step",
            consequence: "it takes nothing new, and what it had is repeated only once it is known to be gone",
            remedy: "nothing, if somebody is stopping it; if it was killed, start a worker of its name, or see"
                + " --worker-leaving")
    }

    private static func liveliness(_ worker: Worker, _ evidence: Evidence) -> [Finding] {
        var findings: [Finding] = []
        if let ping = worker.answers.ping, ping > slowAnswer {
            findings.append(
                Finding(
                    .warning, "slow_answer", worker.subject, "it took \(words(ping)) to answer a ping",
                    consequence: "a pause stops its steps that much later; beyond"
                        + " \(words(evidence.configuration.times.reply)) it counts as silent",
                    remedy: "see what keeps its main process or its machine busy"))
        }
        guard evidence.configuration.usesEvents else { return findings }
        guard let pulse = worker.pulse else {
            findings.append(
                Finding(
                    .notice, "no_heartbeat", worker.subject, "it sends no heartbeats",
                    consequence: "its death is noticed later, and neither its clock nor its version can be seen",
                    remedy: "start it without --without-heartbeat, and with event_exchange ="
                        + " '\(evidence.configuration.eventExchange)'"))
            return findings
        }
        if let lag = pulse.lag, lag >= clockTolerance || lag <= .zero - clockTolerance {
            let by = words(lag < .zero ? .zero - lag : lag)
            findings.append(
                Finding(
                    .warning, "clock_skew", worker.subject,
                    "its clock is \(by) \(lag < .zero ? "ahead of" : "behind") that of this server",
                    consequence:
                        "the times and durations of its steps are wrong by that much, and it begins repetitions"
                        + " with a delay that much too \(lag < .zero ? "early" : "late")",
                    remedy: "synchronise both clocks (NTP)"))
        }
        return findings
    }

    // MARK: Version and pool

    private static func versionAdvice(_ worker: Worker) -> [Finding] {
        guard let version = worker.pulse?.version, let number = numbers(version) else { return [] }
        if number.lexicographicallyPrecedes([5, 2, 7]) || !number.lexicographicallyPrecedes([5, 8]) {
            return [
                Finding(
                    .notice, "version", worker.subject, "it runs Celery \(version)",
                    consequence: "this server was tested with 5.2.7 to 5.7", remedy: "use one of those")
            ]
        }
        if number == [5, 6, 2] || number == [5, 6, 3] {
            return [
                Finding(
                    .notice, "version", worker.subject,
                    "it runs Celery \(version), which writes REVOKED over any result when it is told to stop a task, and"
                        + " nothing when a task exits",
                    consequence: "a step that succeeds in the very moment in which it is stopped may count as stopped,"
                        + " and resume repeats it; one whose task calls sys.exit is noticed only when no worker has it"
                        + " any more",
                    remedy: "use 5.7 if that matters")
            ]
        }
        return []
    }

    /// Green threads can be ended where they wait: by `eventlet`, and by `gevent` in newer versions.
    private static func stopsWhereItYields(_ kind: String, _ worker: Worker) -> Bool {
        guard kind == "gevent" else { return kind == "eventlet" }
        guard let number = worker.pulse?.version.flatMap({ numbers($0) }) else { return false }
        return !number.lexicographicallyPrecedes([5, 6])
    }

    static func numbers(_ version: String) -> [Int]? {
        let parts = version.split(separator: ".").prefix(3).map { Int($0.prefix { $0.isNumber }) }
        let known = parts.compactMap(\.self)
        return known.isEmpty || known.count != parts.count ? nil : known
    }

    private static func poolAdvice(_ worker: Worker) -> [Finding] {
        guard let pool = worker.answers.pool else { return [] }
        var findings: [Finding] = []
        if let kind = pool.kind, stopsWhereItYields(kind, worker) {
            findings.append(
                Finding(
                    .notice, "pool", worker.subject, "its pool is '\(kind)'",
                    consequence: "a step that runs there is stopped where it waits for something: one that computes is"
                        + " stopped only when it next does",
                    remedy: "worker_pool = 'prefork' for steps that compute and are to be stopped"))
        } else if let kind = pool.kind, kind != "prefork" {
            findings.append(
                Finding(
                    .warning, "pool", worker.subject, "its pool is '\(kind)'",
                    consequence: "a step that runs there cannot be stopped from outside: a pause or cancel waits for it"
                        + " to end" + (kind == "solo" ? ", and it answers nothing meanwhile" : ""),
                    remedy: "worker_pool = 'prefork' for steps that are to be stopped"))
        }
        if let prefetch = pool.prefetch, worker.answers.settings?.disablesPrefetch != true,
            prefetch == 0 || prefetch >= 2 * max(1, pool.most)
        {
            findings.append(
                Finding(
                    .warning, "prefetch", worker.subject,
                    prefetch == 0
                        ? "it takes tasks from its queues without limit"
                        : "it takes \(prefetch) tasks at once and runs \(pool.most)",
                    consequence: "a step waits there behind a long one while other workers are idle, and priorities do"
                        + " not count among those that were taken",
                    remedy: "worker_prefetch_multiplier = 1"))
        }
        if let limit = pool.timeLimit {
            findings.append(
                Finding(
                    .notice, "time_limit", worker.subject, "it ends tasks after \(words(limit))",
                    consequence: "a step that needs longer fails with TimeLimitExceeded",
                    remedy:
                        "raise task_time_limit (--time-limit) above the longest step; a step's own 'timeout' is kept"
                        + " by this server"))
        }
        return findings
    }
}
