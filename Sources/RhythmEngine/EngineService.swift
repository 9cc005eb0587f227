@preconcurrency import Dispatch
public import Logging
public import RhythmCore
import RhythmLane
import Synchronization

/// The engine as the rest of a program sees it: takes commands from any thread, answers reads from memory, and tells
/// observers what changed.
///
/// Embed it like this:
///
///     let runner = InProcessRunner()
///     runner.register("hello") { invocation in ... }
///     let service = EngineService(store: try SQLiteStore(path: "flows.sqlite"), runner: runner)
///     try await service.start()
///     let reply = try await service.submit(.start(spec, requestID: ""))
///
/// Thread-safe. Commands that arrive while a commit is on its way to the disk share the next one.
public final class EngineService: Sendable {
    /// Reads of what is stored: lists, counts, finished workflows, events.
    public let reader: any StoreReader
    /// Where the logs of attempts are; nil if the runner keeps none.
    public let logs: (any LogSource)?

    private let lane: Lane
    private let driver: EngineDriver
    /// Internal for its extensions.
    let runner: any TaskRunner
    private let inbox = Mutex(Inbox())
    private let board: Board
    /// What is known of the way to the store; nil for one in this process.
    let link: (any StoreLink)?
    /// The clock, if it is one that follows the store's.
    let clock: SteadyClock?
    /// The way to workflows of another orchestrator; nil if the store has none.
    public let legacy: LegacyDesk?
    /// Names what is stored; empty for a store without a name.
    public let storeID: String
    /// Who else uses the store; nil if nobody can, or the store does not know.
    public let directory: (any ServerDirectory)?

    /// Makes a service; nothing happens until ``start()``.
    ///
    /// - Parameters:
    ///   - store: owned by the engine from now on: nothing else may use it, but for its reader.
    ///   - clock: decides when something is due; by default one that nobody sets.
    ///   - makeID: gives fresh ids; by default random UUIDs (version 4).
    public init(
        store: sending any Store, runner: any TaskRunner, clock: any EngineClock = SteadyClock(),
        makeID: @escaping @Sendable () -> String = { RandomUUID.make() },
        logger: Logger = Logger(label: "rhythm.engine")
    ) {
        reader = store.reader
        storeID = store.storeID
        directory = store.directory
        logs = runner.logs
        self.runner = runner
        legacy = (reader as? any LegacyDocuments).map { LegacyDesk($0, runner: runner, clock: clock) }
        let board = Board()
        let lane = Lane(label: "rhythm.engine")
        self.board = board
        link = store.link
        self.clock = clock as? SteadyClock
        if let clock = self.clock { link?.tellTime { clock.follow($0) } }
        self.lane = lane
        driver = EngineDriver(
            store: store, runner: runner, clock: clock, makeID: makeID, publish: { board.publish($0) },
            tellTrouble: { board.trouble = $0 }, logger: logger, lane: lane)
    }

    /// Recovers what is stored and begins to work. Called once.
    ///
    /// - Throws: ``StoreError`` if the store cannot be read; then nothing has been started.
    public func start() async throws(StoreError) {
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Void, StoreError>, Never>) in
            lane.queue.async {
                done.resume(
                    returning: self.driver.assumeIsolated { driver in
                        Result { () throws(StoreError) in
                            try driver.start { [weak self] reports in self?.put(reports.map { .report($0) }) }
                        }
                    })
            }
        }
        try result.get()
    }

    /// Gives the engine a command. The answer comes once it is durable, on the engine's lane.
    ///
    /// - Parameter scope: the applications that the one who commands may act for. The engine looks when it carries the
    ///   command out, so nothing can change in between; a workflow outside is NOT_FOUND, as if it did not exist. The
    ///   application of a start is not looked at: who submits one has read its spec.
    public func submit(_ command: Command, within scope: AppScope = .all, reply: @escaping ReplyHandler) {
        guard let legacy, let id = command.workflow else {
            return submitToEngine(command, within: scope, reply: reply)
        }
        // What the engine does not know may be another orchestrator's.
        submitToEngine(command, within: scope) { [weak self] result in
            guard let self, case .failure(let error) = result, error.reason == "NO_SUCH_WORKFLOW" else {
                return reply(result)
            }
            legacy.carryOut(command, of: id, within: scope, notFound: error, by: self, reply: reply)
        }
    }

    /// Gives the engine a command about a workflow that is ours, or that nobody knows.
    func submitToEngine(_ command: Command, within scope: AppScope, reply: @escaping ReplyHandler) {
        put(CollectionOfOne(.command(command, within: scope, reply: reply)))
    }

    /// Takes over workflows of another orchestrator that got stuck. The answer may take some ten seconds; it comes on
    /// any thread.
    public func adopt(
        _ request: AdoptionRequest, within scope: AppScope = .all,
        reply: @escaping @Sendable (Result<AdoptionReply, RhythmError>) -> Void
    ) {
        guard let legacy else {
            return reply(
                .failure(
                    RhythmError(
                        .failedPrecondition, reason: "NO_LEGACY",
                        "the store of this server holds no workflows of the original library; it needs a mongodb:// store"
                    )))
        }
        legacy.adopt(request, within: scope, by: self, reply: reply)
    }

    /// Gives the engine a workflow that becomes ours; for ``LegacyDesk``.
    func take(_ adoption: Adoption, reply: @escaping @Sendable (Result<Workflow, RhythmError>) -> Void) {
        put(CollectionOfOne(.adopt(adoption, reply: reply)))
    }

    /// Gives the engine a command and waits for the durable answer. Cancelling the task ends neither.
    public func submit(_ command: Command) async throws(RhythmError) -> Reply {
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Reply, RhythmError>, Never>) in
            submit(command) { done.resume(returning: $0) }
        }
        return try result.get()
    }

    /// A workflow that is not settled, from memory; nil for any other, which ``reader`` may know.
    public func active(_ id: WorkflowID) -> Workflow? { board.workflow(id) }

    /// The same, or what was last known of one that another server took over while the store could not be asked: that may
    /// be old. Forgotten as soon as the store answers.
    public func lastKnown(_ id: WorkflowID) -> Workflow? { board.lastKnown(id) }

    /// A workflow, from memory if it is active, else from the store. May block on a disk.
    public func workflow(_ id: WorkflowID) throws(StoreError) -> Workflow? {
        if let workflow = board.workflow(id) { return workflow }
        return try reader.load(id)
    }

    /// Every workflow that is not settled.
    public func activeWorkflows() -> [Workflow] { board.all() }

    /// How many workflows are not settled.
    public var activeCount: Int { board.count }

    /// Why the store refuses to store; nil while it works.
    public var storeTrouble: StoreError? { board.trouble }

    /// Why news of other servers do not come; nil if they do, or if there are no others.
    var peersTrouble: String? { board.peersTrouble }

    /// Other servers that use the same store can be heard, or not, and then why. While they cannot, what they change is
    /// looked for in the store.
    public func hearsPeers(trouble: String?) {
        let before = board.setPeersTrouble(trouble)
        guard (before == nil) != (trouble == nil) else { return }
        lane.queue.async {
            self.driver.assumeIsolated { $0.setDeaf(trouble != nil) }
        }
    }

    /// Why other servers of a shared store do not hear of what this one does; nil if they do.
    var muteBecause: String? { board.muteBecause }

    /// Whether a server lives that is not heard.
    var othersAreMute: Bool { board.othersAreMute }

    /// Other servers that use the same store hear of what this one does, or not, and then why. While they do not, they look
    /// into the store.
    public func isHeardByPeers(trouble: String?) {
        board.setMute(because: trouble)
        lane.queue.async { self.driver.assumeIsolated { $0.setMute(trouble != nil) } }
    }

    /// Leaves everything that is followed here to other servers of a shared store, as soon as there are any, and takes on
    /// nothing more; or works again. Commands are still carried out, and what follows from them is others' to do.
    public func drain(_ isToDrain: Bool) {
        lane.queue.async { self.driver.assumeIsolated { $0.drain(isToDrain) } }
    }

    /// Calls `observer` with everything that changes from now on, after it is stored, in order, on the engine's lane.
    /// It must not block. What ``active(_:)`` tells is never older than what observers were told.
    public func observe(_ observer: @escaping @Sendable (Publication) -> Void) { board.add(observer) }

    /// Takes news of another server that uses the same store: what it changed (`foreign`), the progress of its attempts,
    /// and what it deleted. Observers get them like the engine's own; see ``SharedStore``.
    public func take(_ news: Publication) {
        let ours = news.foreign.filter { board.workflow($0.id) != nil }
        if !ours.isEmpty { put(ours.map { .changedElsewhere($0.id) }) }
        // What is followed here may be among what was not told.
        if news.mayHaveMissed { lane.queue.async { self.driver.assumeIsolated { $0.compare() } } }
        lane.queue.async { self.board.publish(news) }
    }

    /// News may have been missed: whatever observers show of other servers' workflows has to be read again.
    public func recheckForeign() {
        lane.queue.async {
            var news = Publication(foreign: [], progress: [], deleted: [])
            news.mayHaveMissed = true
            self.board.publish(news)
        }
    }

    /// Whether other servers use the same store.
    public var isShared: Bool { driver.isShared }

    /// Stops: what was submitted before is done, then the runner reports nothing more. Attempts that outlive the
    /// process go on.
    public func stop() async {
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            lane.queue.async {
                self.drain()
                self.driver.assumeIsolated { $0.stop() }
                self.refuseFurther()
                done.resume()
            }
        }
    }
}

// MARK: The inbox

extension EngineService {
    private struct Inbox {
        var inputs: [Input] = []
        var isScheduled = false
        var isClosed = false
    }

    private func put(_ inputs: some Collection<Input>) {
        let (mustSchedule, refused) = inbox.withLock { inbox -> (Bool, Bool) in
            if inbox.isClosed { return (false, true) }
            inbox.inputs.append(contentsOf: inputs)
            defer { inbox.isScheduled = true }
            return (!inbox.isScheduled, false)
        }
        if refused { Self.refuse(inputs) }
        if mustSchedule { lane.queue.async { self.drain() } }
    }

    private func drain() {
        let inputs = inbox.withLock { inbox -> [Input] in
            inbox.isScheduled = false
            defer { inbox.inputs = [] }
            return inbox.inputs
        }
        driver.assumeIsolated { $0.process(inputs) }
    }

    private func refuseFurther() {
        let left = inbox.withLock { inbox -> [Input] in
            inbox.isClosed = true
            defer { inbox.inputs = [] }
            return inbox.inputs
        }
        Self.refuse(left)
    }

    private static func refuse(_ inputs: some Collection<Input>) {
        let error = RhythmError(
            .unavailable, reason: "SHUTTING_DOWN", "the server is shutting down", retryAfter: .seconds(1))
        for input in inputs {
            switch input {
            case .command(_, _, let reply): reply(.failure(error))
            case .adopt(_, let reply): reply(.failure(error))
            case .report, .changedElsewhere: break
            }
        }
    }
}

/// Keeps the engine on its lane and calls it when its time has come.
private actor EngineDriver {
    private let lane: Lane
    private let engine: Engine
    private let clock: any EngineClock
    private let runner: any TaskRunner
    private let tellTrouble: @Sendable (StoreError?) -> Void
    private var timer: (any DispatchSourceTimer)?
    private var armedFor: Timestamp?
    private var isStopped = false
    private var isProbing = false

    nonisolated let isShared: Bool

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(
        store: sending any Store, runner: any TaskRunner, clock: any EngineClock,
        makeID: @escaping @Sendable () -> String, publish: @escaping @Sendable (Publication) -> Void,
        tellTrouble: @escaping @Sendable (StoreError?) -> Void, logger: Logger, lane: Lane
    ) {
        self.lane = lane
        self.tellTrouble = tellTrouble
        self.clock = clock
        self.runner = runner
        isShared = (store as? any SharedStore)?.isShared ?? false
        engine = Engine(
            store: store, runner: runner, clock: clock, makeID: makeID, publish: publish, logger: logger)
    }

    func start(report: @escaping @Sendable ([Report]) -> Void) throws(StoreError) {
        try engine.start(report: report)
        let timer = DispatchSource.makeTimerSource(queue: lane.queue)
        timer.setEventHandler { [weak self] in self?.assumeIsolated { $0.timerFired() } }
        timer.activate()
        self.timer = timer
        arm()
    }

    func process(_ inputs: [Input]) {
        guard !isStopped else { return }
        engine.process(inputs)
        // Here and not where commands come in: a cycle that a timer began can end the trouble as well.
        tellTrouble(engine.storeTrouble)
        beginProbing()
        arm()
    }

    func drain(_ isToDrain: Bool) {
        guard !isStopped else { return }
        engine.drain(isToDrain)
        process([])
    }

    func setDeaf(_ isDeaf: Bool) {
        guard !isStopped else { return }
        engine.setDeaf(isDeaf)
        process([])
    }

    func compare() {
        guard !isStopped else { return }
        engine.compareNow()
        process([])
    }

    func setMute(_ isMute: Bool) {
        guard !isStopped else { return }
        engine.setMute(isMute)
        process([])
    }

    func stop() {
        isStopped = true
        timer?.cancel()
        runner.stop()
        engine.endLease()
    }

    /// The store is away: somebody has to look when it is back, and that blocks.
    private func beginProbing() {
        guard engine.isHeldOff, !isProbing, let link = engine.storeLink else { return }
        isProbing = true
        probe(link)
    }

    private func probe(_ link: any StoreLink) {
        DispatchQueue.global(qos: .utility).asyncAfter(deadline: .now() + Self.probeInterval) { [weak self] in
            let answers = link.probe()
            guard let self else { return }
            lane.queue.async { self.assumeIsolated { $0.probed(link, answers) } }
        }
    }

    private static let probeInterval = DispatchTimeInterval.milliseconds(500)

    private func probed(_ link: any StoreLink, _ answers: Bool) {
        guard !isStopped else { return }
        guard answers else { return probe(link) }
        isProbing = false
        engine.storeAnswers()
        process([])
    }

    private func timerFired() {
        armedFor = nil
        process([])
    }

    private func arm() {
        guard let due = engine.nextWakeUp else { return }
        if let armedFor, armedFor <= due, armedFor >= clock.now() { return }
        armedFor = due
        timer?.schedule(deadline: .now() + .microseconds(Int(due.since(clock.now()).wholeMicroseconds)))
    }
}
