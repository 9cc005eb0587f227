import HeapModule
public import Logging
public import RhythmCore

/// The one writer of workflow state: takes commands and reports in order, asks the core what follows, stores it, and
/// only then performs the effects and answers.
///
/// Everything that arrived while the last commit was on its way to the disk is stored by the next one, so a thousand
/// concurrent starts share a few fsyncs. The engine has no thread, clock or randomness of its own: it does one cycle
/// whenever ``process(_:)`` is called, and says by ``nextWakeUp`` when it wants to be called at the latest. It is not
/// Sendable; `EngineService` keeps one on a lane, simulations call it from a loop.
///
/// What a crash leaves behind needs no repair: the stored records say which attempts are dispatched and which are to
/// stop (``Workflow/outstandingEffects``), and ``start()`` gives exactly that to the runner again.
public final class Engine {
    /// Progress is stored at most this often.
    static let progressInterval = Duration.seconds(1)
    /// How long the report that a step has begun waits for the next one, so that one commit stores both. Longer than a
    /// step takes that does nothing, shorter than anybody sees.
    public static let usualLinger = Duration.milliseconds(20)
    /// How often an input is tried when another server changes the same workflow at the same time.
    static let conflictTries = 8
    /// How long to wait after a store refused, before trying again.
    static let storeRetryInterval = Duration.seconds(1)

    let store: any Store
    /// The store, if writes may reach it late.
    let remote: (any RemoteStore)?
    /// The store, if other servers use it too.
    let shared: (any SharedStore)?
    let runner: any TaskRunner
    let clock: any EngineClock
    let makeID: @Sendable () -> String
    let publish: @Sendable (Publication) -> Void
    let logger: Logger

    /// Every workflow that is not settled, as it is stored (but for progress of the last second).
    var active: [WorkflowID: Workflow] = [:]
    /// Attempts whose progress is newer than the store's.
    var unsavedProgress: [WorkflowID: Set<AttemptPosition>] = [:]
    var progressDueAt: Timestamp?
    var deadlines = Heap<Deadline>()
    /// The deadline that each workflow has in the heap; other entries of it there are outdated.
    var scheduled: [WorkflowID: Timestamp] = [:]
    /// Reports that wait for the next of their workflow.
    var lingering: LingeringReports
    /// Reports that could not be stored yet.
    var heldReports: [Report] = []
    /// Workflows whose last commit has an unknown outcome: to be read again before anything else is done to them.
    var doubtful: [WorkflowID: Doubt] = [:]
    var retryAt: Timestamp?
    /// When to read again what could not be read because of itself.
    var unreadableDueAt: Timestamp?
    /// When to renew the lease of a shared store.
    var leaseDueAt: Timestamp?
    /// When it was last tried to renew it.
    var lastProofAt = Timestamp(microseconds: 0)
    /// When to look for what nobody follows, and whether others follow far fewer.
    var claimDueAt = Timestamp(microseconds: 0)
    /// The other servers of a shared store, as they were with the last proof.
    var others: [OtherServer] = []
    /// How often each of them had left something when it was looked for last.
    var leavesSeen: [String: Int] = [:]
    /// Since when the runner has to be able to begin attempts: until then it may not have come so far.
    var runnerDueAt: Timestamp?
    /// The store is away: until ``storeAnswers()`` nothing is asked of it. Only for a store of which
    /// ``Store/link`` tells.
    public internal(set) var isHeldOff = false
    /// The last proof that this server lives was not taken.
    var leaseFailed = false
    /// Somebody wants this server to follow nothing.
    var isToDrain = false
    /// Since when the runner can begin nothing.
    var stuckSince: Timestamp?
    /// When workflows are handed over to servers that follow far fewer.
    package var balance = BalanceRule()
    /// Whether attempts may begin; nil if nobody else could have replaced them.
    let gate: AttemptGate?
    /// What other servers do is not heard.
    var isDeaf = false
    /// There is one that cannot tell what it does.
    var othersAreMute = false
    /// When to compare memory with the store; nil if no write can be on its way that was given up for lost.
    var reconciliation: Reconciliation?

    /// Makes an engine over its ports.
    ///
    /// - Parameters:
    ///   - makeID: gives a fresh id (a lower-case UUIDv4) for every workflow and attempt.
    ///   - publish: takes what each cycle changed, after it is stored; called on the engine's lane, must not block.
    ///   - linger: how long the report that a step has begun may wait for the next one of its workflow.
    public init(
        store: any Store, runner: any TaskRunner, clock: any EngineClock, makeID: @escaping @Sendable () -> String,
        publish: @escaping @Sendable (Publication) -> Void, logger: Logger, linger: Duration = Engine.usualLinger
    ) {
        self.store = store
        remote = store as? any RemoteStore
        shared = (store as? any SharedStore).flatMap { $0.isShared ? $0 : nil }
        gate = shared?.link.map { AttemptGate($0) }
        self.runner = runner
        self.clock = clock
        self.makeID = makeID
        self.publish = publish
        self.logger = logger
        lingering = LingeringReports(patience: linger)
    }

    /// How many workflows are not settled.
    public var activeCount: Int { active.count }

    /// Why the store refuses to store; nil while it works.
    public internal(set) var storeTrouble: StoreError?
    /// That was said of a read.
    var troubleIsOfReading = false

    /// When ``process(_:)`` has to be called at the latest, even without input.
    public var nextWakeUp: Timestamp? {
        if isHeldOff { return nil }
        // While the store refuses, what is due cannot be done: no sooner than the next try.
        let work = retryAt ?? [deadlines.min?.at, progressDueAt, lingering.due].compactMap(\.self).min()
        return [work, unreadableDueAt, leaseDueAt, reconciliation?.dueAt].compactMap(\.self).min()
    }

    /// Reads every workflow that is not settled and gives the runner what is outstanding. Called once, first.
    public func start(report: @escaping @Sendable ([Report]) -> Void) throws(StoreError) {
        var effects: [Effect] = []
        var publication = Publication()
        if let shared {
            try shared.renewLease()
            leaseDueAt = clock.now() + shared.renewalInterval
            runnerDueAt = leaseDueAt
        }
        for workflow in try store.loadUnsettled() {
            install(workflow)
            effects += workflow.outstandingEffects
            publication.changes.append(.init(workflow: workflow, events: []))
            if workflow.nextWakeUp == nil, workflow.isQuiesced, !workflow.control.holds {
                logger.critical("workflow \(workflow.id) is active but nothing will move it (invariant I5)")
            }
        }
        expectLateWrites()
        logger.info("recovered", metadata: ["workflows": "\(active.count)", "effects": "\(effects.count)"])
        publish(publication)
        if let gate { runner.ask { gate.opening } }
        runner.keepTime { [clock] in clock.now() }
        runner.start(outstanding: effects, report: report)
    }

    /// One cycle: applies the inputs and all that is due, stores the result in one commit, performs the effects,
    /// publishes, answers.
    public func process(_ inputs: [Input]) {
        if isHeldOff { return holdOff(inputs) }
        retryAt = nil
        let now = clock.now()
        noticeTrouble(now: now)
        tendLease(now: now)
        if !isHeldOff { reconcile(now: now) }
        if !isHeldOff { openGate() }
        if isHeldOff { return holdOff(inputs) }
        var again = processOnce(inputs)
        for _ in 1..<Self.conflictTries where !again.isEmpty { again = processOnce(again) }
        for input in again {
            guard case .command(_, _, let reply) = input else {
                if case .report(let report) = input {
                    heldReports.append(report)
                    retryAt = clock.now() + Self.storeRetryInterval
                }
                continue
            }
            reply(
                .failure(
                    RhythmError(
                        .aborted, reason: "CONTENTION", "other servers changed the workflow again and again; try again",
                        retryAfter: .seconds(1))))
        }
    }

    /// - Returns: inputs to be processed again: what they rested on had been changed by another server.
    private func processOnce(_ inputs: [Input]) -> [Input] {
        var cycle = Cycle(now: clock.now())
        settleDoubts(now: cycle.now)
        if isHeldOff {
            holdOff(inputs)
            return []
        }
        let held = heldReports
        heldReports = []
        for report in held { apply(report, &cycle) }
        for input in inputs {
            if case .report(let report) = input, lingering.keep(report, now: cycle.now) { continue }
            if let id = input.workflow { applyLingering(of: id, &cycle) }
            switch input {
            case .command(let command, let scope, let reply): apply(command, scope, reply, &cycle)
            case .report(let report): apply(report, &cycle)
            case .changedElsewhere(let id): if cycle.works[id] == nil { refresh(id) }
            case .adopt(let adoption, let reply): apply(adoption, reply, &cycle)
            }
        }
        for report in lingering.takeDue(now: cycle.now) { apply(report, &cycle) }
        wakeUp(&cycle)
        return finish(&cycle)
    }
}
