import RhythmCore
import RhythmWire

/// How a connection comes, is kept and goes.
extension ClientStateMachine {
    /// Sees to it that a connection is made if there is none.
    mutating func ensureConnection(at now: Moment) {
        guard phase == .idle else { return }
        let wait = backoff.next(random: random())
        if wait == .zero {
            phase = .connecting
            actions.append(.connect)
        } else {
            phase = .waiting(until: now + wait)
        }
    }

    mutating func greet(at now: Moment) {
        guard phase == .connecting else { return actions.append(.disconnect) }
        phase = .greeting(until: now + configuration.helloTimeout)
        lastHeard = now
        lastCallID = 0
        keysByCallID = [:]
        pingedAt = nil
        limits = nil
        actions.append(.write(ClientFrame(callID: 0, body: .hello(configuration.hello))))
    }

    mutating func connectFailed(_ why: String, at now: Moment) {
        guard phase == .connecting else { return }
        phase = .idle
        giveUp(why, at: now)
        reconnectIfNeeded(at: now)
    }

    /// The server was not reached: ends the calls that do not want to wait any longer.
    private mutating func giveUp(_ why: String, at now: Moment) {
        lastFailure = why
        guard let patience = configuration.patience else { return }
        for call in calls.values.sorted(by: { $0.key < $1.key })
        where call.state == .queued && call.openedAt + patience <= now && !call.wasSent {
            end(call, ClientError.unreachable(configuration.endpoint, why: why, effect: call.effect))
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
        phase = .ready
        limits = reply.limits
        lastFailure = nil
        actions.append(.setFrameLimit(Int(reply.limits.maxResponseBytes)))
        sendQueued(at: now)
    }

    /// The server does not want this client: waiting would not help.
    mutating func refused(_ error: RhythmError, at now: Moment) {
        for call in calls.values.sorted(by: { $0.key < $1.key }) where call.state == .queued { end(call, error) }
        actions.append(.disconnect)
        disconnected(error.message, at: now)
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
        lastFailure = goAway.message.isEmpty ? goAway.reason : goAway.message
        // What the server did not look at is safe to send again, whatever it is.
        for callID in keysByCallID.keys.filter({ $0 > goAway.lastCallID }).sorted() {
            if let key = keysByCallID[callID] {
                calls[key]?.wasSent = false
                requeue(key)
            }
        }
        finishDraining(at: now)
    }

    /// Hangs up once nothing more is awaited from a server that is going away.
    mutating func finishDraining(at now: Moment) {
        guard case .draining = phase, !calls.values.contains(where: { $0.callID != nil }) else { return }
        actions.append(.disconnect)
        disconnected(lastFailure ?? "the server is going away", at: now)
    }

    /// Pings a silent server and gives up on one that does not answer.
    mutating func checkConnection(at now: Moment) {
        switch phase {
        case .waiting(let until):
            guard until <= now else { return }
            phase = .idle
            queue.removeAll { calls[$0]?.state != .queued }
            guard !queue.isEmpty else { return }
            phase = .connecting
            actions.append(.connect)
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
        let interval = Duration.milliseconds(limits?.pingIntervalMilliseconds ?? 15_000)
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
    mutating func disconnected(_ why: String, at now: Moment) {
        switch phase {
        case .greeting:
            phase = .idle
            giveUp(why, at: now)
        case .ready, .draining:
            phase = .idle
            lastFailure = why
            for call in calls.values.sorted(by: { $0.key < $1.key }) where call.callID != nil {
                lose(call, why)
            }
        case .idle, .waiting, .connecting, .closed: return
        }
        keysByCallID = [:]
        reconnectIfNeeded(at: now)
    }

    private mutating func lose(_ call: Call, _ why: String) {
        let error = ClientError.lost(configuration.endpoint, why: why, effect: call.effect)
        guard call.isRepeatable else { return end(call, error) }
        requeue(call.key)
        if case .watch = call.kind { actions.append(.deliver(call.key, .watch(.interrupted(error)))) }
    }
}
