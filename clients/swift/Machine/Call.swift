import RhythmCore
package import RhythmWire

/// Names a call within the client, over however many connections it is sent.
package struct CallKey: Sendable, Hashable, Comparable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// What a call asks for.
package enum CallKind: Sendable {
    /// One answer.
    case unary(Request)
    /// A ping; the answer is its pong.
    case ping
    /// Updates until it ends or is cancelled.
    case watch(WatchTracker)
    case log(LogTracker)
}

/// The answer to a call that has one.
package enum Answer: Sendable, Hashable {
    case reply(Reply)
    case pong
}

/// One update of a call that has many.
package enum StreamItem: Sendable, Hashable {
    case watch(WatchUpdate)
    case log(LogChunk)
}

/// A call and where it is.
struct Call {
    /// Where a call is. `queued` leads to `open` when it is written; a lost connection leads from `open` back to
    /// `queued`, or ends the call; `parked` leads to `queued` when its reader has caught up.
    enum State: Equatable {
        case queued
        case open(callID: UInt64)
        /// A stream whose reader is far behind: the server was asked to stop, and will be asked to go on.
        case parked
    }

    let key: CallKey
    var kind: CallKind
    var state = State.queued
    let openedAt: Moment
    /// Ends the waiting; nil for no limit.
    let deadline: Moment?
    /// What the server is told; it differs from the deadline where the server's answer at its deadline is wanted.
    let serverDeadline: Moment?
    /// A queued call is not written before this moment.
    var notBefore: Moment?
    /// It was written once, so nobody can say whether it took effect.
    var wasSent = false
    /// A connection was lost after it was written and before it was answered: whatever another server says of it, the first
    /// one may have done it.
    var isInDoubt = false
    /// What servers said that could not do it, by address.
    var refusals: [Int: String] = [:]
    /// Refusals of a stream in a row.
    var backoff = Backoff()

    var callID: UInt64? { if case .open(let callID) = state { callID } else { nil } }

    var isStream: Bool {
        switch kind {
        case .unary, .ping: false
        case .watch, .log: true
        }
    }

    /// Sending it again changes nothing: it only reads, or the server knows it by its request id.
    var isRepeatable: Bool {
        switch kind {
        case .watch, .log: true
        case .ping: false
        case .unary(let request):
            switch request {
            case .startWorkflow(let start): !start.requestID.isEmpty
            case .pauseWorkflow(let pause): !pause.requestID.isEmpty
            case .resumeWorkflow(let resume): !resume.requestID.isEmpty
            case .cancelWorkflow(let cancel): !cancel.requestID.isEmpty
            // Another server is another thing to drain.
            case .deleteWorkflow, .drainServer: false
            // A workflow is adopted once; the second time it is said that it was.
            case .adoptWorkflows: true
            case .getStatus, .listWorkflows, .resolveID, .getServerInfo, .diagnose, .getConnections, .getStats,
                .listServers, .watchProgress, .tailLog:
                true
            }
        }
    }

    /// It concerns the server that it was sent to, and no other can do it.
    var isForOneServer: Bool {
        if case .unary(.drainServer) = kind { true } else { false }
    }

    /// A stream that has delivered something: it goes on over lost connections for as long as it takes.
    var hasStarted: Bool {
        switch kind {
        case .unary, .ping: false
        case .watch(let tracker): tracker.hasStarted
        case .log(let tracker): tracker.hasStarted
        }
    }

    /// Gives a watch what the server sent; nil if this is no watch. The tracker is changed where it is: copying all its
    /// versions for each event would be slow.
    mutating func take(_ event: WatchEvent) -> WatchTracker.Verdict? {
        guard case .watch(var tracker) = kind else { return nil }
        kind = .ping
        defer { kind = .watch(tracker) }
        return tracker.take(event)
    }

    /// Gives a log what the server sent; nil if all of it is known, or if this is no log.
    mutating func take(_ data: LogData) -> LogChunk? {
        guard case .log(var tracker) = kind else { return nil }
        defer { kind = .log(tracker) }
        return tracker.take(data)
    }

    /// What a failure without an answer says about the effect.
    var effect: RhythmError.Effect {
        wasSent && changesSomething ? .unknown : .none
    }

    /// Somebody has to know whether it was done.
    var changesSomething: Bool {
        guard case .unary(let request) = kind else { return false }
        return request.changesSomething
    }
}

extension Request {
    /// Whether it changes a workflow.
    var changesSomething: Bool {
        switch self {
        case .startWorkflow, .pauseWorkflow, .resumeWorkflow, .cancelWorkflow, .deleteWorkflow: true
        case .adoptWorkflows(let request): !request.dryRun
        case .drainServer: true
        case .getStatus, .listWorkflows, .resolveID, .watchProgress, .tailLog, .getServerInfo, .diagnose,
            .getConnections, .getStats, .listServers:
            false
        }
    }
}
