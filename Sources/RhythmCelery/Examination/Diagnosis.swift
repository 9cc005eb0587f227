import RhythmAMQP
import RhythmCore
import RhythmEngine

/// What follows from an ``Examination``: every rule about what is right and wrong in a broker, a database and workers.
/// A value without side effects, so each rule can be held against made-up evidence.
struct Diagnosis {
    /// One worker, with everything that is known of it.
    struct Worker: Sendable {
        var name: String
        var standing: WorkerRoster.Standing
        /// Nil if it sends no signs of life.
        var pulse: WorkerPulse?
        var answers: Examination.Answers
        /// It does not answer, takes from none of the queues that are of interest, and was not seen to have a step of ours.
        var isForeign = false
        /// It was heard of only now, and has never answered.
        var isNew = false
        /// It has answered at some time.
        var hasAnsweredBefore = false
        /// A result of it was read where this server reads.
        var isRead = false

        var subject: String { "worker \(name)" }

        /// It takes from this queue.
        func takes(from queue: String) -> Bool { answers.queues?.contains { $0.name == queue } ?? false }
    }

    /// Everything that was seen.
    struct Evidence: Sendable {
        var configuration: CeleryConfiguration
        /// The broker's address, without the password.
        var broker: String
        var links: [Links.Name: AMQPConnectionState]
        /// The server hears what workers say.
        var isListening: Bool
        var now: Duration
        var workers: [Worker]
        var queues: [String: QueueInspection]
        /// Those from which more take than the workers that are known.
        var strange: Set<String> = []
        /// The address of the results, without the password.
        var results: String
        var resultsDatabase: String
        /// Nil: it has not answered in time.
        var database: DatabaseState?
    }

    let evidence: Evidence
    let needs: [TaskNeed]

    /// Everything that there is to say, in no order.
    func findings() -> [Finding] {
        var findings = [broker, database] + databaseAdvice
        // Without the broker nothing more can be seen, and what cannot be seen is not reported as missing.
        guard evidence.isListening, findings[0].severity == .ok else { return findings }
        if evidence.workers.isEmpty { findings.append(noWorker) }
        var aboutWorkers: [Finding] = []
        for worker in evidence.workers { aboutWorkers += Self.findings(on: worker, evidence) }
        findings += Self.joined(aboutWorkers)
        findings += queueFindings + taskFindings
        return findings
    }

    // MARK: Broker

    private var broker: Finding {
        let needed: [Links.Name] =
            [.tasks, .control, .mailbox, .inspector] + (evidence.configuration.usesEvents ? [.events] : [])
        for name in needed {
            if case .blocked(let reason) = evidence.links[name] {
                return Finding(
                    .error, "broker_blocked", "broker", "it takes no messages: \(reason)",
                    consequence: "steps are not sent, and none can be stopped, until it takes messages again",
                    remedy: "free memory or disk on the broker; 'rabbitmqctl status' shows its alarms")
            }
        }
        for name in needed {
            let trouble: String
            switch evidence.links[name] {
            case .ready, .blocked: continue
            case .down(let reason, _): trouble = reason
            case nil, .connecting: trouble = "it does not answer"
            case .closed: trouble = "the connection is closed"
            }
            return Finding(
                .error, "broker_away", "broker", "\(evidence.broker) is not connected: \(trouble)",
                consequence:
                    "no step can be sent, stopped or asked about; those that run go on, and their ends are seen",
                remedy:
                    "see that the broker runs, and knows this user and virtual host; the server tries again by itself")
        }
        return Finding(.ok, "broker", "broker", "\(evidence.broker) is connected")
    }

    // MARK: Database

    private var database: Finding {
        let remedy = "see that the database runs and can be reached from here; the server tries again by itself"
        switch evidence.database {
        case nil:
            return Finding(
                .error, "results_away", "results", "\(evidence.results) did not answer in time",
                consequence: "no step is seen to end", remedy: remedy)
        case .fails(let reason):
            return Finding(
                .error, "results_away", "results", "\(evidence.results) does not answer: \(reason)",
                consequence:
                    "no step is seen to end, and workers that cannot reach it either lose the outcome of a step"
                    + " that ends meanwhile",
                remedy: remedy)
        case .answers(let seen) where !seen.isWritable:
            return Finding(
                .error, "results_read_only", "results", "\(evidence.results) cannot be written to",
                consequence: "workers cannot store results, so the outcomes of steps that end are lost",
                remedy: "name the replica set in the address, so that the member that may write is found")
        case .answers(let seen):
            return Finding(.ok, "results", "results", "\(evidence.results) answers in \(Self.words(seen.time))")
        }
    }

    private var databaseAdvice: [Finding] {
        guard case .answers(let seen) = evidence.database else { return [] }
        var findings: [Finding] = []
        if seen.time > .milliseconds(500) {
            findings.append(
                Finding(
                    .warning, "results_slow", "results", "two small reads took \(Self.words(seen.time))",
                    consequence: "the end of each step is noticed that much later",
                    remedy: "see what keeps the database busy; \(evidence.configuration.resultsCollection) needs its"
                        + " index on date_done"))
        }
        if !seen.hasChangeStreams {
            findings.append(
                Finding(
                    .notice, "no_change_stream", "results", "it is no replica set, so it has no change streams",
                    consequence: "the end of a step is learnt from events and by polling, up to"
                        + " \(Self.words(evidence.configuration.times.pollLongest)) later",
                    remedy: "nothing, or make it a replica set (one member is enough)"))
        }
        // Workers that answer have said it themselves.
        let isKnown = evidence.workers.contains { $0.answers.settings?.resultExtended != nil }
        if !isKnown, seen.bareResults > 0 {
            findings.append(
                Self.resultExtended(
                    "results", "\(seen.bareResults) of the last \(seen.results) results hold no arguments"))
        }
        for (task, count) in seen.libraryWorkflows.sorted(by: { $0.key < $1.key }) {
            findings.append(
                Finding(
                    .warning, "bare_task", "task \(task)",
                    "it is sent bare, and \(Self.count(count, "workflow")) of the Python library that"
                        + " \(count == 1 ? "is" : "are") not done \(count == 1 ? "has" : "have") a step of it",
                    consequence: "a worker process that ran it for the library still has that workflow in mind: with"
                        + " Celery 5.2 its next bare step fails at the end, and one that fails overwrites that workflow",
                    remedy: "take it out of bare_tasks until they are done, and restart the workers then"))
        }
        return findings
    }

    /// Some worker stores results without what belongs to them.
    static func resultExtended(_ subject: String, _ seen: String) -> Finding {
        Finding(
            .warning, "result_extended", subject, seen,
            consequence: "results do not say which worker, arguments and repetition they belong to: a lost step cannot"
                + " be traced to its worker, and workflows of the Python library can be neither resumed nor adopted",
            remedy: "result_extended = True")
    }

    private var noWorker: Finding {
        Finding(
            .error, "no_worker", "workers", "none was heard of on \(evidence.broker)",
            consequence: "no step runs",
            remedy: "start workers on this broker and virtual host; their control_exchange must be"
                + " '\(evidence.configuration.controlExchange)' and their event_exchange"
                + " '\(evidence.configuration.eventExchange)'")
    }

    // MARK: Words

    /// The same finding on several workers is said once.
    static func joined(_ findings: [Finding]) -> [Finding] {
        var order: [Finding] = []
        var names: [Finding: [String]] = [:]
        for finding in findings {
            var key = finding
            key.subject = ""
            if names[key] == nil { order.append(key) }
            names[key, default: []].append(String(finding.subject.dropFirst("worker ".count)))
        }
        return order.map { key in
            var finding = key
            let all = names[key] ?? []
            let shown = all.prefix(3).joined(separator: ", ")
            finding.subject =
                all.count == 1
                ? "worker \(shown)" : "workers \(shown)" + (all.count > 3 ? " and \(all.count - 3) more" : "")
            return finding
        }
    }

    /// A duration for people.
    static func words(_ duration: Duration) -> String {
        let seconds = duration.inSeconds
        func rounded(_ value: Double, _ unit: String) -> String {
            let tenths = (value * 10).rounded() / 10
            return (tenths == tenths.rounded() ? "\(Int64(tenths))" : "\(tenths)") + " " + unit
        }
        switch seconds {
        case ..<1: return rounded((seconds * 1000).rounded(), "ms")
        case ..<120: return rounded(seconds, "s")
        case ..<7200: return rounded(seconds / 60, "min")
        case ..<172_800: return rounded(seconds / 3600, "h")
        default: return rounded(seconds / 86_400, "days")
        }
    }

    static func count(_ number: some BinaryInteger, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
}
