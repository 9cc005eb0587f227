import DequeModule
import RhythmCore
import RhythmLane
import RhythmTLS
import RhythmWire

/// How calls end, and how what is said goes out.
extension Connection {
    /// Ends a call with its answer.
    func reply(_ call: Call, _ reply: RhythmWire.Reply) {
        guard finish(call) else { return }
        send(.reply(reply), call: call.id)
    }

    /// Ends a call with an answer that was encoded before.
    func reply(_ call: Call, _ answer: EncodedBody) {
        guard finish(call) else { return }
        send(answer, call: call.id)
    }

    /// Ends a call with an error.
    func fail(_ call: Call, _ error: RhythmError) {
        guard finish(call, error) else { return }
        send(.status(error), call: call.id)
    }

    /// Ends a stream normally.
    func complete(_ call: Call) {
        guard finish(call) else { return }
        send(.status(nil), call: call.id)
    }

    /// Ends a call without a frame.
    ///
    /// - Returns: whether there is somebody to be told.
    func finish(_ call: Call, _ error: RhythmError? = nil) -> Bool {
        guard !call.isEnded else { return false }
        if calls.removeValue(forKey: call.id) != nil { server.callCount -= 1 }
        if let deadline = call.deadline { server.timers.cancel(deadline) }
        call.end()
        server.journal.add(call, peer: peer, error)
        if phase == .leaving { server.later { [self] in closeIfIdle() } }
        return !isOver
    }

    /// Appends a frame; it goes out with the next flush, together with all others of this turn.
    func send(_ body: ServerBody, call: UInt64) {
        guard !isOver, !isLost else { return }
        switch body {
        case .pong, .status: waitingControlFrames += 1
        default: break
        }
        do throws(FrameError) {
            try ServerFrame(callID: call, body: body)
                .append(to: &output.bytes, limit: server.configuration.maxResponseBytes)
        } catch {
            refuseTooLong(call: call, what: "\(error.rhythmError.message)")
        }
        // What streams say while they may goes out at the end of that.
        if !isFlushing { server.markDirty(self) }
    }

    /// Appends a frame around a body that many watches share.
    func send(_ shared: EncodedBody, call: UInt64) {
        guard !isOver, !isLost else { return }
        let length = shared.frameLength(callID: call)
        if length <= server.configuration.maxResponseBytes {
            shared.append(callID: call, to: &output.bytes)
        } else {
            refuseTooLong(call: call, what: "the event has \(length) bytes")
        }
        if !isFlushing { server.markDirty(self) }
    }

    /// Says so in place of what is too long. A stream ends with that; any other call has ended with its answer.
    private func refuseTooLong(call: UInt64, what: String) {
        let status = RhythmError(
            .resourceExhausted, reason: "ANSWER_TOO_LONG",
            "\(what); max_response_bytes is \(server.configuration.maxResponseBytes);"
                + " ask for less, such as omit_results", effect: .unknown)
        if let open = calls[call] { _ = finish(open, status) }
        // A status is short; if even that fails there is nothing left to say.
        try? ServerFrame(callID: call, body: .status(status)).append(to: &output.bytes)
    }

    /// Lets streams add what the peer has room for, then writes.
    func flush() {
        guard !isOver, !isFlushing else { return }
        isFlushing = true
        defer {
            isFlushing = false
            server.account(for: self)
        }
        if !readyStreams.isEmpty { server.streamsBegin() }
        while !isCongested, !isOver, let stream = readyStreams.next() {
            if stream.sendNext() { readyStreams.add(stream) }
        }
        guard !isOver, write() else { return }
        // However fast the peer takes it: others want to be served too.
        guard readyStreams.isEmpty else { return server.goOnLater(self) }
        if phase == .leaving { closeIfIdle() }
    }

    /// - Returns: whether everything is gone.
    func write() -> Bool {
        guard !isLost else { return false }
        switch flushBytes() {
        case .drained:
            blockedSince = nil
            waitingControlFrames = 0
            waitsToWrite = false
            let mayReadAgain = readIsSuspended && !isOver
            if mayReadAgain { readIsSuspended = false }
            askPoller()
            if !readsToCome.isEmpty { server.later { [self] in startReads() } }
            if mayReadAgain {
                if !held.isEmpty || tls != nil { server.later { [self] in readable() } }
            }
            return true
        case .blocked:
            if blockedSince == nil { blockedSince = LaneTimers.now() }
            waitsToWrite = true
            if hasEnoughToTake, !readIsOver { readIsSuspended = true }
            askPoller()
            return false
        case .failed:
            lost()
            return false
        }
    }

    /// Gives the socket what it takes, encrypted if need be.
    func flushBytes() -> OutputBuffer.Outcome {
        guard let tls else { return output.flush(to: descriptor) }
        while true {
            tls.takeOutput(into: &sealed.bytes)
            switch sealed.flush(to: descriptor) {
            case .drained: break
            case .blocked: return .blocked
            case .failed: return .failed
            }
            // Before the handshake is over nothing can be sent; what waits goes out when the peer has done its part.
            guard !output.isEmpty, tls.isEstablished else { return .drained }
            guard output.take(atMost: 32 * 1024, { (try? tls.write($0)) != nil }) else { return .failed }
        }
    }

    func writable() {
        let before = output.totalSent + sealed.totalSent
        flush()
        guard output.totalSent + sealed.totalSent > before else { return }
        // The socket was full and is no more, so the peer has taken something: it lives, and it is not stuck.
        lastHeardAt = LaneTimers.now()
        if blockedSince != nil { blockedSince = lastHeardAt }
    }

    /// Reads the store for a call: now, or when the peer has taken what waits for it and others of its reads are done.
    func read(_ begin: @escaping () -> Void) {
        guard !isOver else { return }
        readsToCome.append(begin)
        startReads()
    }

    func startReads() {
        while !isOver, readsUnderWay < ServerConfiguration.readsPerConnection,
            waitingBytes <= ServerConfiguration.readHighWater, let begin = readsToCome.popFirst()
        {
            readsUnderWay += 1
            begin()
        }
    }
}
