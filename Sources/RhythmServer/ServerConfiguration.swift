package import RhythmWire

/// Everything about a server that can be chosen. The limits are announced in Hello and named in the errors they cause.
package struct ServerConfiguration: Sendable {
    /// Where to listen.
    package var endpoints: [Endpoint] = [.standard]
    /// The longest frame a client may send once its Hello is accepted, without the 4-byte length.
    package var maxRequestBytes = 1 << 20
    /// The longest frame a client gets. A larger answer fails its call and nothing else.
    package var maxResponseBytes = 16 << 20
    /// Calls a connection may have open at once.
    package var maxCalls = 128
    /// Connections at once; more are told so and closed.
    package var maxConnections = 16_384
    /// The same from one address: of one host over TCP, of one user over a unix socket.
    package var maxConnectionsPerAddress = 64
    /// Those among all that have yet to say an acceptable Hello.
    package var maxConnectionsBeforeHello = 1024
    /// Pings a second that one connection may send; ten times as many at once. The third one beyond that ends it.
    package var maxPingsPerSecond = 20
    /// The same for calls that it opens and cancels.
    package var maxCancelsPerSecond = 100
    /// Bytes that wait for all peers together; beyond it the one for whom most waits is cut off.
    package var maxWaitingBytes = 256 << 20
    /// Workflows one watch may follow at once.
    package var maxWatchedWorkflows = 10_000
    /// A connection must have said Hello by then.
    package var helloTimeout = Duration.seconds(5)
    /// A frame must be complete this long after its first byte.
    package var frameTimeout = Duration.seconds(10)
    /// A peer that was silent for this long is pinged; one that was silent for twice as long is gone.
    package var pingInterval = Duration.seconds(20)
    /// How long a call with one answer may take if the client does not say.
    package var defaultTimeout = Duration.seconds(30)
    /// How often a silent watch says that it is alive.
    package var bookmarkInterval = Duration.seconds(10)
    /// The least time between two progress updates of one workflow on one watch, unless the client wants more.
    package var progressInterval = Duration.milliseconds(50)
    /// A peer that takes nothing of what waits for it for this long is cut off, if calls of its own wait for that.
    package var stallTimeout = Duration.seconds(30)
    /// A connection that is older is asked to come again, so that load moves to a server that came back, and what leaks in
    /// a peer does not leak for ever. Nil: it may grow as old as it likes. Each connection draws a tenth more or less, so
    /// that those which came together do not go together.
    package var maxConnectionAge: Duration?
    /// The same for a watch, which its client resumes where it was.
    package var maxWatchAge: Duration?
    /// How long the open calls of a connection that has reached its age may still take.
    package var ageGrace = Duration.seconds(5)
    /// How long a connection that the server ends is read from, unheeded, so that the peer's system does not throw away
    /// what it was told last; see ``Connection/part()``.
    package var lingerTimeout = Duration.seconds(1)
    /// How many lines about single calls, and about single peers, go into the log each second.
    package var logLinesPerSecond = 100
    /// Whether reads are answered from memory while the store cannot be asked whether that is still true.
    package var allowsStaleReads = false
    /// How peers are recognised, at first.
    package var security = Security()
    /// What is said in Hello: the version of this program.
    package var version = "0.1.0"
    /// Names this server; stays the same over restarts.
    package var serverID = ""
    /// Grows with every start.
    package var epoch: UInt64 = 0
    /// Where clients reach this server, if that is not where it listens.
    package var advertised: [String] = []
    /// The machine, for people, and where it listens everywhere.
    package var host = ""
    /// What runs the attempts, for people.
    package var runners: [String] = []

    /// The defaults.
    package init() {}

    /// Where clients reach a server that listens there, as it says to clients and to other servers. An address that means
    /// every interface is none for anybody else: the name of the machine stands for it.
    package func addresses(listening endpoints: [Endpoint]) -> [String] {
        if !advertised.isEmpty { return advertised }
        return endpoints.map { endpoint in
            switch endpoint {
            case .tcp(let host, let port) where Self.isWildcard(host) && !self.host.isEmpty:
                Endpoint.tcp(host: self.host, port: port).description
            case .tls(let host, let port) where Self.isWildcard(host) && !self.host.isEmpty:
                Endpoint.tls(host: self.host, port: port).description
            case .tcp, .tls, .unix: endpoint.description
            }
        }
    }

    private static func isWildcard(_ host: String) -> Bool { host == "0.0.0.0" || host == "::" }

    /// Once this many bytes wait for a peer, watches and logs add nothing until it has taken them.
    static let streamHighWater = 64 * 1024
    /// Once this many bytes wait for a peer, nothing more is read from it.
    static let readHighWater = 1024 * 1024
    /// The same once this many frames wait for it that are no answers: pongs, and statuses that say what went wrong.
    static let controlHighWater = 64
    /// A peer that leaves those where they are for this long is cut off.
    static let controlStallTimeout = Duration.seconds(10)
    /// Reads of the store that one connection has under way at once; those beyond it wait for their turn.
    static let readsPerConnection = 8
}
