import Glibc
import Logging
import RhythmAuth
import RhythmCore
import RhythmLane
import RhythmTLS
import RhythmWire

/// How bytes become frames, and frames calls.
extension Connection {
    /// Reads what is there. What is left, the poller tells of again.
    func readable() {
        isReading = true
        if !held.isEmpty, !readIsSuspended {
            let bytes = held
            held = []
            bytes.withUnsafeBytes { take($0) }
        }
        if let tls { decrypt(tls) }
        receive()
        isReading = false
        if isLost { close() } else { flush() }
    }

    /// Nothing can be sent any more. What was asked before that still counts, and nothing comes after it.
    func lost() {
        guard !isLost else { return }
        isLost = true
        // Nobody is waited for any more.
        readIsSuspended = false
        // Found out while something is looked at that was read: the rest of that comes first.
        if !isReading { readable() }
    }

    private func receive() {
        let size = tls == nil ? server.readBuffer.count : Self.ciphertextBytes
        var rounds = 0
        while takesFrames, !readIsOver, !readIsSuspended {
            let count = recv(descriptor, server.readBuffer.baseAddress, size, 0)
            if count > 0 {
                bytesIn += count
                lastHeardAt = LaneTimers.now()
                let bytes = UnsafeRawBufferPointer(rebasing: server.readBuffer[..<count])
                if let tls {
                    tls.receive(bytes)
                    decrypt(tls)
                } else {
                    take(bytes)
                }
                rounds += 1
                // A short request comes alone; of something long there is more. But others want to be served too.
                if (rounds == 1 && count < size) || rounds == 16, !isLost { break }
            } else if count == 0 {
                peerLeft()
            } else if errno == EINTR {
                continue
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                break
            } else {
                close()
            }
        }
    }

    /// So much is read at once where it has to be decrypted: one whole record, so that the session's buffer stays small.
    private static var ciphertextBytes: Int { 17 * 1024 }

    /// Takes what the session can decrypt by now. What it cannot, or what must wait because too much waits for the peer,
    /// stays in the session.
    private func decrypt(_ tls: TLSSession) {
        withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 16) { buffer in
            while takesFrames, !readIsOver, !readIsSuspended {
                do throws(TLSError) {
                    switch try tls.read(into: buffer) {
                    case .bytes(let count): take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                    case .needsMore: return
                    case .ended: peerLeft()
                    }
                } catch {
                    server.noteRefusal(of: self, "TLS", error.description)
                    server.statistics.hangUps["TLS", default: 0] += 1
                    if error.kind == .noTLS { sendPlainly() }
                    return close()
                }
            }
        }
    }

    /// To somebody who speaks frames where TLS is expected: what he can read, and nothing but that.
    private func sendPlainly() {
        let goAway = GoAway(
            reason: "TLS_REQUIRED", message: "this address speaks TLS; connect to it with tls://",
            graceMilliseconds: 0, lastCallID: 0)
        try? ServerFrame(callID: 0, body: .goAway(goAway)).append(to: &sealed.bytes)
        _ = sealed.flush(to: descriptor)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        var isNewFrame = !decoder.isMidFrame
        while takesFrames {
            // A few bytes can ask for a lot: no more is looked at until the peer has taken the answers.
            if hasEnoughToTake, !write(), readIsSuspended {
                held = Array(rest)
                break
            }
            do throws(FrameError) {
                guard let frame = try decoder.nextClientFrame(from: &rest) else { break }
                handle(frame)
            } catch {
                reject(error)
            }
            isNewFrame = true
        }
        guard takesFrames, phase != .awaitingHello else { return }
        watchFrame(hasBegun: decoder.isMidFrame, isNew: isNewFrame)
    }

    /// A frame that has begun must be complete in time.
    private func watchFrame(hasBegun: Bool, isNew: Bool) {
        if !hasBegun || isNew, let timer = frameTimer {
            server.timers.cancel(timer)
            frameTimer = nil
        }
        guard hasBegun, frameTimer == nil else { return }
        frameTimer = server.schedule(after: server.configuration.frameTimeout, for: self) { connection in
            connection.frameTimer = nil
            // While nothing is read, it is not the peer who keeps its rest back.
            if connection.readIsSuspended { return connection.watchFrame(hasBegun: true, isNew: false) }
            let limit = connection.server.configuration.frameTimeout
            connection.refuse("FRAME_TIMEOUT", "a frame was not complete within \(limit)")
        }
    }

    private func handle(_ frame: ClientFrame) {
        if phase == .awaitingHello {
            guard case .hello(let hello) = frame.body else {
                refuse("HELLO_EXPECTED", "the first frame must be a Hello")
                return
            }
            accept(hello)
            return
        }
        switch frame.body {
        case .hello: refuse("SECOND_HELLO", "only the first frame may be a Hello")
        case .ping(let data):
            guard pings.admits(at: LaneTimers.now()) else {
                return refuse("TOO_MANY_PINGS", "max_pings_per_s is \(pings.perSecond)")
            }
            send(.pong(data), call: 0)
        case .pong: break
        case .cancel: cancel(frame.callID)
        case .call(let request): open(frame, request)
        }
    }

    private func cancel(_ callID: UInt64) {
        guard let call = calls[callID] else { return }
        fail(call, RhythmError(.cancelled, reason: "CANCELLED", "the client cancelled the call", effect: .unknown))
        guard !cancels.admits(at: LaneTimers.now()) else { return }
        refuse("TOO_MANY_CANCELS", "max_cancels_per_s is \(cancels.perSecond)")
    }

    private func accept(_ hello: Hello) {
        guard hello.protocolVersion == protocolVersion else {
            refuse(
                "PROTOCOL_VERSION",
                "this server speaks protocol version \(protocolVersion), not \(hello.protocolVersion)")
            return
        }
        switch server.security.authenticator.authenticate(token: hello.token, evidence) {
        case .success(let caller): self.caller = caller
        case .failure(let error): return turnAway(error)
        }
        if let refusal = server.startRefusal {
            send(.status(refusal), call: 0)
            return hangUp(refusal.reason, refusal.message)
        }
        phase = .ready
        introduced()
        clientName = hello.clientName
        decoder.limit = server.configuration.maxRequestBytes
        if let frameTimer { server.timers.cancel(frameTimer) }
        frameTimer = nil
        send(.helloReply(server.helloReply), call: 0)
    }

    private func open(_ frame: ClientFrame, _ request: Request) {
        guard frame.callID > lastCallID else {
            refuseCallID(frame.callID)
            return
        }
        lastCallID = frame.callID
        callsBegun += 1
        let call = Call(
            id: frame.callID, request.name, isOpenEnded: request.isStream, beganAt: lastHeardAt, connection: self)
        if phase == .leaving || server.isDraining {
            fail(
                call,
                RhythmError(
                    .unavailable, reason: "SHUTTING_DOWN", "the server is shutting down", retryAfter: .seconds(1)))
            return
        }
        guard calls.count + abandonedCalls < server.configuration.maxCalls else {
            fail(
                call,
                RhythmError(
                    .resourceExhausted, reason: "TOO_MANY_CALLS",
                    "max_calls is \(server.configuration.maxCalls) per connection; wait for an answer first",
                    retryAfter: .milliseconds(100)))
            return
        }
        calls[call.id] = call
        server.callCount += 1
        server.handle(request, of: caller, call: call, timeoutMilliseconds: frame.timeoutMilliseconds)
    }

    private func reject(_ error: FrameError) {
        server.statistics.framesRefused += 1
        if error.isFatal || phase == .awaitingHello {
            refuse("PROTOCOL", error.rhythmError.message)
        } else if let callID = error.callID, callID != 0 {
            // What this version does not know about a call of before may be ignored. Anything else would be a second
            // call with this id, and a status could be taken for the end of the first.
            guard callID > lastCallID else {
                if case .unknownBody = error.kind { return }
                refuseCallID(callID)
                return
            }
            lastCallID = callID
            send(.status(error.rhythmError), call: callID)
        }
    }

    private func refuseCallID(_ callID: UInt64) {
        refuse("CALL_ID", "call id \(callID) is not higher than \(lastCallID), the highest before it")
    }
}
