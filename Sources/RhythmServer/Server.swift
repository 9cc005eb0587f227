import Dispatch
package import Logging
package import RhythmCore
package import RhythmEngine
import RhythmLane
package import RhythmWire

/// Serves the engine to clients over TCP and unix sockets.
///
/// One lane does all input and output. Reads of active workflows are answered on it from memory; commands go to the
/// engine's lane in batches and come back in batches; watches are cursors into what the engine publishes.
package final class Server: Sendable {
    private let lane = Lane(label: "rhythm.server")
    let driver: ServerDriver

    /// Makes a server; nothing happens until ``listen()``.
    package init(configuration: ServerConfiguration, logger: Logger = Logger(label: "rhythm.server")) {
        driver = ServerDriver(configuration: configuration, logger: logger, lane: lane)
    }

    deinit {
        // Its connections and its core hold each other, and sockets that nobody asks about call without end.
        let driver = driver
        lane.queue.async { driver.assumeIsolated { $0.end() } }
    }

    /// Listens. Called once. Peers get UNAVAILABLE until ``begin(_:)``, and come again.
    ///
    /// - Returns: where it really listens: with the ports that the system chose.
    /// - Throws: UNAVAILABLE naming the address that could not be used; then it listens nowhere.
    package func listen() async throws(RhythmError) -> [Endpoint] {
        let driver = driver
        let result = await withCheckedContinuation {
            (done: CheckedContinuation<Result<[Endpoint], RhythmError>, Never>) in
            lane.queue.async {
                done.resume(
                    returning: driver.assumeIsolated { driver in
                        Result { () throws(RhythmError) in try driver.listen() }
                    })
            }
        }
        return try result.get()
    }

    /// Takes calls from now on. Called once, when the engine has started.
    package func begin(_ engine: EngineService) async {
        await onLane { $0.begin(engine) }
    }

    /// Says why calls are not taken yet, to peers and in what is told of the server's health.
    package func wait(because reason: String) async {
        await onLane { $0.wait(because: reason) }
    }

    /// Listens and takes calls.
    package func start(_ engine: EngineService) async throws(RhythmError) -> [Endpoint] {
        let endpoints = try await listen()
        await begin(engine)
        return endpoints
    }

    private func onLane(_ body: @escaping @Sendable (isolated ServerDriver) -> Void) async {
        let driver = driver
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            lane.queue.async {
                driver.assumeIsolated { body($0) }
                done.resume()
            }
        }
    }

    /// From now on peers are recognised like this. Connections of those who would not be let in any more, or with other
    /// rights, are closed; they may come again. All others go on as they are.
    ///
    /// - Returns: when that is so: no call on one of them is taken any more.
    package func replace(_ security: Security) async {
        await onLane { $0.replace(security) }
    }

    /// What was counted since the start, and what is there now. Answered even while the server drains.
    package func stats() async -> ServerStats {
        let driver = driver
        return await withCheckedContinuation { (done: CheckedContinuation<ServerStats, Never>) in
            lane.queue.async {
                done.resume(returning: driver.assumeIsolated { $0.stats() })
            }
        }
    }

    /// Whether the server should get work, and if not, why.
    package func readiness() async -> Readiness {
        let driver = driver
        return await withCheckedContinuation { (done: CheckedContinuation<Readiness, Never>) in
            lane.queue.async { done.resume(returning: driver.assumeIsolated { $0.readiness() }) }
        }
    }

    /// From now on the server says that it is not ready, though it answers as before; nil takes that back.
    package func withdraw(because reason: String?) async {
        await onLane { $0.withdraw(because: reason) }
    }

    /// Stops listening, ends watches so that their clients go elsewhere or come back, and waits for other open calls,
    /// at most for `grace`. What was started goes on.
    package func drain(grace: Duration) async {
        let driver = driver
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            lane.queue.async {
                driver.assumeIsolated { $0.drain(grace: grace) { done.resume() } }
            }
        }
    }
}

/// Keeps the core on its lane.
actor ServerDriver {
    private let lane: Lane
    private let configuration: ServerConfiguration
    private let logger: Logger
    private(set) var core: ServerCore?

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(configuration: ServerConfiguration, logger: Logger, lane: Lane) {
        self.configuration = configuration
        self.logger = logger
        self.lane = lane
    }

    func listen() throws(RhythmError) -> [Endpoint] {
        let core = try ServerCore(configuration: configuration, logger: logger, lane: lane) { [weak self] body in
            self?.assumeIsolated { driver in
                if let core = driver.core { body(core) }
            }
        }
        self.core = core
        return try core.listen()
    }

    func begin(_ engine: EngineService) { core?.turn { $0.begin(engine) } }

    func wait(because reason: String) { core?.wait(because: reason) }

    func withdraw(because reason: String?) { core?.withdraw(because: reason) }

    func readiness() -> Readiness {
        core?.readiness ?? Readiness(level: .notServing, reasons: ["the server has not begun"])
    }

    func stats() -> ServerStats { core?.stats ?? ServerStats(metrics: [], calls: []) }

    func end() {
        core?.turn { $0.end() }
        core = nil
    }

    func replace(_ security: Security) { core?.turn { $0.replace(security) } }

    func drain(grace: Duration, done: @escaping () -> Void) {
        guard let core else {
            done()
            return
        }
        core.turn { $0.drain(grace: grace, done: done) }
    }
}
