import RhythmCore
import RhythmWire

/// How a connection comes, is kept and goes.
extension ClientStateMachine {
    /// Sees to it that a connection is made if there is none.
    mutating func ensureConnection(at now: Moment) {
        guard phase == .idle else { return }
        switch addresses.choose(at: now, random: random()) {
        case .connect(let index):
            phase = .connecting
            actions.append(.connect(index))
        case .wait(let until): phase = .waiting(until: until)
        }
    }

    mutating func greet(at now: Moment) {
        guard phase == .connecting else { return actions.append(.disconnect) }
        phase = .greeting(until: now + addresses.helloTimeout(atMost: configuration.helloTimeout))
        lastHeard = now
        lastCallID = 0
        unbindAll()
        pingedAt = nil
        limits = nil
        actions.append(.write(ClientFrame(callID: 0, body: .hello(configuration.hello))))
    }

    mutating func connectFailed(_ why: String, at now: Moment) {
        guard phase == .connecting else { return }
        phase = .idle
        note(why, at: now)
        reconnectIfNeeded(at: now)
    }

    /// The server cannot be used: ends the calls for which that is one reason too many to wait.
    private mutating func note(_ why: String, refusal: RhythmError? = nil, at now: Moment) {
        addresses.failed(why, refusal: refusal, at: now, random: random())
        for call in calls.values.sorted(by: { $0.key < $1.key }) where call.state == .queued {
            if let error = addresses.refusal(since: call.openedAt) {
                // All of them have another one, so that is the store now.
                if error.reason == ClientError.otherStoreReason { store = nil }
                end(call, error)
            } else if let patience = configuration.patience, call.openedAt + patience <= now, !call.wasSent,
                addresses.allFailed(since: call.openedAt), let error = addresses.unreachable(effect: call.effect)
            {
                end(call, error)
            }
        }
    }

    private mutating func reconnectIfNeeded(at now: Moment) {
        queue.removeAll { calls[$0]?.state != .queued }
        if !queue.isEmpty { ensureConnection(at: now) }
    }

    mutating func welcome(_ reply: HelloReply, at now: Moment) {
        guard case .greeting = phase else { return }
        guard reply.protocolVersion <= configuration.hello.protocolVersion, reply.protocolVersion > 0 else {
            return refused(ClientError.protocolVersion(reply.protocolVersion), at: now)
        }
        guard isStore(of: reply) else { return refused(ClientError.otherStore(addresses.text), at: now) }
        phase = .ready
        limits = reply.limits
        farewell = nil
        addresses.welcomed()
        actions.append(.setFrameLimit(Int(reply.limits.maxResponseBytes)))
        sendQueued(at: now)
    }

    /// Whether this client may go on with the server: what it repeats, and where its watches go on, makes sense on no
    /// other store. Of one server that has another store now it is known that somebody meant it so.
    private mutating func isStore(of reply: HelloReply) -> Bool {
        // Servers that do not tell stand for themselves.
        let named = reply.storeID.isEmpty ? reply.serverID : reply.storeID
        if let store, store != named {
            if addresses.hasOthers, !reply.storeID.isEmpty, !storeIsGuessed { return false }
            forgetVersions()
        }
        store = named
        storeIsGuessed = reply.storeID.isEmpty
        if !reply.features.contains(Feature.sharedStore) {
            versions = nil
        } else if versions == nil {
            versions = VersionMemory()
        }
        return true
    }

    private mutating func forgetVersions() {
        versions = versions == nil ? nil : VersionMemory()
        for (key, call) in calls {
            guard case .watch(var tracker) = call.kind else { continue }
            tracker.forgetVersions()
            calls[key]?.kind = .watch(tracker)
        }
    }

    /// The server does not want this client: waiting would not help, another server might.
    mutating func refused(_ error: RhythmError, at now: Moment) {
        actions.append(.disconnect)
        disconnected(error.message, refusal: error, at: now)
    }

    mutating func goAway(_ goAway: GoAway, at now: Moment) {
        switch phase {
        case .greeting:
            actions.append(.disconnect)
            return disconnected(goAway.message, at: now)
        case .ready: break
        default: return
        }
        phase = .draining(until: now + .milliseconds(goAway.graceMilliseconds) + .seconds(1))
        let why = goAway.message.isEmpty ? goAway.reason : goAway.message
        farewell = why
        // What the server did not look at is safe to send again, whatever it is.
        for callID in keysByCallID.keys.filter({ $0 > goAway.lastCallID }).sorted() {
            if let key = keysByCallID[callID] {
                calls[key]?.wasSent = false
                requeue(key)
            }
        }
        if addresses.hasOthers { moveOn(why) }
        finishDraining(at: now)
    }

    /// The server cannot do what a call asks for; another may.
    ///
    /// - Returns: false if the client stays with it.
    mutating func leave(_ why: String, at now: Moment) -> Bool {
        guard phase == .ready, addresses.mayLeave(at: now) else { return false }
        phase = .draining(until: now + Self.leavingTime)
        farewell = why
        moveOn(why)
        return true
    }

    /// How long a server that is left has for the calls that cannot be repeated elsewhere.
    private static let leavingTime = Duration.seconds(5)

    /// What may be asked again is asked elsewhere, now: only the rest waits for the server that goes, or is left.
    private mutating func moveOn(_ why: String) {
        for callID in keysByCallID.keys.sorted() {
            guard let key = keysByCallID[callID], let call = calls[key], call.isRepeatable else { continue }
            lose(call, why)
        }
    }

    /// Hangs up once nothing more is awaited from a server that is going away.
    mutating func finishDraining(at now: Moment) {
        guard case .draining = phase, !calls.values.contains(where: { $0.callID != nil }) else { return }
        actions.append(.disconnect)
        disconnected(farewell ?? "the server is going away", at: now)
    }

    /// Pings a silent server and gives up on one that does not answer.
    mutating func checkConnection(at now: Moment) {
        switch phase {
        case .waiting(let until):
            guard until <= now else { return }
            phase = .idle
            reconnectIfNeeded(at: now)
        case .greeting(let until):
            guard until <= now else { return }
            actions.append(.disconnect)
            disconnected("it did not answer the hello; it may be no rhythmd", at: now)
        case .draining(let until):
            guard until <= now else { return keepAlive(at: now) }
            actions.append(.disconnect)
            disconnected("the server is going away", at: now)
        case .ready: keepAlive(at: now)
        case .idle, .connecting, .closed: break
        }
    }

    private mutating func keepAlive(at now: Moment) {
        let interval = silenceAllowed
        if let pingedAt {
            guard pingedAt + interval <= now else { return }
            actions.append(.disconnect)
            disconnected("nothing was heard for \(now.since(lastHeard).wholeMilliseconds) ms", at: now)
        } else if lastHeard + interval <= now {
            pingedAt = now
            actions.append(.write(ClientFrame(callID: 0, body: .ping(0))))
        }
    }

    /// The connection is gone. What may be sent again waits for the next one; the rest ends.
    mutating func disconnected(_ why: String, refusal: RhythmError? = nil, at now: Moment) {
        let before = phase
        switch before {
        case .greeting, .ready, .draining: phase = .idle
        case .idle, .waiting, .connecting, .closed: return
        }
        for call in calls.values.sorted(by: { $0.key < $1.key }) where call.callID != nil { lose(call, why) }
        var wasGreeting = false
        if case .greeting = before { wasGreeting = true }
        if wasGreeting || refusal != nil {
            note(why, refusal: refusal, at: now)
        } else {
            addresses.failed(why, at: now, random: random())
        }
        unbindAll()
        reconnectIfNeeded(at: now)
    }

    private mutating func lose(_ call: Call, _ why: String) {
        let error = ClientError.lost(addresses.text, why: why, effect: call.effect)
        guard call.isRepeatable else { return end(call, error) }
        if call.changesSomething { calls[call.key]?.isInDoubt = true }
        requeue(call.key)
        if case .watch = call.kind { actions.append(.deliver(call.key, .watch(.interrupted(error)))) }
    }
}
