@preconcurrency import Dispatch
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
        readIsCancelled = true
        readSource?.cancel()
        guard phase != .awaitingHello else {
            close()
            return
        }
        leave()
        for call in Array(calls.values) where call.isOpenEnded { _ = finish(call) }
        closeIfIdle()
        server.timers.schedule(after: .seconds(5)) { [weak self] in self?.close() }
    }

    /// Takes no further calls.
    func leave() {
        if phase == .ready { phase = .leaving }
    }

    /// The server goes: tells the peer, ends its streams, lets the other calls finish.
    func goAway(_ reason: String, _ message: String, grace: Duration) {
        guard phase == .ready else {
            if phase == .awaitingHello || phase == .turnedAway { close() }
            return
        }
        send(
            .goAway(
                GoAway(
                    reason: reason, message: message, graceMilliseconds: UInt32(clamping: grace.wholeMilliseconds),
                    lastCallID: lastCallID)), call: 0)
        leave()
        for call in Array(calls.values) where call.isOpenEnded {
            fail(
                call,
                RhythmError(
                    .unavailable, reason: "SHUTTING_DOWN",
                    "the server is shutting down; go on after the last version you saw", retryAfter: .seconds(1)))
        }
        flush()
        closeIfIdle()
    }

    /// The peer broke the protocol: says so, if it speaks it at all, and closes.
    func refuse(_ reason: String, _ message: String) {
        guard phase != .closed else { return }
        server.noteRefusal(of: self, reason, message)
        hangUp(reason, message)
    }

    /// There are too many already: tells the peer, if it can read that, and closes. Called in place of ``start()``.
    func refuseEntry(_ limit: String) {
        server.noteRefusal(of: self, "TOO_MANY_CONNECTIONS", limit)
        if tls == nil {
            let goAway = GoAway(
                reason: "TOO_MANY_CONNECTIONS", message: limit, graceMilliseconds: 0, lastCallID: 0)
            try? ServerFrame(callID: 0, body: .goAway(goAway)).append(to: &output.bytes)
            _ = output.flush(to: descriptor)
        }
        Glibc.close(descriptor)
    }

    /// Says why, and closes.
    func hangUp(_ reason: String, _ message: String) {
        guard phase != .closed else { return }
        send(.goAway(GoAway(reason: reason, message: message, graceMilliseconds: 0, lastCallID: lastCallID)), call: 0)
        _ = flushBytes()
        close()
    }

    func closeIfIdle() {
        if phase == .leaving, calls.isEmpty, waitingBytes == 0 { close() }
    }

    /// Closes now. Calls that are still open end without an answer; work that they began goes on.
    func close() {
        guard phase != .closed else { return }
        if phase == .turnedAway { server.failures.release(address) }
        if phase == .awaitingHello || phase == .turnedAway { server.crowd.introduced() }
        phase = .closed
        held = []
        readsToCome = []
        server.account(for: self)
        if let frameTimer { server.timers.cancel(frameTimer) }
        for call in Array(calls.values) { _ = finish(call) }
        readIsCancelled = true
        readSource?.cancel()
        // A suspended source must not be released, and runs its cancel handler only once it is resumed.
        if readIsSuspended { readSource?.resume() }
        if let writeSource {
            writeSource.cancel()
            if !writeIsArmed { writeSource.resume() }
        }
        if let tls {
            // What the peer is to know: that this is the end, or the alert that says what went wrong.
            tls.end()
            tls.takeOutput(into: &sealed.bytes)
            _ = sealed.flush(to: descriptor)
        }
        // Tells the peer at once; the descriptor itself is closed when both sources are gone.
        shutdown(descriptor, Int32(SHUT_RDWR))
        finishClosing()
    }

    func sourceGone() -> @Sendable () -> Void {
        server.handler { [id] core in core.connections[id]?.oneSourceIsGone() }
    }

    func oneSourceIsGone() {
        openSources -= 1
        finishClosing()
    }

    func finishClosing() {
        guard phase == .closed, openSources == 0 else { return }
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
        if silence > 2 * pingInterval {
            server.logger.info("peer is silent, closing", metadata: ["peer": "\(peer)"])
            close()
        } else if silence > pingInterval, now &- lastPingAt > pingInterval, blockedSince == nil {
            lastPingAt = now
            send(.ping(now), call: 0)
        } else if let blockedSince, readIsSuspended, now &- blockedSince > patience(stallTimeout) {
            server.logger.info("peer takes nothing, closing", metadata: ["peer": "\(peer)"])
            close()
        }
    }
}
