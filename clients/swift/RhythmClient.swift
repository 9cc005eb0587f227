public import RhythmCore
import RhythmTLS
import RhythmWire

/// A client of one rhythmd, or of several that share a store: every call over one connection, which is made when it is
/// needed and made again when it is lost.
///
/// With several addresses the client goes from one to the next by itself: when one cannot be reached, hangs up, goes
/// away, is silent or says that it cannot work at present. What may be asked again is asked again there: reads, watches
/// (which go on behind the last transition that they saw), and commands with a request id, which take effect once.
///
/// ```swift
/// let client = try RhythmClient(endpoint: "127.0.0.1:7744")
/// let started = try await client.start(spec)
/// for try await update in client.watch([started.workflow.id], untilDone: true) { print(update) }
/// ```
///
/// Every call fails with a ``/RhythmCore/RhythmError``, whose `effect` says whether something may have changed.
/// Cancelling the task ends the waiting, never the work. The methods can be called from any thread; dropping the last
/// reference ends every call.
public final class RhythmClient: Sendable {
    /// How a client behaves.
    public struct Options: Sendable {
        /// Shown in the server's log.
        public var clientName = "rhythm-swift"
        /// The version of the program.
        public var clientVersion = RhythmClient.version
        /// Credentials; empty for none.
        public var token = ""
        /// Whom to trust and what to show on `tls://` endpoints. If it is given, `HOST:PORT` means `tls://HOST:PORT`.
        public var tls: TLSOptions?
        /// How long a call waits for its answer unless it says otherwise; the time it takes to connect counts.
        public var timeout = Duration.seconds(30)
        /// How long one attempt to connect to one address may take.
        public var connectTimeout = Duration.seconds(5)
        /// How long a call waits for a server that cannot be reached: zero lets it fail with the first failed attempt (of
        /// several servers: when each has failed), nil lets it wait for its timeout.
        public var patience: Duration?
        /// Begin with any one of several servers, so that many clients spread over them; else with the first.
        public var startsAnywhere = false
        /// How many updates of one watch may wait for their reader; then the server is asked to keep the rest.
        public var bufferedUpdates = 1024

        /// The default behaviour.
        public init() {}
    }

    /// The version of this library.
    public static let version = "1.0.0"
    /// Where rhythmd listens unless told otherwise.
    public static let standardEndpoint = Endpoint.standard.description

    /// Where the servers are, in the order in which they are tried.
    public let endpoints: [String]
    private let options: Options
    private let connection: ClientConnection

    /// Makes a client; nothing is connected until the first call.
    /// - Parameter endpoint: `HOST:PORT`, `[IPV6]:PORT`, either with `tls://` or `tcp://` before it, or `unix:PATH`;
    ///   or several of these with commas between them.
    /// - Throws: INVALID_ARGUMENT if the endpoint is none of these, or a file of `options.tls` cannot be used.
    public convenience init(
        endpoint: String = RhythmClient.standardEndpoint, options: Options = Options()
    ) throws(RhythmError) {
        let parts = endpoint.split(separator: ",", omittingEmptySubsequences: false)
        try self.init(endpoints: parts.map { String($0.trimmingSpaces) }, options: options)
    }

    /// Makes a client of several servers that share a store; nothing is connected until the first call.
    /// - Parameter endpoints: each as for ``init(endpoint:options:)``, tried in this order.
    /// - Throws: INVALID_ARGUMENT if there is none, or one of them is no address.
    public init(endpoints: [String], options: Options = Options()) throws(RhythmError) {
        var parsed: [Endpoint] = []
        for text in endpoints {
            guard let endpoint = Endpoint(text, tls: options.tls != nil) else {
                throw RhythmError(
                    .invalidArgument, reason: "BAD_ENDPOINT",
                    "'\(text)' is no address; write HOST:PORT, tls://HOST:PORT or unix:PATH, or several with commas",
                    field: "endpoint")
            }
            if !parsed.contains(endpoint) { parsed.append(endpoint) }
        }
        guard !parsed.isEmpty else {
            throw RhythmError(.invalidArgument, reason: "BAD_ENDPOINT", "a client needs an address", field: "endpoint")
        }
        self.endpoints = parsed.map(\.description)
        self.options = options
        let hello = Hello(
            clientName: options.clientName, clientVersion: options.clientVersion, token: options.token)
        var tls: TLSContext?
        if parsed.contains(where: { if case .tls = $0 { true } else { false } }) {
            tls = try (options.tls ?? TLSOptions()).context()
        }
        var configuration = ClientStateMachine.Configuration(
            hello: hello, endpoints: self.endpoints, patience: options.patience)
        if options.startsAnywhere { configuration.first = Int.random(in: 0..<parsed.count) }
        connection = ClientConnection(
            endpoints: parsed, tls: tls, connectTimeout: options.connectTimeout, configuration: configuration)
    }

    /// The address of the server that is tried or in use.
    public var endpoint: String { connection.endpoint }

    deinit { close() }

    /// Ends every call, with CANCELLED, and the connection. Calls made later fail at once.
    public func close() { connection.submit(.close) }

    /// The round trip of a ping, over an existing connection.
    public func ping(timeout: Duration? = nil) async throws(RhythmError) -> Duration {
        let clock = ContinuousClock()
        let start = clock.now
        _ = try await answer(.ping, timeout: timeout)
        return start.duration(to: clock.now)
    }

    /// Makes a call that has one answer.
    /// - Parameter slack: how much longer this client waits than it tells the server to.
    func call(_ request: Request, timeout: Duration?, slack: Duration = .zero) async throws(RhythmError) -> Reply {
        guard case .reply(let reply) = try await answer(.unary(request), timeout: timeout, slack: slack) else {
            throw ClientError.badAnswer("a pong", effect: .unknown)
        }
        return reply
    }

    private func answer(
        _ kind: CallKind, timeout: Duration?, slack: Duration = .zero
    ) async throws(RhythmError) -> Answer {
        let key = connection.makeKey()
        let timeout = timeout ?? options.timeout
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                connection.submit(.open(key, kind, timeout: timeout, slack: slack, .answer(continuation)))
                // A task that was cancelled before has said so before the call was there.
                if Task.isCancelled { connection.submit(.cancel(key)) }
            }
        } onCancel: {
            connection.submit(.cancel(key))
        }.get()
    }

    /// Opens a watch.
    func stream(_ request: WatchProgress) -> WatchUpdates {
        let buffer = UpdateBuffer<WatchUpdate>(limit: max(1, options.bufferedUpdates))
        return stream(.watch(WatchTracker(request)), .watch(buffer), buffer)
    }

    /// Opens a log.
    func stream(_ request: TailLog) -> LogChunks {
        // A piece has up to 64 KiB, so fewer of them are kept.
        let buffer = UpdateBuffer<LogChunk>(limit: 32)
        return stream(.log(LogTracker(request)), .log(buffer), buffer)
    }

    private func stream<Element>(
        _ kind: CallKind, _ waiter: ClientConnection.Waiter, _ buffer: UpdateBuffer<Element>
    ) -> UpdateSequence<Element> {
        let key = connection.makeKey()
        connection.submit(.open(key, kind, timeout: nil, slack: .zero, waiter))
        // The stream keeps the client, so that a program need not.
        let lifetime = CallLifetime { [self] in connection.submit(.cancel(key)) }
        return UpdateSequence(
            take: { [connection] in
                let taken = await buffer.next { advice in if advice == .unpark { connection.submit(.unpark(key)) } }
                if Task.isCancelled { connection.submit(.cancel(key)) }
                return taken
            }, lifetime: lifetime)
    }
}

extension Substring {
    /// Without the spaces around it.
    var trimmingSpaces: Substring {
        var rest = drop { $0 == " " }
        while rest.last == " " { rest.removeLast() }
        return rest
    }
}
