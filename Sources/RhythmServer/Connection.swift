@preconcurrency import Dispatch
import Glibc
import Logging
import RhythmCore
import RhythmLane
import RhythmWire

/// One connection: its socket, its frames, its calls. Lives on the server's lane.
///
/// Life: `awaitingHello` -> `ready` -> (`leaving`: the peer or the server wants to end it, open calls still finish) ->
/// `closed`. One read source and at most one write source serve the descriptor for its whole life; it is closed only
/// after the cancel handlers of both have run.
final class Connection {
    enum Phase { case awaitingHello, ready, leaving, closed }

    let id: UInt64
    let peer: String
    private(set) var phase = Phase.awaitingHello
    private(set) var calls: [UInt64: Call] = [:]
    /// Watches and logs that have something to send.
    var readyStreams = StreamQueue()
    private(set) var lastHeardAt: UInt64
    private(set) var clientName = ""

    private unowned let server: ServerCore
    private let descriptor: Int32
    private var decoder = FrameDecoder()
    private var output = OutputBuffer()
    /// What was read and not looked at, because too much waits for the peer.
    private var held: [UInt8] = []
    private var lastCallID: UInt64 = 0
    private var readSource: (any DispatchSourceRead)?
    private var writeSource: (any DispatchSourceWrite)?
    private var writeIsArmed = false
    private var readIsSuspended = false
    private var readIsCancelled = false
    private var openSources = 1
    /// The timer for the Hello, and later for a frame that has begun.
    private var frameTimer: UInt64?
    private var blockedSince: UInt64?
    private var lastPingAt: UInt64 = 0
    private var isFlushing = false

    init(id: UInt64, descriptor: Int32, peer: String, server: ServerCore) {
        self.id = id
        self.descriptor = descriptor
        self.peer = peer
        self.server = server
        lastHeardAt = LaneTimers.now()
    }

    /// Begins to read. Called once.
    func start() {
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: server.lane.queue)
        source.setEventHandler(handler: server.handler { [id] core in core.connections[id]?.readable() })
        source.setCancelHandler(handler: sourceGone())
        readSource = source
        frameTimer = server.timers.schedule(after: server.configuration.helloTimeout) { [weak self] in
            self?.refuse("HELLO_TIMEOUT", "no Hello came within \(self?.server.configuration.helloTimeout ?? .zero)")
        }
        source.activate()
    }

    /// Bytes wait for the peer beyond what streams may add to.
    var isCongested: Bool { output.count >= ServerConfiguration.streamHighWater }
}

// MARK: Reading

extension Connection {
    /// Reads until nothing is left: after a hang-up the source may fire only once.
    func readable() {
        if !held.isEmpty, !readIsSuspended {
            let bytes = held
            held = []
            bytes.withUnsafeBytes { take($0) }
        }
        var rounds = 0
        while phase != .closed, !readIsCancelled, !readIsSuspended {
            let count = recv(descriptor, server.readBuffer.baseAddress, server.readBuffer.count, 0)
            if count > 0 {
                lastHeardAt = LaneTimers.now()
                take(UnsafeRawBufferPointer(rebasing: server.readBuffer[..<count]))
                rounds += 1
                if rounds == 16 {
                    // Others want to be served too; come back for the rest.
                    server.lane.queue.async(execute: server.handler { [id] core in core.connections[id]?.readable() })
                    break
                }
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
        flush()
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        var isNewFrame = !decoder.isMidFrame
        while phase != .closed {
            // A few bytes can ask for a lot: no more is looked at until the peer has taken the answers.
            if output.count > ServerConfiguration.readHighWater, !write(), readIsSuspended {
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
        guard phase != .closed, phase != .awaitingHello else { return }
        watchFrame(hasBegun: decoder.isMidFrame, isNew: isNewFrame)
    }

    /// A frame that has begun must be complete in time.
    private func watchFrame(hasBegun: Bool, isNew: Bool) {
        if !hasBegun || isNew, let timer = frameTimer {
            server.timers.cancel(timer)
            frameTimer = nil
        }
        guard hasBegun, frameTimer == nil else { return }
        frameTimer = server.timers.schedule(after: server.configuration.frameTimeout) { [weak self] in
            guard let self else { return }
            frameTimer = nil
            // While nothing is read, it is not the peer who keeps its rest back.
            if readIsSuspended { return watchFrame(hasBegun: true, isNew: false) }
            refuse("FRAME_TIMEOUT", "a frame was not complete within \(server.configuration.frameTimeout)")
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
        case .ping(let data): send(.pong(data), call: 0)
        case .pong: break
        case .cancel:
            if let call = calls[frame.callID] {
                fail(
                    call,
                    RhythmError(.cancelled, reason: "CANCELLED", "the client cancelled the call", effect: .unknown))
            }
        case .call(let request): open(frame, request)
        }
    }

    private func accept(_ hello: Hello) {
        guard hello.protocolVersion == protocolVersion else {
            refuse(
                "PROTOCOL_VERSION",
                "this server speaks protocol version \(protocolVersion), not \(hello.protocolVersion)")
            return
        }
        phase = .ready
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
        let call = Call(id: frame.callID, isOpenEnded: request.isStream, connection: self)
        if phase == .leaving || server.isDraining {
            fail(
                call,
                RhythmError(
                    .unavailable, reason: "SHUTTING_DOWN", "the server is shutting down", retryAfter: .seconds(1)))
            return
        }
        guard calls.count < server.configuration.maxCalls else {
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
        server.handle(request, call: call, timeoutMilliseconds: frame.timeoutMilliseconds)
    }

    private func reject(_ error: FrameError) {
        if error.isFatal || phase == .awaitingHello {
            refuse("PROTOCOL", error.rhythmError.message)
        } else if let callID = error.callID, callID != 0 {
            // What this version does not know about a call of before may be ignored. Anything else would be a second
            // call with this id, and a status could be taken for the end of the first.
            guard callID > lastCallID else {
                if error.kind != .unknownBody { refuseCallID(callID) }
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

// MARK: Answering

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
        guard finish(call) else { return }
        send(.status(error), call: call.id)
    }

    /// Ends a stream normally.
    func complete(_ call: Call) {
        guard finish(call) else { return }
        send(.status(nil), call: call.id)
    }

    private func finish(_ call: Call) -> Bool {
        guard !call.isEnded else { return false }
        if calls.removeValue(forKey: call.id) != nil { server.callCount -= 1 }
        if let deadline = call.deadline { server.timers.cancel(deadline) }
        readyStreams.remove(call.id)
        call.end()
        if phase == .leaving { server.later { [weak self] in self?.closeIfIdle() } }
        return phase != .closed
    }

    /// Appends a frame; it goes out with the next flush, together with all others of this turn.
    func send(_ body: ServerBody, call: UInt64) {
        guard phase != .closed else { return }
        do throws(FrameError) {
            try ServerFrame(callID: call, body: body)
                .append(to: &output.bytes, limit: server.configuration.maxResponseBytes)
        } catch {
            refuseTooLong(call: call, what: "\(error.rhythmError.message)")
        }
        server.markDirty(self)
    }

    /// Appends a frame around a body that many watches share.
    func send(_ shared: EncodedBody, call: UInt64) {
        guard phase != .closed else { return }
        let length = shared.frameLength(callID: call)
        if length <= server.configuration.maxResponseBytes {
            shared.append(callID: call, to: &output.bytes)
        } else {
            refuseTooLong(call: call, what: "the event has \(length) bytes")
        }
        server.markDirty(self)
    }

    /// Says so in place of what is too long. A stream ends with that; any other call has ended with its answer.
    private func refuseTooLong(call: UInt64, what: String) {
        let status = RhythmError(
            .resourceExhausted, reason: "ANSWER_TOO_LONG",
            "\(what); max_response_bytes is \(server.configuration.maxResponseBytes);"
                + " ask for less, such as omit_results", effect: .unknown)
        if let open = calls[call] { _ = finish(open) }
        // A status is short; if even that fails there is nothing left to say.
        try? ServerFrame(callID: call, body: .status(status)).append(to: &output.bytes)
    }

    /// Lets streams add what the peer has room for, then writes.
    func flush() {
        guard phase != .closed, !isFlushing else { return }
        isFlushing = true
        defer { isFlushing = false }
        repeat {
            while !isCongested, phase != .closed, let stream = readyStreams.next() {
                if stream.sendNext() { readyStreams.add(stream) }
            }
            guard phase != .closed, write() else { return }
        } while !readyStreams.isEmpty
        if phase == .leaving { closeIfIdle() }
    }

    /// - Returns: whether everything is gone.
    private func write() -> Bool {
        switch output.flush(to: descriptor) {
        case .drained:
            blockedSince = nil
            disarmWrite()
            if readIsSuspended, phase != .closed {
                readIsSuspended = false
                readSource?.resume()
                if !held.isEmpty { server.later { [weak self] in self?.readable() } }
            }
            return true
        case .blocked:
            if blockedSince == nil { blockedSince = LaneTimers.now() }
            armWrite()
            if output.count > ServerConfiguration.readHighWater, !readIsSuspended, !readIsCancelled {
                readIsSuspended = true
                readSource?.suspend()
            }
            return false
        case .failed:
            close()
            return false
        }
    }

    private func writable() {
        let before = output.totalSent
        flush()
        guard output.totalSent > before else { return }
        // The socket was full and is no more, so the peer has taken something: it lives, and it is not stuck.
        lastHeardAt = LaneTimers.now()
        if blockedSince != nil { blockedSince = lastHeardAt }
    }

    private func armWrite() {
        guard !writeIsArmed else { return }
        writeIsArmed = true
        if let writeSource {
            writeSource.resume()
            return
        }
        let source = DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: server.lane.queue)
        source.setEventHandler(handler: server.handler { [id] core in core.connections[id]?.writable() })
        source.setCancelHandler(handler: sourceGone())
        openSources += 1
        writeSource = source
        source.activate()
    }

    private func disarmWrite() {
        guard writeIsArmed else { return }
        writeIsArmed = false
        writeSource?.suspend()
    }
}

// MARK: The end

extension Connection {
    /// The peer has sent all it wants to send: what it asked for is still answered, watches end.
    private func peerLeft() {
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
    private func leave() {
        if phase == .ready { phase = .leaving }
    }

    /// The server goes: tells the peer, ends its streams, lets the other calls finish.
    func goAway(_ reason: String, _ message: String, grace: Duration) {
        guard phase == .ready else {
            if phase == .awaitingHello { close() }
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
    private func refuse(_ reason: String, _ message: String) {
        guard phase != .closed else { return }
        server.logger.info(
            "connection refused", metadata: ["peer": "\(peer)", "reason": "\(reason)", "message": "\(message)"])
        send(.goAway(GoAway(reason: reason, message: message, graceMilliseconds: 0, lastCallID: lastCallID)), call: 0)
        _ = output.flush(to: descriptor)
        close()
    }

    private func closeIfIdle() {
        if phase == .leaving, calls.isEmpty, output.isEmpty { close() }
    }

    /// Closes now. Calls that are still open end without an answer; work that they began goes on.
    func close() {
        guard phase != .closed else { return }
        phase = .closed
        held = []
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
        // Tells the peer at once; the descriptor itself is closed when both sources are gone.
        shutdown(descriptor, Int32(SHUT_RDWR))
        finishClosing()
    }

    private func sourceGone() -> @Sendable () -> Void {
        server.handler { [id] core in core.connections[id]?.oneSourceIsGone() }
    }

    private func oneSourceIsGone() {
        openSources -= 1
        finishClosing()
    }

    private func finishClosing() {
        guard phase == .closed, openSources == 0 else { return }
        Glibc.close(descriptor)
        server.forget(self)
    }
}

// MARK: Looking after it

extension Connection {
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
        } else if let blockedSince, now &- blockedSince > stallTimeout, readIsSuspended {
            server.logger.info("peer takes nothing, closing", metadata: ["peer": "\(peer)"])
            close()
        }
    }
}
