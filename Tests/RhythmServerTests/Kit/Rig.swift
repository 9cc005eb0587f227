import Foundation
import Glibc
import Logging
import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import RhythmServer
import RhythmStoreSQLite
import RhythmWire

/// A real server over a real engine, a SQLite file of its own, and tasks that do what the test tells them.
final class Rig {
    let folder: String
    let gates = Gates()
    let faults = Faults()
    let logs = FakeLogs()
    let examinations = SlowExaminations()
    /// What the server logs.
    let log = LogSink()
    private(set) var endpoints: [Endpoint] = []
    private var engine: EngineService?
    private(set) var server: Server?
    private let configuration: ServerConfiguration
    private let eventsKept: Int

    /// Makes a rig, runs `body`, and takes everything down again.
    static func with(
        eventsKept: Int = 1000, _ change: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (Rig) async throws -> Void
    ) async throws {
        let rig = try await Rig(eventsKept: eventsKept, change)
        do { try await body(rig) } catch {
            await rig.stop()
            throw error
        }
        await rig.stop()
        try? FileManager.default.removeItem(atPath: rig.folder)
    }

    private init(eventsKept: Int, _ change: (inout ServerConfiguration) -> Void) async throws {
        folder = NSTemporaryDirectory() + "rhythm-" + RandomUUID.make().prefix(13)
        self.eventsKept = eventsKept
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var configuration = ServerConfiguration()
        configuration.endpoints = [.tcp(host: "127.0.0.1", port: 0), .unix(path: folder + "/s")]
        configuration.serverID = "the-server"
        configuration.epoch = 7
        configuration.runners = ["in-process"]
        // All peers of a test have one address.
        configuration.maxConnectionsPerAddress = 1000
        change(&configuration)
        self.configuration = configuration
        try await start()
    }

    var tcp: Endpoint { endpoints[0] }
    var unix: Endpoint { endpoints[1] }
    /// Where it listens with TLS, if it does.
    var tls: Endpoint { endpoints[2] }

    func start() async throws {
        let runner = InProcessRunner(worker: "tester")
        gates.register(with: runner)
        let service = EngineService(
            store: try await openStore(), runner: LoggingRunner(inner: runner, logs: logs, examinations: examinations),
            logger: Logger(label: "engine") { _ in SwiftLogNoOpLogHandler() })
        try await service.start()
        let server = Server(configuration: configuration, logger: log.logger("server"))
        endpoints = try await server.start(service)
        engine = service
        self.server = server
    }

    /// The store's lock goes with the last reference to the store, which threads of the old engine may hold a little.
    private func openStore() async throws -> sending FaultyStore {
        let deadline = ContinuousClock.now + patience
        while true {
            do throws(StoreError) {
                return FaultyStore(
                    inner: try SQLiteStore(path: folder + "/flows.sqlite", eventsKept: eventsKept), faults: faults)
            } catch {
                guard error.code == .inUse, ContinuousClock.now < deadline else { throw error }
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func drain(grace: Duration) async { await server?.drain(grace: grace) }

    func stop() async {
        await server?.drain(grace: .milliseconds(50))
        await engine?.stop()
        server = nil
        engine = nil
    }

    /// Lets go of the server as it is.
    func abandonServer() { server = nil }

    /// Engine, store and server go and come again over the same file.
    func restart() async throws {
        await stop()
        gates.reset()
        try await start()
    }

    /// A connection that has said Hello.
    ///
    /// - Parameter onUnix: the kernel keeps little for a unix socket, so the server soon feels that nobody reads.
    func peer(onUnix: Bool = false, token: String = "") async throws -> RawPeer {
        let peer = try RawPeer(onUnix ? unix : tcp)
        try await peer.greet(token: token)
        return peer
    }

    /// A workflow of steps that wait for orders.
    static func gated(
        _ steps: [String] = ["one"], id: WorkflowID? = nil, name: String = "flow", appID: String = "tests",
        labels: [String: String] = [:], args: JSON = .emptyArray
    ) -> WorkflowSpec {
        WorkflowSpec(
            id: id, name: name, appID: appID, labels: labels, args: args,
            steps: steps.map { StepSpec(name: $0, task: Gates.task) })
    }

    /// One that needs nobody.
    static func quick(
        _ count: Int = 1, id: WorkflowID? = nil, name: String = "flow", appID: String = "tests",
        labels: [String: String] = [:], args: JSON = .emptyArray
    ) -> WorkflowSpec {
        WorkflowSpec(
            id: id, name: name, appID: appID, labels: labels, args: args,
            steps: (0..<count).map { StepSpec(name: "s\($0)", task: "quick") })
    }

    /// How many sockets this process has open.
    static var openSockets: Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            return target?.hasPrefix("socket:") == true
        }
    }

    static var highestDescriptor: Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.compactMap { Int($0) }.max() ?? 0
    }

    /// Bytes of memory this process has in use. Nothing under the address sanitizer, which keeps what was freed.
    static var residentBytes: Int {
        guard ProcessInfo.processInfo.environment["RHYTHM_SANITIZE"] != "address" else { return 0 }
        let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (Int(statm.split(separator: " ").dropFirst().first ?? "") ?? 0) * 4096
    }
}
