import RhythmCore
import RhythmWire

/// What the server says.
extension ClientStateMachine {
    mutating func receive(_ frame: ServerFrame, at now: Moment) {
        lastHeard = now
        pingedAt = nil
        switch frame.body {
        case .helloReply(let reply): welcome(reply, at: now)
        case .goAway(let body): goAway(body, at: now)
        case .ping(let data): actions.append(.write(ClientFrame(callID: 0, body: .pong(data))))
        case .pong(let data): pong(data)
        case .status(let error):
            if frame.callID == 0 { return refusedConnection(error, at: now) }
            guard let call = call(frame.callID) else { return }
            ended(call, with: error, at: now)
        case .reply(let reply):
            guard let call = call(frame.callID) else { return }
            addresses.isProven = true
            if call.isStream { return end(call, ClientError.badAnswer("one reply to a stream", effect: call.effect)) }
            if versions != nil { remember(reply, to: call) }
            remove(call)
            actions.append(.complete(call.key, .success(.reply(reply))))
        case .watchEvent(let event): take(event, callID: frame.callID, at: now)
        case .logData(let data): take(data, callID: frame.callID)
        }
        finishDraining(at: now)
        sendQueued(at: now)
    }

    /// Keeps what a reply says of a workflow.
    private mutating func remember(_ reply: Reply, to call: Call) {
        guard case .unary(let request) = call.kind else { return }
        switch (request, reply) {
        case (_, .startWorkflow(let start)): versions?.saw(start.workflow.id, start.workflow.version)
        case (_, .getStatus(let status)): versions?.saw(status.workflow.id, status.workflow.version)
        case (.pauseWorkflow(let request), .pauseWorkflow(let reply)):
            versions?.saw(request.workflowID, reply.receipt.version)
        case (.resumeWorkflow(let request), .resumeWorkflow(let reply)):
            versions?.saw(request.workflowID, reply.receipt.version)
        case (.cancelWorkflow(let request), .cancelWorkflow(let reply)):
            versions?.saw(request.workflowID, reply.receipt.version)
        case (.deleteWorkflow(let request), .deleteWorkflow): versions?.deleted(request.workflowID)
        default: break
        }
    }

    /// The open call with this id. There may be none: it was cancelled, or its deadline is over.
    private func call(_ callID: UInt64) -> Call? { keysByCallID[callID].flatMap { calls[$0] } }

    private mutating func pong(_ data: UInt64) {
        guard data > 0, let call = calls[CallKey(rawValue: data - 1)], case .ping = call.kind else { return }
        addresses.isProven = true
        remove(call)
        actions.append(.complete(call.key, .success(.pong)))
    }

    /// A status without a call is about the connection; before the hello was answered it is the answer.
    private mutating func refusedConnection(_ error: RhythmError?, at now: Moment) {
        guard case .greeting = phase, let error else { return }
        switch error.code {
        case .unauthenticated, .permissionDenied, .failedPrecondition, .unimplemented, .invalidArgument:
            refused(error, at: now)
        default:
            actions.append(.disconnect)
            disconnected(error.message, at: now)
        }
    }

    private mutating func take(_ event: WatchEvent, callID: UInt64, at now: Moment) {
        guard let key = keysByCallID[callID], let index = calls.index(forKey: key),
            let verdict = calls.values[index].take(event)
        else { return }
        addresses.isProven = true
        switch verdict {
        case .deliver(let update):
            calls.values[index].backoff.reset()
            switch update {
            case .snapshot(let snapshot): versions?.saw(snapshot.summary.id, snapshot.summary.version)
            case .transition(let event): versions?.saw(event.workflowID, event.version)
            case .deleted(let id): versions?.forget(id)
            case .progress, .gap, .interrupted, .limited: break
            }
            actions.append(.deliver(key, .watch(update)))
        case .drop: break
        case .hole:
            actions.append(.write(ClientFrame(callID: callID, body: .cancel)))
            retry(key, after: nil, at: now)
        }
    }

    private mutating func take(_ data: LogData, callID: UInt64) {
        guard let key = keysByCallID[callID], let index = calls.index(forKey: key) else { return }
        addresses.isProven = true
        calls.values[index].backoff.reset()
        if let chunk = calls.values[index].take(data) { actions.append(.deliver(key, .log(chunk))) }
    }

    /// A status ended the call.
    private mutating func ended(_ call: Call, with error: RhythmError?, at now: Moment) {
        guard let error else {
            guard call.isStream else {
                return end(call, ClientError.badAnswer("an end without an answer", effect: call.effect))
            }
            addresses.isProven = true
            return finish(call)
        }
        if call.isStream, error.code == .unavailable || call.hasStarted && error.code == .resourceExhausted {
            if case .watch = call.kind { actions.append(.deliver(call.key, .watch(.interrupted(error)))) }
            retry(call.key, after: error.retryAfter, at: now)
            // The watch has reached its age, or the reader asks too often: another server would say the same.
            if error.code == .unavailable, error.reason != "WATCH_AGE" { _ = leave(error.message, at: now) }
            return
        }
        if case .draining = phase, error.code == .unavailable, error.effect == .none || call.isRepeatable {
            return requeue(call.key)
        }
        if error.code == .unavailable, error.effect == .none || call.isRepeatable, ask(call, elsewhere: error, at: now)
        {
            return
        }
        if error.reason == "VERSION_AHEAD", startsAnew(call) { return requeue(call.key) }
        if case .watch(var tracker) = call.kind, let gone = tracker.target(of: error), tracker.forget(gone) {
            calls[call.key]?.kind = .watch(tracker)
            actions.append(.deliver(call.key, .watch(.deleted(gone))))
            return requeue(call.key)
        }
        addresses.isProven = true
        end(call, error)
    }

    /// What this client has seen is not there any more: the store was set back, or the id is another workflow's. It asks
    /// again without. A version that the program gave is the program's to judge.
    private mutating func startsAnew(_ call: Call) -> Bool {
        switch call.kind {
        case .unary(.getStatus(let get)): return get.atLeastVersion == nil && versions?.forget(get.workflowID) == true
        case .watch(var tracker) where tracker.hasStarted:
            tracker.forgetVersions()
            calls[call.key]?.kind = .watch(tracker)
            return true
        case .unary, .ping, .watch, .log: return false
        }
    }

    /// One server cannot do it now: perhaps another can. Each is asked once.
    ///
    /// - Returns: false if the error is the call's end.
    private mutating func ask(_ call: Call, elsewhere error: RhythmError, at now: Moment) -> Bool {
        guard addresses.hasOthers, !call.isForOneServer else { return false }
        var refusals = call.refusals
        refusals[addresses.current] = "\(addresses.text): \(error.message)"
        guard refusals.count < addresses.count else {
            var last = error
            let said = refusals.sorted { $0.key < $1.key }.map(\.value).joined(separator: "; ")
            last.message = "none of the servers can do it now: \(said)"
            end(call, last)
            return true
        }
        guard leave(error.message, at: now) else { return false }
        calls[call.key]?.refusals = refusals
        if calls[call.key]?.callID != nil { requeue(call.key) }
        return true
    }

    /// Asks for a stream again: at once the first time, then after growing waits.
    private mutating func retry(_ key: CallKey, after: Duration?, at now: Moment) {
        let wait = calls[key]?.backoff.next(random: random()) ?? .zero
        let delay = max(wait, after ?? .zero)
        requeue(key, notBefore: delay > .zero ? now + delay : nil)
    }

    mutating func unreadable(_ callID: UInt64, _ why: String) {
        guard let call = call(callID) else { return }
        if call.isStream { actions.append(.write(ClientFrame(callID: callID, body: .cancel))) }
        end(call, ClientError.badAnswer(why, effect: call.effect))
    }

    mutating func oversized(_ callID: UInt64, bytes: Int) {
        guard var call = call(callID) else { return }
        call.wasSent = false
        end(call, ClientError.tooLarge(bytes: bytes, limit: Int(limits?.maxRequestBytes ?? 0)))
    }
}
