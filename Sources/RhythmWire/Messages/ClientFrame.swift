package import RhythmCore

/// One frame from a client to the server.
package struct ClientFrame: Sendable, Hashable {
    /// The call it opens or cancels; 0 for what concerns the connection itself.
    package var callID: UInt64
    /// How long the client waits for the answer; 0 for the server's default.
    package var timeoutMilliseconds: UInt32
    /// Passed on with the call.
    package var metadata: [Metadata]
    /// What it says.
    package var body: ClientBody

    /// Makes a frame.
    package init(callID: UInt64, timeoutMilliseconds: UInt32 = 0, metadata: [Metadata] = [], body: ClientBody) {
        self.callID = callID
        self.timeoutMilliseconds = timeoutMilliseconds
        self.metadata = metadata
        self.body = body
    }
}

/// Something to be passed on with a call.
package struct Metadata: Sendable, Hashable {
    package var key: String
    package var value: String

    /// Makes an entry.
    package init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

/// What a client says. Large payloads are boxed, so that a frame is cheap to hand on.
package enum ClientBody: Sendable, Hashable {
    /// The first frame.
    indirect case hello(Hello)
    /// Ends the call that the frame's call id names.
    case cancel
    case ping(UInt64)
    /// Answers a ping with its data.
    case pong(UInt64)
    /// Opens a call.
    case call(Request)
}

/// What a call asks for. Large payloads are boxed, as in ``ClientBody``.
package enum Request: Sendable, Hashable {
    indirect case startWorkflow(StartWorkflow)
    indirect case pauseWorkflow(PauseWorkflow)
    indirect case resumeWorkflow(ResumeWorkflow)
    indirect case cancelWorkflow(CancelWorkflow)
    case deleteWorkflow(DeleteWorkflow)
    case getStatus(GetStatus)
    indirect case listWorkflows(ListWorkflows)
    case resolveID(ResolveID)
    indirect case watchProgress(WatchProgress)
    indirect case tailLog(TailLog)
    case getServerInfo
    case diagnose
    case getConnections
    case getStats
    case listServers
    /// To work again if `undo` is set.
    case drainServer(undo: Bool)
    indirect case adoptWorkflows(AdoptionRequest)

    /// Whether it is answered by a stream instead of one reply.
    package var isStream: Bool {
        switch self {
        case .watchProgress, .tailLog: true
        case .startWorkflow, .pauseWorkflow, .resumeWorkflow, .cancelWorkflow, .deleteWorkflow, .getStatus,
            .listWorkflows, .resolveID, .getServerInfo, .adoptWorkflows, .diagnose, .getConnections, .getStats,
            .listServers, .drainServer:
            false
        }
    }
}
