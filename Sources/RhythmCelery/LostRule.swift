import RhythmCore

/// Decides whether an attempt is lost: gone without an end, because a worker acknowledges a message when it begins and
/// then takes the task with it when it dies.
///
/// Lost is an attempt that every known worker denies holding while its queue is empty, in two rounds some time apart
/// between which nothing was heard of it. A worker that does not answer leaves it undecided, because the step would run
/// twice. So do places where a message is that nobody names: a worker's rate limit, and the queues in which RabbitMQ keeps
/// what is not due yet. A value, one for each attempt.
struct LostRule {
    /// What follows from a round.
    enum Verdict: Hashable, Sendable {
        /// A worker has it.
        case held(by: String)
        /// Nobody can say, and why.
        case undecided(String)
        /// It is where it may be for long, and where that is.
        case waits(String)
        /// It looks lost; to be asked again then.
        case suspected(again: Duration)
        /// It is lost; what was found, in a sentence.
        case lost(String, mayHaveBegun: Bool)
        /// It has ended, and its result is nowhere; what was found, in a sentence.
        case missing(String)
    }

    /// The time between the two rounds.
    var pause: Duration = .seconds(15)
    /// How long the document of an end is waited for that a worker has told of.
    var patience: Duration = .seconds(10)
    /// Messages may leave the queues for what is not due yet so much later than they should.
    private static let delaySlack: Duration = .seconds(5)
    private var first: (at: Duration, revision: Int)?
    /// The queue was seen without a message since the attempt was last heard of.
    private var emptyRevision: Int?
    /// When its message has left the queues for what is not due yet, if it was there.
    private var delayedUntil: (revision: Int, at: Duration)?
    private(set) var verdict: Verdict?

    init(pause: Duration = .seconds(15), patience: Duration = .seconds(10)) {
        self.pause = pause
        self.patience = patience
    }

    /// Takes the evidence of a round.
    mutating func judge(_ evidence: Evidence, now: Duration) -> Verdict {
        let verdict = decide(evidence, now: now)
        switch verdict {
        case .held, .undecided, .waits: first = nil
        case .suspected, .lost, .missing: break
        }
        self.verdict = verdict
        return verdict
    }

    /// Something was heard of the attempt: what the last round found explains nothing any more.
    mutating func forget() { verdict = nil }

    private mutating func decide(_ evidence: Evidence, now: Duration) -> Verdict {
        if let holder = evidence.workers.holders.keys.sorted().first { return .held(by: holder) }
        if let end = evidence.toldEnd, !evidence.workers.silent.contains(end.worker) {
            guard now - end.at >= patience else {
                return .undecided(
                    "worker \(end.worker) says that it has ended, and its result document is not there yet")
            }
            return .missing(Self.missing(evidence, end))
        }
        if let doubt = evidence.doubt ?? queueDoubt(evidence) { return .undecided(doubt) }
        if let limit = evidence.limit { return .waits(limit) }
        if let verdict = delay(evidence, now: now) { return verdict }
        guard let first, first.revision == evidence.revision else {
            self.first = (now, evidence.revision)
            return .suspected(again: now + pause)
        }
        guard now - first.at >= pause else { return .suspected(again: first.at + pause) }
        if evidence.begin == .seen, evidence.document == .absent, evidence.namedWorkerHasStayed {
            return .missing(Self.missing(evidence, nil))
        }
        return .lost(Self.sentence(evidence), mayHaveBegun: evidence.begin != .ruledOut)
    }

    /// A message that is still in the queue is not lost. A queue that others keep filling need be seen empty only once
    /// after the attempt was last heard of.
    private mutating func queueDoubt(_ evidence: Evidence) -> String? {
        switch evidence.queue {
        case .missing, .holds(0):
            emptyRevision = evidence.revision
            return nil
        case .holds(let count):
            if emptyRevision == evidence.revision { return nil }
            return "it may be among the \(count) messages in queue \(evidence.queueName)"
        case .unknown(let reason): return "queue \(evidence.queueName) cannot be looked at: \(reason)"
        }
    }

    /// Its next run may lie in a queue until it is due. Others keep filling these, too; but whatever was there when the
    /// attempt was last heard of has left them after the longest time of what was seen then.
    private mutating func delay(_ evidence: Evidence, now: Duration) -> Verdict? {
        let isKnown = delayedUntil?.revision == evidence.revision
        switch evidence.delayed {
        case .nothing:
            delayedUntil = (evidence.revision, now)
            return nil
        case .unknown(let reason):
            return .undecided("the queues for what is not due yet cannot be looked at: \(reason)")
        case .holds(let count, let longest):
            let leaves = now + longest + Self.delaySlack
            let until = isKnown ? min(leaves, delayedUntil?.at ?? leaves) : leaves
            delayedUntil = (evidence.revision, until)
            if now >= until { return nil }
            return .waits(
                "its next run is not due yet: it may be among the \(count) message\(count == 1 ? "" : "s") that RabbitMQ"
                    + " delays for Celery (queues \(DelayedQueues.names))")
        }
    }

    // MARK: Sentences

    private static func sentence(_ evidence: Evidence) -> String {
        let who = evidence.namedWorker.isEmpty ? "" : " (last run by \(evidence.namedWorker))"
        let found =
            switch evidence.document {
            case .absent, .waiting: begin(evidence)
            case .started: "its document says STARTED\(who)"
            case .retry: "its document says RETRY\(who)"
            case .revoked: "its document says REVOKED\(who)"
            case .ended: "its document tells an end\(who)"
            }
        let deniers =
            evidence.workers.denials == 0
            ? "there is no worker" : "none of \(evidence.workers.denials) workers has it"
        return "\(found), \(deniers), and queue \(evidence.queueName) is empty"
    }

    private static func begin(_ evidence: Evidence) -> String {
        switch evidence.begin {
        case .seen:
            evidence.namedWorker.isEmpty ? "a worker had begun it" : "worker \(evidence.namedWorker) had begun it"
        case .ruledOut: "no worker has begun it"
        case .unknown(let reason): "nobody can say whether a worker had begun it (\(reason))"
        }
    }

    private static func missing(_ evidence: Evidence, _ end: Evidence.ToldEnd?) -> String {
        let word =
            switch end {
            case .some(let end):
                "worker \(end.worker) says that it "
                    + (end.exception.map { "failed\($0.isEmpty ? "" : " (\($0))")" } ?? "succeeded")
            case nil: "worker \(evidence.namedWorker) had begun it, is there and has it no longer"
            }
        let stands =
            switch evidence.document {
            case .absent: "there is no document of it"
            case .waiting: "its document says that it has not begun"
            case .started: "its document says STARTED"
            case .retry: "its document says RETRY"
            case .revoked: "its document says REVOKED"
            case .ended: "its document tells an end"
            }
        return "\(word), but \(stands) in \(evidence.place). Compare result_backend and mongodb_backend_settings"
            + " (database, taskmeta_collection) of the worker with the server's --results, and see whether the task has"
            + " ignore_result or raises Ignore, and whether the worker could reach its database"
    }

    /// The first round is over, the second is due.
    var isSuspicious: Bool { first != nil }

    /// Why an attempt does not move, for people; nil if there is nothing to explain.
    var explanation: String? {
        switch verdict {
        case nil, .held, .lost, .missing: nil
        case .undecided(let reason), .waits(let reason): reason
        case .suspected: "no worker has it, its queue is empty: it looks lost and is checked once more"
        }
    }
}
