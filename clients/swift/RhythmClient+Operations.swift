public import RhythmCore
import RhythmWire

/// What a server has counted since its start.
public struct ServerStatistics: Sendable, Hashable {
    /// What became of the calls of one kind.
    public struct Calls: Sendable, Hashable {
        /// As in the protocol, such as `start_workflow`.
        public var name: String
        /// How many ended with which code.
        public var ended: [RhythmError.Code: UInt64]
        /// How many took how long: entry i counts those of less than 2^i microseconds that no entry before it counts, the
        /// last one all others.
        public var durations: [UInt64]
        /// All of them together.
        public var totalDuration: Duration

        /// How many have ended.
        public var count: UInt64 { ended.values.reduce(0, +) }

        /// How long at most that share of the calls took; nil if there were none, or if it was longer than is counted. The
        /// truth may be half of it.
        public func duration(ofShare share: Double) -> Duration? {
            let all = durations.reduce(0, +)
            var seen: UInt64 = 0
            for (index, count) in durations.dropLast().enumerated() {
                seen += count
                if seen > 0, Double(seen) >= share * Double(all) { return .microseconds(1 << Int64(index)) }
            }
            return nil
        }
    }

    /// Single numbers by name, such as `connections_accepted_total`. A name that ends in `_total` only grows.
    public var metrics: [String: UInt64]
    /// One for each call of the protocol.
    public var calls: [Calls]
}

/// One connection of a server.
public struct ConnectionDescription: Sendable, Hashable {
    /// Grows with every connection that the server accepts.
    public var id: UInt64
    /// Its address, or the user of a unix socket.
    public var peer: String
    /// As it calls itself.
    public var clientName: String
    /// How it was recognised; empty before that.
    public var identity: String
    public var age: Duration
    /// Since anything came from it.
    public var silence: Duration
    /// Those that are open, watches and logs included.
    public var openCalls: UInt32
    public var watches: UInt32
    /// Those that have begun in all.
    public var calls: UInt64
    public var bytesIn: UInt64
    public var bytesOut: UInt64
    /// What it has not taken yet.
    public var waitingBytes: UInt64
}

extension RhythmClient {
    /// What the server has counted since its start.
    public func serverStatistics(timeout: Duration? = nil) async throws(RhythmError) -> ServerStatistics {
        guard case .getStats(let stats) = try await call(.getStats, timeout: timeout) else { throw Self.unexpected }
        return ServerStatistics(
            metrics: Dictionary(stats.metrics.map { ($0.name, $0.value) }) { $1 },
            calls: stats.calls.map { call in
                ServerStatistics.Calls(
                    name: call.name,
                    ended: Dictionary(
                        call.ended.map { (RhythmError.Code(rawValue: Int32(clamping: $0.key)) ?? .unknown, $0.value) },
                        uniquingKeysWith: +),
                    durations: call.durations,
                    totalDuration: .microseconds(Int64(clamping: call.totalMicroseconds)))
            })
    }

    /// Who is connected to the server, oldest first. For administrators.
    public func connections(timeout: Duration? = nil) async throws(RhythmError) -> [ConnectionDescription] {
        guard case .getConnections(let list) = try await call(.getConnections, timeout: timeout) else {
            throw Self.unexpected
        }
        return list.map { row in
            ConnectionDescription(
                id: row.id, peer: row.peer, clientName: row.clientName, identity: row.identity,
                age: .milliseconds(Int64(clamping: row.ageMilliseconds)),
                silence: .milliseconds(Int64(clamping: row.silentMilliseconds)), openCalls: row.openCalls,
                watches: row.watches, calls: row.calls, bytesIn: row.bytesIn, bytesOut: row.bytesOut,
                waitingBytes: row.waitingBytes)
        }
    }

    /// The servers that share the store, the one that answers first.
    public func servers(timeout: Duration? = nil) async throws(RhythmError) -> [ServerEntry] {
        guard case .listServers(let servers) = try await call(.listServers, timeout: timeout) else {
            throw Self.unexpected
        }
        return servers
    }

    /// Has the server let go of its workflows, so that others take them over, and take none; it goes on to answer. For
    /// administrators. Never asked of another server in its place, so the client has to be one of a single endpoint.
    /// - Parameter undo: let it work again.
    /// - Returns: whether it drains now, and how many workflows it still follows.
    public func drain(
        undo: Bool = false, timeout: Duration? = nil
    ) async throws(RhythmError) -> (isDraining: Bool, followed: Int) {
        guard endpoints.count == 1 else {
            throw RhythmError(
                .failedPrecondition, reason: "SEVERAL_ENDPOINTS",
                "this client knows \(endpoints.count) servers, and one is to be drained: make a client of its endpoint alone"
            )
        }
        guard case .drainServer(let reply) = try await call(.drainServer(undo: undo), timeout: timeout) else {
            throw Self.unexpected
        }
        return (reply.isDraining, Int(clamping: reply.followedWorkflows))
    }
}
