import DequeModule
@preconcurrency import Dispatch
import Logging
import RhythmAuth
import RhythmCore
import RhythmEngine
import RhythmLane
import RhythmTLS
import RhythmWire

/// Everything a server holds on its lane: connections, watches, timers, and the way to the engine and back.
final class ServerCore {
    let configuration: ServerConfiguration
    let logger: Logger
    let lane: Lane
    let timers: LaneTimers
    let poller: Poller
    private(set) lazy var hub = WatchHub(
        server: self, bookmarkInterval: configuration.bookmarkInterval,
        maxWorkflows: configuration.maxWatchedWorkflows)
    /// One read buffer for all connections: what is read is taken apart before the next read.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private(set) var connections: [UInt64: Connection] = [:]
    private(set) var isDraining = false
    var callCount = 0
    var statistics = Statistics()
    var journal: CallJournal
    private(set) var peersThrottle: LogThrottle
    var statusAnswers = StatusAnswers()
    private(set) var security: Security
    /// Attempts that failed, by address.
    var failures = FailureThrottle()
    var crowd = Crowd()
    var refusals = AddressThrottle()
    /// What answers calls; nil until the server begins to take them.
    private var begunEngine: EngineService?
    private var withdrawal: String?
    /// It was told to leave its work to others.
    var drainsWork = false
    /// Streams were ended because what they would tell is old.
    private var hasEndedStale = false
    /// Why it does not yet.
    private var notYet = "the server is starting"
    /// Calls that wait for an examination of their own.
    var waitingForExamination: [Call] = []
    var isExamining = false
    /// The call on whose behalf something is done now: reads and commands count as its work.
    private(set) var current: Call?
    /// Bytes that wait for all peers together.
    private var waitingBytes = 0

    private let enter: @Sendable (@Sendable (ServerCore) -> Void) -> Void
    private let mailbox: Mailbox<LaneMessage>
    private let reads: StoreReads
    private var listeners: [Listener] = []
    private var legacyFollower: LegacyFollower?
    private var lastConnectionID: UInt64 = 0
    private var lastTicket: UInt64 = 0
    private var readsUnderWay: [UInt64: (ReadResult) -> Void] = [:]
    private var adoptionsUnderWay: [UInt64: (Result<AdoptionReply, RhythmError>) -> Void] = [:]
    private var commandsUnderWay: [UInt64: (Result<RhythmEngine.Reply, RhythmError>) -> Void] = [:]
    private var examinations: [UInt64: ([Finding]) -> Void] = [:]
    private var dirty: [Connection] = []
    private var unfinished = Deque<Connection>()
    private var unfinishedIsScheduled = false
    /// When streams have had their time in this turn.
    private var streamsUntil: UInt64?
    private var afterTurn: [() -> Void] = []
    private var whenEmpty: (() -> Void)?
    /// The last round came late.
    private var wasLate = false
    let startedAt = LaneTimers.now()
    /// When the streams that are sending began to: near enough for what they need a clock for (uptime, nanoseconds).
    private(set) var now = LaneTimers.now()

    /// - Parameter enter: runs a closure with this core on the lane; called on the lane.
    /// - Throws: UNAVAILABLE if there are no descriptors left.
    init(
        configuration: ServerConfiguration, logger: Logger, lane: Lane,
        enter: @escaping @Sendable (@Sendable (ServerCore) -> Void) -> Void
    ) throws(RhythmError) {
        poller = try Poller(queue: lane.queue) { enter { $0.serve() } }
        self.configuration = configuration
        security = configuration.security
        self.logger = logger
        journal = CallJournal(logger: logger, linesPerSecond: UInt64(configuration.logLinesPerSecond))
        peersThrottle = LogThrottle(perSecond: UInt64(configuration.logLinesPerSecond))
        self.lane = lane
        self.enter = enter
        let mailbox = Mailbox<LaneMessage>(lane: lane, bell: poller.bell) { messages in
            enter { core in core.turn { $0.deliver(messages) } }
        }
        self.mailbox = mailbox
        timers = LaneTimers { mailbox.put(.timersAreDue) }
        reads = StoreReads { ticket, result in mailbox.put(.read(ticket, result)) }
    }

    deinit { readBuffer.deallocate() }

    /// Listens. Called once; peers are told to come again until ``begin(_:)``.
    func listen() throws(RhythmError) -> [Endpoint] {
        let mailbox = mailbox
        do throws(RhythmError) {
            for endpoint in configuration.endpoints {
                if case .tls = endpoint, security.tls == nil {
                    throw RhythmError(
                        .failedPrecondition, reason: "NO_CERTIFICATE", "\(endpoint) needs a certificate")
                }
                listeners.append(
                    try Listener(endpoint, unixSocketMode: security.unixSocketMode) { socket in
                        mailbox.put(.accepted(socket, endpoint))
                    } exhausted: {
                        mailbox.put(.descriptorsRanOut)
                    })
            }
        } catch {
            for listener in listeners { listener.close() }
            listeners = []
            throw error
        }
        scheduleRound()
        return listeners.map(\.endpoint)
    }

    /// Takes calls from now on, and follows the engine, which has started. Called once.
    func begin(_ engine: EngineService) {
        let mailbox = mailbox
        engine.observe { mailbox.put(.publication($0)) }
        begunEngine = engine
        if let desk = engine.legacy {
            legacyFollower = LegacyFollower(desk, server: self)
            legacyFollower?.start()
        }
    }

    /// Says why calls are not taken yet.
    func wait(because reason: String) { notYet = reason }

    /// What answers calls. There are none before ``begin(_:)``, as no Hello is accepted.
    var engine: EngineService {
        guard let begunEngine else { preconditionFailure("a call was taken before the engine") }
        return begunEngine
    }

    /// Why no Hello can be accepted yet; nil if it can.
    var startRefusal: RhythmError? {
        guard begunEngine == nil else { return nil }
        return RhythmError(.unavailable, reason: "STARTING", notYet, retryAfter: .seconds(1))
    }

    /// Serves sockets and mailbox as long as one of them has something, and for a moment longer: what comes while the lane
    /// still waits here costs no change of threads. Whatever else is to be done on the lane waits meanwhile, so it does not
    /// go on for ever.
    private func serve() {
        let end = LaneTimers.now() + Self.servingTime
        repeat {
            let messages = mailbox.take()
            if !messages.isEmpty { turn { $0.deliver(messages) } }
            let mayWait = messages.isEmpty && !unfinishedIsScheduled
            if poller.wait(atMost: mayWait ? Self.patience : 0) {
                turn { core in
                    core.poller.forEachReady { core.connections[$0.id]?.ready($0) }
                }
            } else if messages.isEmpty {
                break
            }
        } while LaneTimers.now() < end
        mailbox.leave()
    }

    /// How long sockets and mailbox may keep the lane at a time (nanoseconds).
    private static let servingTime: UInt64 = 2_000_000
    /// How long the lane waits for the next thing before it goes (nanoseconds). Longer than the tick of the system's clock:
    /// a shorter wait has the processor's timer set anew each time, which in a virtual machine takes 5 us.
    private static let patience: UInt64 = 20_000_000

    /// One turn of the lane: whatever it leaves to be sent goes out at its end, in one write a connection.
    func turn(_ body: (ServerCore) -> Void) {
        streamsUntil = nil
        body(self)
        hub.spreadNews()
        while !dirty.isEmpty || !afterTurn.isEmpty {
            let connections = dirty
            dirty.removeAll(keepingCapacity: true)
            flush(connections)
            let actions = afterTurn
            afterTurn = []
            for action in actions { action() }
            hub.spreadNews()
        }
        journal.settle(into: &statistics)
    }

    /// Answers go out at once. What streams have to send waits if this turn has taken long already: a fast run of events
    /// to many watches must not hold up the calls of others.
    private func flush(_ connections: [Connection]) {
        for connection in connections {
            if connection.hasOnlyStreams, !mayStream() { goOnLater(connection) } else { connection.flush() }
        }
    }

    /// Lets a connection's streams send before the turn ends, if there is time left for streams in it.
    func flushStreams(of connection: Connection) {
        if mayStream() { connection.flush() }
    }

    /// Not while others wait for their turn, and not for ever.
    private func mayStream() -> Bool {
        guard unfinished.isEmpty else { return false }
        let now = LaneTimers.now()
        if let streamsUntil { return now < streamsUntil }
        streamsUntil = now + Self.streamTurn
        return true
    }

    /// The streams of a connection begin to send.
    func streamsBegin() { now = LaneTimers.now() }

    /// The connection's streams have more to send than one turn allows for.
    func goOnLater(_ connection: Connection) {
        guard !connection.isUnfinished else { return }
        connection.isUnfinished = true
        unfinished.append(connection)
        scheduleUnfinished()
    }

    /// Behind everything that waits for the lane by now.
    private func scheduleUnfinished() {
        guard !unfinishedIsScheduled, !unfinished.isEmpty else { return }
        unfinishedIsScheduled = true
        lane.queue.async { [enter] in enter { core in core.turn { $0.goOn() } } }
    }

    private func goOn() {
        let deadline = LaneTimers.now() + Self.streamTurn
        // Those that come back are for the next time.
        for _ in 0..<unfinished.count {
            guard LaneTimers.now() < deadline, let connection = unfinished.popFirst() else { break }
            connection.isUnfinished = false
            connection.flush()
        }
        unfinishedIsScheduled = false
        scheduleUnfinished()
    }

    /// How long streams may keep the lane at a time (nanoseconds).
    private static let streamTurn: UInt64 = 2_000_000

    /// The connection has something to send at the end of this turn.
    func markDirty(_ connection: Connection) {
        if dirty.last !== connection { dirty.append(connection) }
    }

    /// Logs what concerns one peer, unless there are too many such lines.
    func logOfPeers(_ message: Logger.Message, _ metadata: Logger.Metadata, level: Logger.Level = .info) {
        guard logger.logLevel <= level, let leftOut = peersThrottle.admit(at: LaneTimers.now()) else { return }
        var metadata = metadata
        if leftOut > 0 { metadata["lines_left_out"] = .stringConvertible(leftOut) }
        logger.log(level: level, message, metadata: metadata)
    }

    /// Runs at the end of this turn.
    func later(_ action: @escaping () -> Void) { afterTurn.append(action) }
}

/// What comes to the lane from other threads.
enum LaneMessage: Sendable {
    case publication(Publication)
    case command(UInt64, Result<RhythmEngine.Reply, RhythmError>)
    case adoption(UInt64, Result<AdoptionReply, RhythmError>)
    case read(UInt64, ReadResult)
    case examined(UInt64, [Finding])
    case timersAreDue
    /// A new connection, and where it came in.
    case accepted(AcceptedSocket, Endpoint)
    case descriptorsRanOut
}

// MARK: The engine and the store

extension ServerCore {
    /// Gives the engine a command; `then` runs on the lane when the answer is durable.
    func submit(
        _ command: Command, within scope: AppScope, then: @escaping (Result<RhythmEngine.Reply, RhythmError>) -> Void
    ) {
        lastTicket += 1
        let ticket = lastTicket
        let owner = current
        owner?.workBegan()
        commandsUnderWay[ticket] = { [unowned self] result in
            onBehalf(of: owner) { then(result) }
            owner?.workEnded()
        }
        let mailbox = mailbox
        engine.submit(command, within: scope) { mailbox.put(.command(ticket, $0)) }
    }

    /// Has workflows adopted; `then` runs on the lane.
    func adopt(
        _ request: AdoptionRequest, within scope: AppScope,
        then: @escaping (Result<AdoptionReply, RhythmError>) -> Void
    ) {
        lastTicket += 1
        let ticket = lastTicket
        adoptionsUnderWay[ticket] = then
        let mailbox = mailbox
        engine.adopt(request, within: scope) { mailbox.put(.adoption(ticket, $0)) }
    }

    /// Reads away from the lane; `then` runs on the lane.
    func read(
        _ work: @escaping @Sendable () throws(StoreError) -> ReadResult, then: @escaping (ReadResult) -> Void
    ) {
        guard let owner = current else { return start(work, then: then) }
        let connection = owner.connection
        owner.workBegan()
        connection.read { [unowned self] in
            start(work) { [unowned self] result in
                connection.readsUnderWay -= 1
                onBehalf(of: owner) { then(result) }
                owner.workEnded()
                connection.startReads()
            }
        }
    }

    private func start(
        _ work: @escaping @Sendable () throws(StoreError) -> ReadResult, then: @escaping (ReadResult) -> Void
    ) {
        lastTicket += 1
        readsUnderWay[lastTicket] = then
        let engine = engine
        reads.run(ticket: lastTicket) { () throws(StoreError) in
            // A store that nobody holds closes, and that must not happen under a reader of it.
            try withExtendedLifetime(engine) { () throws(StoreError) in try work() }
        }
    }

    /// Does something on behalf of a call.
    func onBehalf(of call: Call?, _ body: () -> Void) {
        let before = current
        current = call
        body()
        current = before
    }

    /// Has the engine look at its store and its runner; `then` runs on the lane, seconds later.
    func examine(within scope: AppScope, then: @escaping ([Finding]) -> Void) {
        lastTicket += 1
        let ticket = lastTicket
        examinations[ticket] = then
        let mailbox = mailbox
        engine.examine(within: scope) { mailbox.put(.examined(ticket, $0)) }
    }

    /// A workflow that is active and in scope.
    func active(_ id: WorkflowID, within scope: AppScope) -> Workflow? {
        engine.active(id).flatMap { scope.contains($0.appID) ? $0 : nil }
    }

    /// Finds a workflow in memory, else in the store; `then` runs on the lane, at once if it is active. What is out of
    /// scope is NOT_FOUND, and takes the way through the store that an unknown id takes.
    func find(_ id: WorkflowID, within scope: AppScope, then: @escaping (Result<Workflow, RhythmError>) -> Void) {
        if let stale { return then(.failure(stale)) }
        if case .adrift = engine.memory { return then(remembered(id, within: scope)) }
        if isCurrent, let workflow = active(id, within: scope) {
            then(.success(workflow))
            return
        }
        let (engine, isCurrent, allowsStale) = (engine, isCurrent, configuration.allowsStaleReads)
        read { () throws(StoreError) in
            if isCurrent { return .workflow(try engine.workflow(id)) }
            do throws(StoreError) {
                return .workflow(try engine.reader.load(id))
            } catch {
                guard allowsStale, error.code == .unavailable, let known = engine.lastKnown(id) else { throw error }
                return .workflow(known)
            }
        } then: { result in
            switch result {
            case .workflow(let workflow?) where scope.contains(workflow.appID): then(.success(workflow))
            case .failed(let error): then(.failure(error))
            default:
                then(
                    .failure(
                        RhythmError(
                            .notFound, reason: "NO_SUCH_WORKFLOW", "there is no workflow '\(id)'",
                            field: "workflow_id")))
            }
        }
    }

    /// Whether what is in memory may be told as the truth.
    var isCurrent: Bool {
        if case .current = engine.memory { true } else { false }
    }

    /// Why nothing can be told of any workflow: what is in memory is old, and the store cannot be asked.
    var stale: RhythmError? {
        guard case .adrift(let why) = engine.memory, !configuration.allowsStaleReads else { return nil }
        return staleError("what this server knows may be old: \(why)")
    }

    private func staleError(_ what: String) -> RhythmError {
        RhythmError(
            .unavailable, reason: "STALE",
            "the store cannot be asked, and \(what); ask another server, or again", retryAfter: .seconds(1))
    }

    /// What was last known of a workflow, for a server that may tell that while the store cannot be asked. It cannot say of
    /// any workflow that it does not exist.
    func remembered(
        _ id: WorkflowID, atLeast version: Int64 = 0, within scope: AppScope
    ) -> Result<Workflow, RhythmError> {
        guard let known = engine.lastKnown(id), scope.contains(known.appID) else {
            return .failure(staleError("this server remembers no workflow '\(id)'"))
        }
        guard known.version >= version else {
            return .failure(staleError("this server remembers version \(known.version) of it, not \(version)"))
        }
        return .success(known)
    }

    /// Watches must not pass off what is old as the truth by their silence.
    private func endStale() {
        guard begunEngine != nil, let stale else {
            hasEndedStale = false
            return
        }
        guard !hasEndedStale else { return }
        hasEndedStale = true
        for connection in connections.values {
            for call in Array(connection.calls.values) where call.name == .watchProgress {
                connection.fail(call, stale)
            }
        }
    }

    private func deliver(_ messages: [LaneMessage]) {
        for message in messages {
            switch message {
            case .publication(let publication):
                for change in publication.changes { statusAnswers.forget(change.workflow.id) }
                for update in publication.progress { statusAnswers.forget(update.workflowID) }
                for id in publication.deleted + publication.released { statusAnswers.forget(id) }
                hub.take(publication)
            case .command(let ticket, let result): commandsUnderWay.removeValue(forKey: ticket)?(result)
            case .adoption(let ticket, let result): adoptionsUnderWay.removeValue(forKey: ticket)?(result)
            case .read(let ticket, let result): readsUnderWay.removeValue(forKey: ticket)?(result)
            case .examined(let ticket, let findings): examinations.removeValue(forKey: ticket)?(findings)
            case .timersAreDue: timers.runDue()
            case .accepted(let socket, let endpoint): accept(socket, endpoint)
            case .descriptorsRanOut:
                statistics.descriptorShortages += 1
                logOfPeers("out of descriptors: new connections wait until one is closed", [:], level: .error)
            }
        }
    }
}

// MARK: Connections

extension ServerCore {
    private func accept(_ socket: AcceptedSocket, _ endpoint: Endpoint) {
        guard !isDraining else { return }
        lastConnectionID += 1
        statistics.connectionsAccepted += 1
        var session: TLSSession?
        if case .tls = endpoint {
            // Whatever goes wrong here: a connection that is to be encrypted is never plain.
            guard let tls = security.tls, let made = try? TLSSession(tls, .server) else {
                logger.error("connection refused", metadata: ["peer": "\(socket.peer)", "reason": "NO_TLS"])
                return
            }
            session = made
        }
        let connection = Connection(
            id: lastConnectionID, descriptor: socket.take(), peer: socket.peer, endpoint: endpoint, tls: session,
            server: self)
        if let limit = crowd.refusal(of: connection.address, all: connections.count, configuration) {
            connection.refuseEntry(limit)
            return
        }
        crowd.came(connection.address)
        connections[connection.id] = connection
        connection.start()
    }

    /// From now on peers are recognised like this. Whoever would not be let in any more, or with other rights, is asked to
    /// come again.
    func replace(_ security: Security) {
        self.security = security
        for connection in Array(connections.values) where !security.authenticator.stillHolds(connection.caller) {
            connection.credentialsEnded()
        }
    }

    /// Does something with a connection when `delay` is over, if it is there then.
    @discardableResult
    func schedule(
        after delay: Duration, for connection: Connection, _ action: @escaping (Connection) -> Void
    ) -> UInt64 {
        timers.schedule(after: delay) { [unowned self, id = connection.id] in
            if let connection = connections[id] { action(connection) }
        }
    }

    /// The connection's descriptor is closed.
    func forget(_ connection: Connection) {
        connections[connection.id] = nil
        statistics.bytesIn += UInt64(connection.bytesIn)
        statistics.bytesOut += UInt64(connection.bytesOut)
        crowd.went(connection.address)
        for listener in listeners { listener.resume() }
        if connections.isEmpty { whenEmpty?() }
    }

    /// A line in the log about what a peer did wrong, if there was none about its address for a while.
    func noteRefusal(of connection: Connection, _ reason: String, _ message: String) {
        guard let withheld = refusals.admits(connection.address, at: LaneTimers.now()) else { return }
        logger.info(
            "connection refused",
            metadata: [
                "peer": "\(connection.peer)", "reason": "\(reason)", "message": "\(message)",
                "withheld": "\(withheld)",
            ])
    }

    /// What waits for a peer has changed. All that waits is bounded; whoever takes least pays.
    func account(for connection: Connection) {
        let waiting = connection.phase == .closed ? 0 : connection.waitingBytes
        waitingBytes += waiting - connection.accountedBytes
        connection.accountedBytes = waiting
        guard waitingBytes > configuration.maxWaitingBytes,
            let slowest = connections.values.max(by: { $0.accountedBytes < $1.accountedBytes })
        else { return }
        logger.warning(
            "peer takes too little, closing",
            metadata: [
                "peer": "\(slowest.peer)", "waiting_bytes": "\(slowest.accountedBytes)",
                "max_waiting_bytes": "\(configuration.maxWaitingBytes)",
            ])
        slowest.close()
    }

    /// Looks after every connection, often enough for the intervals there are: pings the silent, cuts off the dead.
    private func scheduleRound() {
        let shortest = min(
            configuration.pingInterval, configuration.bookmarkInterval, configuration.stallTimeout,
            configuration.maxConnectionAge ?? .seconds(2), configuration.maxWatchAge ?? .seconds(2))
        let period = min(.seconds(1), shortest / 2)
        let due = LaneTimers.now() &+ UInt64(period.wholeMicroseconds) * 1000
        timers.schedule(after: period) { [unowned self] in
            let now = LaneTimers.now()
            // A server that was stopped for a while itself has not listened: nobody is to blame for his silence. One that
            // is always late has to look after them all the same.
            let isLate = now >= due &+ UInt64(period.wholeMicroseconds) * 1000
            let hasListened = !isLate || wasLate
            wasLate = isLate
            let interval = UInt64(configuration.pingInterval.wholeMicroseconds) * 1000
            let stall = UInt64(configuration.stallTimeout.wholeMicroseconds) * 1000
            for connection in Array(connections.values) where hasListened {
                connection.lookAfter(now: now, pingInterval: interval, stallTimeout: stall)
            }
            hub.endOldWatches(now: now)
            endStale()
            hub.sendBookmarks(now: now)
            scheduleRound()
        }
    }

    /// What is said in answer to a Hello.
    var helloReply: HelloReply {
        HelloReply(
            serverName: "rhythmd", serverVersion: configuration.version,
            features: engine.isShared ? [Feature.sharedStore] : [],
            limits: ConnectionLimits(
                maxRequestBytes: UInt32(configuration.maxRequestBytes),
                maxResponseBytes: UInt32(configuration.maxResponseBytes), maxCalls: UInt32(configuration.maxCalls),
                pingIntervalMilliseconds: UInt32(configuration.pingInterval.wholeMilliseconds),
                maxWatchedWorkflows: UInt32(configuration.maxWatchedWorkflows),
                frameTimeoutMilliseconds: UInt32(configuration.frameTimeout.wholeMilliseconds),
                stallTimeoutMilliseconds: UInt32(configuration.stallTimeout.wholeMilliseconds),
                defaultTimeoutMilliseconds: UInt32(configuration.defaultTimeout.wholeMilliseconds),
                maxPingsPerSecond: UInt32(configuration.maxPingsPerSecond),
                maxCancelsPerSecond: UInt32(configuration.maxCancelsPerSecond)),
            serverID: configuration.serverID, epoch: configuration.epoch, storeID: engine.storeID)
    }

    /// Whether the server can take on work, and if not, why.
    var health: ServiceHealth {
        guard let begunEngine else {
            var health = ServiceHealth()
            health.add(.notServing, notYet)
            return health
        }
        return begunEngine.health
    }

    /// Why nobody should send work here, beside the health: it stops, or somebody has asked for it.
    var farewells: [String] {
        (isDraining ? ["the server is shutting down"] : []) + (withdrawal.map { [$0] } ?? [])
    }

    /// From now on nobody should send work here, or again.
    func withdraw(because reason: String?) { withdrawal = reason }

    /// How the server is.
    var info: ServerInfo {
        let health = health
        return ServerInfo(
            serverVersion: configuration.version, uptimeMilliseconds: (LaneTimers.now() - startedAt) / 1_000_000,
            activeWorkflows: UInt64(begunEngine?.activeCount ?? 0), connections: UInt64(connections.count),
            calls: UInt64(callCount), watches: UInt64(hub.watchCount),
            health: health.level.wire,
            healthDetail: health.reasons.joined(separator: "; "), runners: configuration.runners,
            serverID: configuration.serverID, epoch: configuration.epoch, authenticationFailures: failures.total,
            storeID: begunEngine?.storeID ?? "", isDraining: drainsWork,
            followedWorkflows: UInt64(begunEngine?.activeCount ?? 0))
    }

    /// Stops at once: nobody is told.
    func end() {
        stopListening()
        timers.stop()
        for connection in Array(connections.values) { connection.close() }
        // What the engine and the store still answer comes to nobody.
        commandsUnderWay = [:]
        adoptionsUnderWay = [:]
        readsUnderWay = [:]
        examinations = [:]
        waitingForExamination = []
    }

    /// Where it listens.
    var listening: [Endpoint] { listeners.map(\.endpoint) }

    private func stopListening() {
        isDraining = true
        for listener in listeners { listener.close() }
        listeners = []
    }

    /// Stops listening, tells every peer, lets open calls finish, and calls `done` when the last connection is closed
    /// or the grace is over.
    func drain(grace: Duration, done: @escaping () -> Void) {
        stopListening()
        var isDone = false
        let finish = { [unowned self] in
            guard !isDone else { return }
            isDone = true
            timers.stop()
            done()
        }
        whenEmpty = finish
        for connection in Array(connections.values) {
            connection.goAway(.shutdown, grace: grace)
        }
        if connections.isEmpty {
            finish()
            return
        }
        timers.schedule(after: grace) { [unowned self] in
            for connection in Array(connections.values) { connection.close() }
            finish()
        }
    }
}
