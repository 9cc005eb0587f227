import RhythmCore

/// Everything that is known of one attempt after a ``Census``, for the rules that decide about its fate.
struct Evidence: Hashable, Sendable {
    /// What its result document says, read after the census.
    enum Document: Hashable, Sendable {
        case absent
        /// Written before it began.
        case waiting
        case started, retry, revoked
        /// It tells an end that nobody has confirmed yet.
        case ended
    }

    /// What its queue holds.
    enum Queue: Hashable, Sendable {
        case missing
        case holds(Int)
        case unknown(String)
    }

    /// Whether a worker has begun it.
    enum Begin: Hashable, Sendable {
        case seen
        /// None has; it would be known.
        case ruledOut
        /// Nobody can say, and why.
        case unknown(String)
    }

    /// What its worker has said of its end.
    struct ToldEnd: Hashable, Sendable {
        var worker: String
        /// nil if it succeeded.
        var exception: String?
        /// When that was heard.
        var at: Duration
    }

    /// What the queues hold in which RabbitMQ keeps messages that are not due yet.
    enum Delayed: Hashable, Sendable {
        case nothing
        /// So many messages, the last of which leaves them after at most so long.
        case holds(Int, longest: Duration)
        case unknown(String)
    }

    var document: Document
    /// Grows with every change of the document, and with every event of the attempt.
    var revision = 0
    /// The worker that the document names, or that was seen to begin it; empty if there is none.
    var namedWorker = ""
    /// A worker was seen to begin it, or nobody knows.
    var mayHaveBegun = true
    /// What is known of its begin.
    var begin = Begin.unknown("")
    /// Its worker has said how it ended.
    var toldEnd: ToldEnd?
    /// The named worker is there, and has been since it began the attempt.
    var namedWorkerHasStayed = false
    /// A limit of a worker that may keep its message in hand without saying so, in a phrase; nil if there is none.
    var limit: String?
    /// What lies in the queues for messages that are not due yet, among which its next run may be.
    var delayed = Delayed.nothing
    /// Where result documents are looked for, for people.
    var place = ""
    /// Its worker has said that no process is at it any more.
    var runIsOver = false
    /// What the workers said.
    var workers = Census.Finding()
    /// A worker that nobody has heard of takes from its queue.
    var hasStranger = false
    /// Workers that said goodbye not long ago.
    var leaving: Set<String> = []
    /// What is known of its queue.
    var queue: Queue = .unknown("nobody has looked")
    /// The name of the queue, for people.
    var queueName = ""
    /// The server has listened long enough to know all workers there are.
    var isAcquainted = true

    /// The first reason why nobody can say that nothing of the attempt runs; nil if everybody denies holding it.
    var doubt: String? {
        if !isAcquainted { return "the server has only begun to listen to the workers" }
        if let silent = workers.silent.sorted().first { return "worker \(silent) does not answer" }
        if hasStranger { return "an unknown worker of queue \(queueName) does not answer" }
        guard document != .absent, document != .waiting else { return nil }
        // Workers that never had it write REVOKED, too.
        if document == .revoked, namedWorker.isEmpty, !mayHaveBegun { return nil }
        // A worker that shuts down gives back what it has not begun, and ends what it has.
        if let leaving = namedWorker.isEmpty ? leaving.sorted().first : leaving.first(where: { $0 == namedWorker }) {
            return "worker \(leaving) is shutting down and may be finishing it"
        }
        return nil
    }
}
