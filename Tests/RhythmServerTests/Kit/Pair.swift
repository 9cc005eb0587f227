import Glibc
import Logging
import RhythmClient
import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import RhythmServer
import RhythmTesting
import RhythmWire
import Synchronization

/// Two servers that share a simulated store. They hear of each other only while the test lets them.
final class Pair: Sendable {
    let first: Member
    let second: Member
    let disk: FleetDisk

    final class Member: Sendable {
        let name: String
        let engine: EngineService
        let gates = Gates()
        let server: Server
        /// Whether what this one does is told to the other.
        let tells = Mutex(true)
        private let listening = Mutex<[Endpoint]>([])

        init(_ name: String, _ disk: FleetDisk, _ change: (inout ServerConfiguration) -> Void) {
            self.name = name
            let runner = InProcessRunner(worker: name)
            gates.register(with: runner)
            engine = EngineService(
                store: FleetStore(disk, server: name, SimulationFuse()), runner: runner,
                logger: Logger(label: "engine") { _ in SwiftLogNoOpLogHandler() })
            var configuration = ServerConfiguration()
            configuration.endpoints = [.tcp(host: "127.0.0.1", port: 0)]
            configuration.serverID = name
            configuration.maxConnectionsPerAddress = 1000
            change(&configuration)
            server = Server(
                configuration: configuration, logger: Logger(label: "server") { _ in SwiftLogNoOpLogHandler() })
        }

        func start() async throws {
            try await engine.start()
            let endpoints = try await server.listen()
            await server.begin(engine)
            listening.withLock { $0 = endpoints }
        }

        func tell(_ other: Member) {
            engine.observe { [weak self, weak other] publication in
                guard let self, let other, !publication.isNews, tells.withLock({ $0 }) else { return }
                let changes = publication.changes.map {
                    Publication.ForeignChange(id: $0.workflow.id, version: $0.workflow.version)
                }
                other.engine.take(
                    Publication(foreign: changes, progress: publication.progress, deleted: publication.deleted))
            }
        }

        var endpoint: Endpoint { listening.withLock { $0[0] } }

        func peer() async throws -> RawPeer {
            let peer = try RawPeer(endpoint)
            try await peer.greet()
            return peer
        }
    }

    static func with(
        _ change: (inout ServerConfiguration) -> Void = { _ in }, _ body: (Pair) async throws -> Void
    ) async throws {
        let pair = Pair(change)
        try await pair.first.start()
        try await pair.second.start()
        pair.first.tell(pair.second)
        pair.second.tell(pair.first)
        defer { withExtendedLifetime(pair) {} }
        do { try await body(pair) } catch {
            await pair.stop()
            throw error
        }
        await pair.stop()
    }

    private init(_ change: (inout ServerConfiguration) -> Void) {
        disk = FleetDisk(clock: SimulationClock())
        first = Member("first", disk, change)
        second = Member("second", disk, change)
    }

    private func stop() async {
        for member in [first, second] {
            await member.server.drain(grace: .milliseconds(20))
            await member.engine.stop()
        }
    }

    /// A client that knows both, and begins with the second.
    func client() throws -> RhythmClient {
        try RhythmClient(endpoints: [second.endpoint.description, first.endpoint.description])
    }
}
