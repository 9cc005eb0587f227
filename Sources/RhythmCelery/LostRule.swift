import RhythmCore

/// Decides whether an attempt is lost: gone without an end, because a worker acknowledges a message when it begins and
/// then takes the task with it when it dies.
///
/// Lost is an attempt that every known worker denies holding while its queue is empty, in two rounds some time apart
/// between which nothing was heard of it. A worker that does not answer leaves it undecided, because the step would run
/// twice. A value, one for each attempt.
struct LostRule {
    /// What follows from a round.
    enum Verdict: Hashable, Sendable {
        /// A worker has it.
        case held(by: String)
        /// Nobody can say, and why.
        case undecided(String)
        /// It looks lost; to be asked again then.
        case suspected(again: Duration)
        /// It is lost; what was found, in a sentence.
        case lost(String)
    }

    /// The time between the two rounds.
    var pause: Duration = .seconds(15)
    private var first: (at: Duration, revision: Int)?
    /// The queue was seen without a message since the attempt was last heard of.
    private var emptyRevision: Int?
    private(set) var verdict: Verdict?

    init(pause: Duration = .seconds(15)) { self.pause = pause }

    /// Takes the evidence of a round.
    mutating func judge(_ evidence: Evidence, now: Duration) -> Verdict {
        let verdict = decide(evidence, now: now)
        self.verdict = verdict
        return verdict
    }

    private mutating func decide(_ evidence: Evidence, now: Duration) -> Verdict {
        if let holder = evidence.workers.holders.keys.sorted().first {
            first = nil
            return .held(by: holder)
        }
        if let doubt = evidence.doubt {
            first = nil
            return .undecided(doubt)
        }
        if let doubt = queueDoubt(evidence) {
            first = nil
            return .undecided(doubt)
        }
        guard let first, first.revision == evidence.revision else {
            self.first = (now, evidence.revision)
            return .suspected(again: now + pause)
        }
        guard now - first.at >= pause else { return .suspected(again: first.at + pause) }
        return .lost(Self.sentence(evidence))
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

    private static func sentence(_ evidence: Evidence) -> String {
        let found =
            switch evidence.document {
            case .absent, .waiting: "no worker has begun it"
            case .started: "its document says STARTED"
            case .retry: "its document says RETRY"
            case .revoked: "its document says REVOKED"
            case .ended: "its document tells an end"
            }
        let holder = evidence.namedWorker.isEmpty ? "" : " (last run by \(evidence.namedWorker))"
        let deniers =
            evidence.workers.denials == 0
            ? "there is no worker" : "none of \(evidence.workers.denials) workers has it"
        return "\(found)\(holder), \(deniers), and queue \(evidence.queueName) is empty"
    }

    /// The first round is over, the second is due.
    var isSuspicious: Bool { first != nil }

    /// Why an attempt does not move, for people; nil if there is nothing to explain.
    var explanation: String? {
        switch verdict {
        case nil, .held, .lost: nil
        case .undecided(let reason): reason
        case .suspected: "no worker has it, its queue is empty: it looks lost and is checked once more"
        }
    }
}
