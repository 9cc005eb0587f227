import RhythmCore

/// All that the desk knows of one attempt.
struct CeleryEntry {
    /// Where it is.
    enum Phase {
        /// Not sent; `due` says when to try again.
        case unsent(due: Duration)
        /// Its private document is being stored.
        case preparing
        /// Given to the publisher.
        case publishing
        /// It was sent, or may have been: workers and documents say what becomes of it.
        case sent
        /// It is over, and what is told about it.
        case ended(Observation)
    }

    /// The workflow that wants to hear of it; nil if nobody does any more.
    var workflowID: WorkflowID?
    /// What is to run; nil for an attempt of which only the revoke is known.
    let dispatch: Dispatch?
    /// The queue it was, or is to be, sent to.
    let queue: String
    var phase: Phase
    /// When it came.
    let since: Duration
    /// Its place in the order in which attempts came.
    let serial: UInt64

    // Sending
    /// Tries to publish it so far; an outcome counts only if it is that of the last one.
    var tries = 0
    /// Its document in `workflow_meta`, stored or not; nil if it has none, or none that is this server's to delete.
    var privateDocument: String?
    /// It is known to be there.
    var isDocumentStored = false
    /// The broker has confirmed it, now or in an earlier life of this server.
    var isConfirmed = false
    /// Why it could not be sent; nil if nothing is in its way.
    var obstacle: String?

    // What was seen
    /// The document as it was last read; nil if there was none.
    var document: ResultDocument? {
        didSet { if let node = document?.node, !node.isEmpty { begunBy = node } }
    }
    /// A worker has begun it.
    var hasBegun = false
    /// When the present run of it began, or was seen to have; nil if nobody has seen that.
    var begunAt: Duration?
    /// The worker that has, as far as anything has said so; empty if nothing has. Documents may say less than those
    /// before them: a REVOKED that another worker wrote, or the RETRY of one that was ended, names nobody.
    var begunBy = "" {
        didSet { if !begunBy.isEmpty { seenBy.insert(begunBy) } }
    }
    /// All workers that were seen to have it.
    private(set) var seenBy: Set<String> = []
    /// When it was given to the publisher last; nil if that was in an earlier life of this server.
    var sentAt: Duration?
    /// Its worker has said that the last run is over.
    var runIsOver = false
    /// A worker's event has told the end.
    var endIsTold = false
    /// How it ended, in that worker's word; its document ought to say so, too.
    var toldEnd: Evidence.ToldEnd?
    /// An end that its document tells and that is not believed yet.
    var ending: EndRule?
    /// The attempt has stored an end that was none.
    var isOdd = false
    /// Its worker has said that it will run again, and no worker that it has begun to.
    var isBetweenRuns = false
    /// The start of the present run was told.
    var startIsTold = false
    /// The worker that was told to run it; empty if none was.
    var workerTold = ""
    /// All that were told, and when the last one was.
    private var workersTold: Set<String> = []
    private var workerToldAt: Duration?
    /// The repetitions that were told.
    var retriesTold = 0
    var progressTold: ProgressReport?
    /// Grows with everything that is heard of it.
    var revision = 0
    var lastHeard: Duration
    /// The wait that was told; empty if none was.
    var waitTold = ""

    // Its fate
    var lost: LostRule
    /// When the workers are asked about it again.
    var nextLook: Duration
    var revoke: RevokeRule?
    /// It was sent before, and it is not known whether that worked.
    var isUncertain = false

    init(
        workflowID: WorkflowID, dispatch: Dispatch?, queue: String, phase: Phase, now: Duration, serial: UInt64,
        lost: LostRule
    ) {
        self.workflowID = workflowID
        self.dispatch = dispatch
        self.queue = queue
        self.phase = phase
        self.lost = lost
        self.serial = serial
        nextLook = now
        since = now
        lastHeard = now
    }

    /// How often at most two workers that are both at it take turns in what is told.
    private static let turns = Duration.seconds(60)

    /// Whether it ought to be told that this worker has it.
    func isNews(of worker: String, at now: Duration) -> Bool {
        guard !worker.isEmpty, worker != workerTold else { return false }
        guard workersTold.contains(worker), let workerToldAt else { return true }
        return now - workerToldAt >= Self.turns
    }

    mutating func tellOf(_ worker: String, at now: Duration) {
        workerTold = worker
        workersTold.insert(worker)
        workerToldAt = now
    }

    var isEnded: Bool { if case .ended = phase { true } else { false } }
    var isSent: Bool { if case .sent = phase { true } else { false } }

    /// A worker was seen to have it, begun or not.
    mutating func note(holder: String) { seenBy.insert(holder) }

    /// Something was heard of it.
    mutating func hear(at now: Duration) {
        revision += 1
        lastHeard = now
        isUncertain = false
        lost.forget()
    }

    /// What its document says, for the rules.
    var documentEvidence: Evidence.Document {
        switch document?.status {
        case nil: .absent
        case .waiting: .waiting
        case .retry: .retry
        case .revoked: .revoked
        case .started: .started
        // One that is held back.
        case .success, .failure: .ended
        }
    }
}
