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

    var document: Document
    /// Grows with every change of the document, and with every event of the attempt.
    var revision = 0
    /// The worker that the document names, or that was seen to begin it; empty if there is none.
    var namedWorker = ""
    /// A worker was seen to begin it, or nobody knows.
    var mayHaveBegun = true
    /// Its worker has said that no process is at it any more.
    var runIsOver = false
    /// What the workers said.
    var workers = Census.Finding()
    /// Workers that said goodbye not long ago.
    var leaving: Set<String> = []
    /// The named worker is among those that are taken for dead.
    var queue: Queue = .unknown("nobody has looked")
    /// The name of the queue, for people.
    var queueName = ""
    /// The server has listened long enough to know all workers there are.
    var isAcquainted = true

    /// The first reason why nobody can say that nothing of the attempt runs; nil if everybody denies holding it.
    var doubt: String? {
        if !isAcquainted { return "the server has only begun to listen to the workers" }
        if let silent = workers.silent.sorted().first { return "worker \(silent) does not answer" }
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
