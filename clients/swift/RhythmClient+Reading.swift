public import RhythmCore
import RhythmWire

/// How a server is.
public struct ServerDescription: Sendable, Hashable {
    /// Of the server's program.
    public var version: String
    /// Since it started.
    public var uptime: Duration
    /// Workflows that are PENDING or STARTED.
    public var activeWorkflows: UInt64
    /// Clients that are connected, this one included.
    public var connections: UInt64
    /// Calls that are open.
    public var calls: UInt64
    /// Watches that are open.
    public var watches: UInt64
    /// Everything works.
    public var isServing: Bool
    /// Whether it follows workflows; false while it is cut off from its store.
    public var isFollowing: Bool
    /// Why it is not serving, such as what is wrong with its store.
    public var healthDetail: String
    /// What runs its steps.
    public var runners: [String]
    /// Names the server; stays the same over restarts.
    public var serverID: String
    /// Names the store: the same for all servers that share it. Empty: a server that does not tell.
    public var storeID: String
    /// It follows no workflows and takes none.
    public var isDraining: Bool
    /// Workflows whose follower it is.
    public var followedWorkflows: UInt64
    /// Grows with every start of the server.
    public var epoch: UInt64
    /// How often somebody was turned away since the server started, because his credentials were wrong.
    public var authenticationFailures: UInt64
}

extension RhythmClient {
    /// The record of a workflow, as of one moment.
    /// - Parameters:
    ///   - previousAttempts: with the attempts before the last one of each step.
    ///   - omitResults: without what attempts returned.
    ///   - waitAfterVersion: answer only when the version is higher than this, or when the timeout is over: then with
    ///     what there is.
    ///   - atLeastVersion: one that is known from elsewhere; what this client itself has seen is never undercut, whatever
    ///     server it asks.
    ///   - current: what the store has, not what the server knows: also what somebody else did through another server a
    ///     moment ago.
    public func status(
        _ id: WorkflowID, previousAttempts: Bool = false, omitResults: Bool = false, waitAfterVersion: Int64? = nil,
        atLeastVersion: Int64? = nil, current: Bool = false, timeout: Duration? = nil
    ) async throws(RhythmError) -> Workflow {
        let request = GetStatus(
            workflowID: id, includePreviousAttempts: previousAttempts, omitResults: omitResults,
            waitAfterVersion: waitAfterVersion, atLeastVersion: atLeastVersion, current: current)
        // The end of such a wait is an answer, so the server must be the first to find the time over.
        let slack: Duration = waitAfterVersion == nil ? .zero : .seconds(2)
        guard case .getStatus(let reply) = try await call(.getStatus(request), timeout: timeout, slack: slack) else {
            throw Self.unexpected
        }
        return reply.workflow
    }

    /// The record of a workflow as the store has it, and the server that follows it; nil if nothing more is to be done.
    ///
    /// A server that cannot ask the store and was told to answer all the same (`--stale-reads allow`) tells what it
    /// remembers; `staleness` says then how old that may be, and is nil else.
    public func statusWithFollower(
        _ id: WorkflowID, previousAttempts: Bool = false, omitResults: Bool = false, timeout: Duration? = nil
    ) async throws(RhythmError) -> (workflow: Workflow, follower: Follower?, staleness: Duration?) {
        let request = GetStatus(
            workflowID: id, includePreviousAttempts: previousAttempts, omitResults: omitResults, current: true,
            withFollower: true)
        guard case .getStatus(let reply) = try await call(.getStatus(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return (reply.workflow, reply.follower, reply.staleness)
    }

    /// A page of workflows. Pass ``/RhythmCore/ListPage/next`` as the query's cursor to get the next one.
    public func list(_ query: ListQuery = ListQuery(), timeout: Duration? = nil) async throws(RhythmError) -> ListPage {
        try await list(query, withCounts: false, timeout: timeout).page
    }

    /// How many workflows a filter means, by status.
    public func counts(
        _ filter: WorkflowFilter = WorkflowFilter(), timeout: Duration? = nil
    ) async throws(RhythmError) -> [WorkflowStatus: Int] {
        try await list(ListQuery(filter: filter, limit: 1), withCounts: true, timeout: timeout).counts ?? [:]
    }

    private func list(
        _ query: ListQuery, withCounts: Bool, timeout: Duration?
    ) async throws(RhythmError) -> ListReply {
        let request = ListWorkflows(query: query, withCounts: withCounts)
        guard case .listWorkflows(let reply) = try await call(.listWorkflows(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return reply
    }

    /// The ids that begin with a prefix, at most `limit` of them.
    public func resolve(
        prefix: String, limit: Int = 10, timeout: Duration? = nil
    ) async throws(RhythmError) -> [WorkflowID] {
        let request = ResolveID(prefix: prefix, limit: limit)
        guard case .resolveID(let reply) = try await call(.resolveID(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return reply.workflowIDs
    }

    /// How the server is.
    public func serverInfo(timeout: Duration? = nil) async throws(RhythmError) -> ServerDescription {
        guard case .getServerInfo(let info) = try await call(.getServerInfo, timeout: timeout) else {
            throw Self.unexpected
        }
        return ServerDescription(
            version: info.serverVersion, uptime: .milliseconds(Int64(clamping: info.uptimeMilliseconds)),
            activeWorkflows: info.activeWorkflows, connections: info.connections, calls: info.calls,
            watches: info.watches, isServing: info.health == .serving,
            isFollowing: info.health != .notServing, healthDetail: info.healthDetail,
            runners: info.runners, serverID: info.serverID, storeID: info.storeID, isDraining: info.isDraining,
            followedWorkflows: info.followedWorkflows, epoch: info.epoch,
            authenticationFailures: info.authenticationFailures)
    }

    /// Has the server look at its store and at what runs its steps; the worst finding comes first. Takes some seconds
    /// where workers have to be asked.
    public func diagnose(timeout: Duration? = nil) async throws(RhythmError) -> [Finding] {
        guard case .diagnose(let reply) = try await call(.diagnose, timeout: timeout) else { throw Self.unexpected }
        return reply.findings
    }
}
