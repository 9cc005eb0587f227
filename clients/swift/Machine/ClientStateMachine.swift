import DequeModule
package import RhythmCore
package import RhythmWire

/// The rules of a client, without sockets, clock, randomness or tasks: what happens comes in as an ``Event``, what is
/// to be done goes out as ``Action``s.
///
/// Every call that was opened ends with exactly one ``Action/complete(_:_:)`` or ``Action/finish(_:_:)``, on whichever
/// way it ends; after that, nothing about it is said any more.
package struct ClientStateMachine: Sendable {
    /// What does not change.
    package struct Configuration: Sendable {
        package var hello: Hello
        /// Where the servers are, in the order in which they are tried; for messages.
        package var endpoints: [String]
        /// Which of them is tried first.
        package var first = 0
        /// Calls wait this long for a first connection before they fail; nil lets them wait for their deadline. They fail
        /// at the earliest when each server was tried.
        package var patience: Duration?
        /// How long the server may take to answer the hello.
        package var helloTimeout = Duration.seconds(5)
        /// Where there are other servers, one that owes an answer and is silent for this long is pinged; after as long
        /// again it is left.
        package var suspicion = Duration.seconds(2)
        /// The same for one that owes nothing but what streams will tell.
        package var streamSuspicion = Duration.seconds(5)

        package init(hello: Hello, endpoints: [String], patience: Duration?) {
            precondition(!endpoints.isEmpty, "a client needs an address")
            self.hello = hello
            self.endpoints = endpoints
            self.patience = patience
        }
    }

    /// What happens.
    package enum Event: Sendable {
        /// A program makes a call.
        case open(CallKey, CallKind, timeout: Duration?, slack: Duration)
        /// The program does not wait any more.
        case cancel(CallKey)
        /// A stream's reader is far behind, or has caught up.
        case congested(CallKey)
        case relieved(CallKey)
        case connected
        case connectFailed(String)
        case received(ServerFrame)
        /// A frame for this call could not be read.
        case unreadable(callID: UInt64, String)
        /// A frame of this call is longer than the server takes; it was not written.
        case oversized(callID: UInt64, bytes: Int)
        case disconnected(String)
        /// The server does not want this client, or the client not this server, and waiting would not help.
        case refused(RhythmError)
        /// The moment that ``ClientStateMachine/nextWakeUp`` named has come.
        case timePassed
        case close
    }

    /// What is to be done, in this order.
    package enum Action: Sendable {
        /// To the endpoint with this index.
        case connect(Int)
        case write(ClientFrame)
        case setFrameLimit(Int)
        case disconnect
        case complete(CallKey, Result<Answer, RhythmError>)
        case deliver(CallKey, StreamItem)
        /// The stream has ended: normally if there is no error.
        case finish(CallKey, RhythmError?)
    }

    /// Where the connection is.
    enum Phase: Equatable {
        /// There is none, and no call needs one. To `connecting` or `waiting` when one does.
        case idle
        /// Until the next attempt.
        case waiting(until: Moment)
        /// To `greeting`, or back to `waiting` or `idle`.
        case connecting
        /// The hello was written.
        case greeting(until: Moment)
        case ready
        /// The server will close: open calls end, new ones wait for the next connection.
        case draining(until: Moment)
        /// For ever.
        case closed
    }

    let configuration: Configuration
    let random: @Sendable () -> Double
    var phase = Phase.idle
    var calls: [CallKey: Call] = [:]
    /// Calls in state `queued`, in the order in which they are to be written; may name calls that have ended.
    var queue: Deque<CallKey> = []
    var keysByCallID: [UInt64: CallKey] = [:]
    /// How many of those have one answer.
    var answersOwed = 0
    var lastCallID: UInt64 = 0
    var addresses: Addresses
    var limits: ConnectionLimits?
    var lastHeard = Moment(nanoseconds: 0)
    var pingedAt: Moment?
    /// Why the server goes away.
    var farewell: String?
    /// Names the store of the servers, as they say.
    var store: String?
    /// It is the name of a server that does not tell that of its store.
    var storeIsGuessed = false
    /// What was seen of workflows; nil while the servers have nobody beside them who could know less.
    var versions: VersionMemory?
    var wakeUps = WakeUps()
    var actions: [Action] = []

    /// `random` gives numbers between 0 and 1.
    package init(configuration: Configuration, random: @escaping @Sendable () -> Double) {
        self.configuration = configuration
        self.random = random
        addresses = Addresses(configuration.endpoints, first: configuration.first)
    }

    /// Takes one event and says what is to be done.
    package mutating func handle(_ event: Event, at now: Moment) -> [Action] {
        var actions: [Action] = []
        handle(event, at: now, appendingTo: &actions)
        return actions
    }

    /// Takes one event and appends what is to be done; a list that is used again costs no allocation.
    package mutating func handle(_ event: Event, at now: Moment, appendingTo list: inout [Action]) {
        swap(&actions, &list)
        defer { swap(&actions, &list) }
        switch event {
        case .open(let key, let kind, let timeout, let slack):
            open(key, kind, timeout: timeout, slack: slack, at: now)
        case .cancel(let key): cancel(key, at: now)
        case .congested(let key): park(key, at: now)
        case .relieved(let key): unpark(key, at: now)
        case .connected: greet(at: now)
        case .connectFailed(let why): connectFailed(why, at: now)
        case .received(let frame): receive(frame, at: now)
        case .unreadable(let callID, let why): unreadable(callID, why)
        case .oversized(let callID, let bytes): oversized(callID, bytes: bytes)
        case .disconnected(let why): disconnected(why, at: now)
        case .refused(let error): refused(error, at: now)
        case .timePassed: timePassed(at: now)
        case .close: close()
        }
    }

    /// When ``Event/timePassed`` has to be said next; nil if nothing waits for time.
    package var nextWakeUp: Moment? {
        var next = wakeUps.next
        func consider(_ moment: Moment) { next = next.map { min($0, moment) } ?? moment }
        switch phase {
        case .waiting(let until), .greeting(let until): consider(until)
        case .draining(let until):
            consider(until)
            consider(nextPing)
        case .ready: consider(nextPing)
        case .idle, .connecting, .closed: break
        }
        return next
    }

    /// The longest frame that the server takes, without its length.
    package var requestLimit: Int { limits.map { Int($0.maxRequestBytes) } ?? .max }

    /// How many calls have not ended; for tests.
    package var openCalls: Int { calls.count }

    /// The call that was written under this id, if it is open; for tests.
    package func key(of callID: UInt64) -> CallKey? { keysByCallID[callID] }

    /// When a silent connection is pinged, or given up.
    private var nextPing: Moment { (pingedAt ?? lastHeard) + silenceAllowed }

    /// How long the server may be silent before it is pinged, and after that.
    var silenceAllowed: Duration {
        let announced = Duration.milliseconds(limits?.pingIntervalMilliseconds ?? 15_000)
        guard addresses.hasOthers, !keysByCallID.isEmpty else { return announced }
        return min(announced, answersOwed > 0 ? configuration.suspicion : configuration.streamSuspicion)
    }

    /// The address that is tried or in use.
    package var endpoint: String { addresses.text }
}

// MARK: - Calls

extension ClientStateMachine {
    private mutating func open(
        _ key: CallKey, _ kind: CallKind, timeout: Duration?, slack: Duration, at now: Moment
    ) {
        let deadline = timeout.map { now + $0 + slack }
        let call = Call(
            key: key, kind: kind, openedAt: now, deadline: deadline, serverDeadline: timeout.map { now + $0 })
        guard phase != .closed else { return end(call, ClientError.closed(call)) }
        calls[key] = call
        if let deadline { wake(key, at: deadline) }
        queue.append(key)
        sendQueued(at: now)
    }

    private mutating func cancel(_ key: CallKey, at now: Moment) {
        guard let call = calls[key] else { return }
        revoke(call)
        end(call, ClientError.cancelled(call))
        finishDraining(at: now)
        sendQueued(at: now)
    }

    private mutating func park(_ key: CallKey, at now: Moment) {
        guard let call = calls[key], call.isStream else { return }
        revoke(call)
        calls[key]?.state = .parked
        finishDraining(at: now)
        sendQueued(at: now)
    }

    private mutating func unpark(_ key: CallKey, at now: Moment) {
        guard calls[key]?.state == .parked else { return }
        requeue(key)
        sendQueued(at: now)
    }

    /// Tells the server that nobody waits for this call any more.
    private mutating func revoke(_ call: Call) {
        guard let callID = call.callID else { return }
        unbind(call)
        if case .ping = call.kind { return }
        actions.append(.write(ClientFrame(callID: callID, body: .cancel)))
    }

    /// Ends a call with an error.
    mutating func end(_ call: Call, _ error: RhythmError) {
        var error = error
        // Who refuses it now cannot speak for the one that was asked before.
        if (calls[call.key] ?? call).isInDoubt { error.effect = .unknown }
        remove(call)
        actions.append(call.isStream ? .finish(call.key, error) : .complete(call.key, .failure(error)))
    }

    mutating func remove(_ call: Call) {
        calls[call.key] = nil
        unbind(call)
    }

    /// What still comes under the id of the call is nobody's.
    private mutating func unbind(_ call: Call) {
        guard let callID = call.callID, keysByCallID.removeValue(forKey: callID) != nil else { return }
        if !call.isStream { answersOwed -= 1 }
    }

    /// All connections are gone, and with them what was asked on them.
    mutating func unbindAll() {
        keysByCallID = [:]
        answersOwed = 0
    }

    /// Puts a call that was open, or parked, among those that wait to be written.
    mutating func requeue(_ key: CallKey, notBefore: Moment? = nil) {
        if let call = calls[key] { unbind(call) }
        calls[key]?.state = .queued
        calls[key]?.notBefore = notBefore
        queue.append(key)
        if let notBefore { wake(key, at: notBefore) }
    }

    private mutating func wake(_ key: CallKey, at moment: Moment) {
        let calls = self.calls
        wakeUps.add(moment, key, live: calls.count) { calls[$0] != nil }
    }

    /// Writes every call that may be written, and sees to it that there will be a connection for the rest.
    mutating func sendQueued(at now: Moment) {
        guard !queue.isEmpty else { return }
        guard phase == .ready else { return ensureConnection(at: now) }
        let most = limits.map { $0.maxCalls == 0 ? .max : Int($0.maxCalls) } ?? .max
        var early: [CallKey] = []
        while keysByCallID.count < most, let key = queue.popFirst() {
            guard let call = calls[key], call.state == .queued else { continue }
            if let notBefore = call.notBefore, notBefore > now {
                early.append(key)
            } else {
                send(call, at: now)
            }
        }
        queue.append(contentsOf: early)
    }

    private mutating func send(_ call: Call, at now: Moment) {
        let request: Request
        switch call.kind {
        case .unary(.getStatus(let get)): request = .getStatus(versions?.demand(in: get) ?? get)
        case .unary(let given): request = given
        case .watch(var tracker):
            guard let next = tracker.request else { return finish(call) }
            if let update = tracker.begin() {
                calls[call.key]?.kind = .watch(tracker)
                actions.append(.deliver(call.key, .watch(update)))
            }
            request = .watchProgress(next)
        case .log(let tracker):
            guard let next = tracker.request else { return finish(call) }
            request = .tailLog(next)
        case .ping:
            calls[call.key]?.state = .open(callID: 0)
            calls[call.key]?.wasSent = true
            // 0 is the data of the pings that look whether the server is there.
            actions.append(.write(ClientFrame(callID: 0, body: .ping(call.key.rawValue + 1))))
            return
        }
        lastCallID += 1
        calls[call.key]?.state = .open(callID: lastCallID)
        calls[call.key]?.wasSent = true
        keysByCallID[lastCallID] = call.key
        if !call.isStream { answersOwed += 1 }
        let left = call.serverDeadline.map { max(1, $0.since(now).wholeMilliseconds) } ?? 0
        actions.append(
            .write(
                ClientFrame(
                    callID: lastCallID, timeoutMilliseconds: UInt32(clamping: left), body: .call(request))))
    }

    /// Ends a stream that has nothing more to ask for.
    mutating func finish(_ call: Call) {
        remove(call)
        actions.append(.finish(call.key, nil))
    }

    mutating func timePassed(at now: Moment) {
        for key in wakeUps.due(at: now) {
            guard let call = calls[key], let deadline = call.deadline, deadline <= now else { continue }
            revoke(call)
            end(call, expired(call, at: now))
        }
        finishDraining(at: now)
        checkConnection(at: now)
        sendQueued(at: now)
    }

    private func expired(_ call: Call, at now: Moment) -> RhythmError {
        if call.state == .queued, phase != .ready, let error = addresses.unreachable(effect: call.effect) {
            return error
        }
        return ClientError.deadline(call, at: now)
    }

    private mutating func close() {
        let open = calls.values.sorted { $0.key < $1.key }
        for call in open { end(call, ClientError.closed(call)) }
        if phase != .idle, phase != .closed { actions.append(.disconnect) }
        phase = .closed
        queue = []
        unbindAll()
    }
}
