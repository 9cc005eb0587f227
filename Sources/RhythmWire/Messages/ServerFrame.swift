package import RhythmCore

/// One frame from the server to a client.
package struct ServerFrame: Sendable, Hashable {
    /// The call it belongs to; 0 for what concerns the connection itself.
    package var callID: UInt64
    /// What it says.
    package var body: ServerBody

    /// Makes a frame.
    package init(callID: UInt64, body: ServerBody) {
        self.callID = callID
        self.body = body
    }
}

/// What the server says. Large payloads are boxed, so that a frame is cheap to hand on.
package enum ServerBody: Sendable, Hashable {
    indirect case helloReply(HelloReply)
    indirect case goAway(GoAway)
    case ping(UInt64)
    /// Answers a ping with its data.
    case pong(UInt64)
    /// Ends a call that failed, and ends a stream: nil is a stream's normal end.
    indirect case status(RhythmError?)
    /// Ends a call with its answer.
    case reply(Reply)
    /// One of many; the stream ends with a status.
    case watchEvent(WatchEvent)
    /// One of many; the stream ends with a status.
    indirect case logData(LogData)
}

/// The answer to a call. Large payloads are boxed, as in ``ServerBody``.
package enum Reply: Sendable, Hashable {
    indirect case startWorkflow(StartReply)
    indirect case pauseWorkflow(CommandReply)
    indirect case resumeWorkflow(CommandReply)
    indirect case cancelWorkflow(CommandReply)
    case deleteWorkflow(DeleteReply)
    indirect case getStatus(GetStatusReply)
    indirect case listWorkflows(ListReply)
    case resolveID(ResolveReply)
    indirect case getServerInfo(ServerInfo)
    case diagnose(DiagnoseReply)
    case getConnections([ConnectionInfo])
    indirect case getStats(ServerStats)
    case listServers([ServerEntry])
    case drainServer(DrainReply)
    indirect case adoptWorkflows(AdoptionReply)
}
