import DequeModule
import Glibc
import Logging
import RhythmAuth
import RhythmCore
import RhythmTLS
import RhythmWire

/// How a connection ends, on whichever side.
extension Connection {
    /// The peer has sent all it wants to send: what it asked for is still answered, watches end.
    func peerLeft() {
        readIsOver = true
        askPoller()
        guard phase != .awaitingHello else {
            close()
            return
        }
        leave()
        for call in Array(calls.values) where call.isOpenEnded { _ = finish(call, Self.peerIsGone) }
        closeIfIdle()
        server.schedule(after: .seconds(5), for: self) { $0.close() }
    }

    /// Takes no further calls.
    func leave() {
        if phase == .ready { phase = .leaving }
    }

    /// The server ends it in peace: tells the peer, ends its streams, lets the other calls finish.
    func goAway(_ why: Farewell, grace: Duration) {
        guard phase == .ready else {
            if phase == .awaitingHello || phase == .turnedAway { close() }
            return
        }
        server.statistics.hangUps[why.reason, default: 0] += 1
        send(
            .goAway(
                GoAway(
                    reason: why.reason, message: why.message,
                    graceMilliseconds: UInt32(clamping: grace.wholeMilliseconds),
                    lastCallID: lastCallID)), call: 0)
        leave()
        for call in Array(calls.values) where call.isOpenEnded { dismiss(call, why) }
        flush()
        closeIfIdle()
    }

    /// Ends a call that its client can go on with elsewhere, or here again.
    func dismiss(_ call: Call, _ why: Farewell) {
        fail(
            call,
            RhythmError(
                .unavailable, reason: why.streamReason, "\(why.message); go on after the last version you saw",
                retryAfter: why == .shutdown ? .seconds(1) : nil))
    }

    /// The peer broke the protocol: says so, if it speaks it at all, and closes.
    func refuse(_ reason: String, _ message: String) {
        guard !isOver else { return }
        server.noteRefusal(of: self, reason, message)
        hangUp(reason, message)
    }

    /// There are too many already: tells the peer, if it can read that, and closes. Called in place of ``start()``.
    func refuseEntry(_ limit: String) {
        server.statistics.connectionsRefused += 1
        server.noteRefusal(of: self, "TOO_MANY_CONNECTIONS", limit)
        if tls == nil {
            let goAway = GoAway(
                reason: "TOO_MANY_CONNECTIONS", message: limit, graceMilliseconds: 0, lastCallID: 0)
            try? ServerFrame(callID: 0, body: .goAway(goAway)).append(to: &output.bytes)
            _ = output.flush(to: descriptor)
        }
        // As in `part()`, but without a place to wait in: a hello that is here already must not make it a reset.
        shutdown(descriptor, Int32(SHUT_WR))
        _ = recv(descriptor, server.readBuffer.baseAddress, server.readBuffer.count, 0)
        Glibc.close(descriptor)
    }

    /// Says why, and closes.
    func hangUp(_ reason: String, _ message: String) {
        guard !isOver else { return }
        server.statistics.hangUps[reason, default: 0] += 1
        send(.goAway(GoAway(reason: reason, message: message, graceMilliseconds: 0, lastCallID: lastCallID)), call: 0)
        _ = flushBytes()
        part()
    }

    func closeIfIdle() {
        if phase == .leaving, calls.isEmpty, waitingBytes == 0 { part() }
    }

    /// So much is read and thrown away at most, from a peer that does not stop.
    private static var mostThrownAway: Int { 1 << 20 }

    /// Ends it so that the peer learns what it was told last. Closing a socket in which something lies unread makes the
    /// system send a reset, and a reset makes the peer's system throw away what it has not passed on yet, the GoAway
    /// among it. So only the way out is closed; what comes in is thrown away until the peer closes too, for a while.
    func part() {
        guard !isOver else { return }
        if phase == .turnedAway { server.failures.release(address) }
        introduced()
        phase = .parting
        held = []
        readyStreams.removeAll()
        readsToCome = []
        if let frameTimer { server.timers.cancel(frameTimer) }
        frameTimer = nil
        for call in Array(calls.values) { _ = finish(call, Self.peerIsGone) }
        sayEndOfTLS()
        shutdown(descriptor, Int32(SHUT_WR))
        throwAwayWhatComes()
        // A peer that has closed already, or is not to be listened to, has no more to say.
        guard !readIsOver else { return close() }
        askPoller()
        server.schedule(after: server.configuration.lingerTimeout, for: self) { $0.close() }
    }

    func throwAwayWhatComes() {
        while phase == .parting {
            let count = recv(descriptor, server.readBuffer.baseAddress, server.readBuffer.count, 0)
            if count > 0 {
                throwAway(count)
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN || errno == EWOULDBLOCK {
                break
            } else {
                return close()
            }
        }
    }

    private func throwAway(_ count: Int) {
        thrownAway += count
        if thrownAway > Self.mostThrownAway { close() }
    }

    private static let peerIsGone = RhythmError(
        .cancelled, reason: "PEER_GONE", "the connection ended before the call did", effect: .unknown)

    private func sayEndOfTLS() {
        guard let tls else { return }
        // What the peer is to know: that this is the end, or the alert that says what went wrong.
        tls.end()
        tls.takeOutput(into: &sealed.bytes)
        _ = sealed.flush(to: descriptor)
    }

    /// Closes now. Calls that are still open end without an answer; work that they began goes on.
    func close() {
        guard phase != .closed else { return }
        if phase == .turnedAway { server.failures.release(address) }
        if phase != .parting { sayEndOfTLS() }
        introduced()
        phase = .closed
        held = []
        readyStreams.removeAll()
        readsToCome = []
        server.account(for: self)
        if let frameTimer { server.timers.cancel(frameTimer) }
        for call in Array(calls.values) { _ = finish(call, Self.peerIsGone) }
        server.poller.remove(descriptor)
        Glibc.close(descriptor)
        server.forget(self)
    }
}

/// What is done for it as time passes.
extension Connection {
    /// How long it may leave everything where it is (nanoseconds).
    private func patience(_ stallTimeout: UInt64) -> UInt64 {
        guard waitingControlFrames > ServerConfiguration.controlHighWater else { return stallTimeout }
        return min(stallTimeout, UInt64(ServerConfiguration.controlStallTimeout.wholeMicroseconds) * 1000)
    }

    /// Pings a silent peer; closes one that is dead, or that does not take what it asked for.
    func lookAfter(now: UInt64, pingInterval: UInt64, stallTimeout: UInt64) {
        guard phase == .ready else { return }
        let silence = now &- lastHeardAt
        // It has been asked, and has had time to answer: after a stop of the server itself that is not so yet.
        let wasAsked = blockedSince != nil || (lastPingAt > lastHeardAt && now &- lastPingAt > pingInterval)
        if silence > 2 * pingInterval, wasAsked {
            cutOff("SILENT", "peer is silent, closing")
        } else if now >= oldAt {
            let grace = server.configuration.ageGrace
            goAway(.connectionAge, grace: grace)
            server.schedule(after: grace, for: self) { $0.part() }
        } else if silence > pingInterval, now &- lastPingAt > pingInterval, blockedSince == nil {
            lastPingAt = now
            server.statistics.pingsSent += 1
            send(.ping(now), call: 0)
        } else if let blockedSince, readIsSuspended, now &- blockedSince > patience(stallTimeout) {
            cutOff("STALLED", "peer takes nothing, closing")
        }
    }

    private func cutOff(_ reason: String, _ message: Logger.Message) {
        server.logOfPeers(message, ["peer": "\(peer)", "reason": "\(reason)"])
        server.statistics.hangUps[reason, default: 0] += 1
        close()
    }
}
