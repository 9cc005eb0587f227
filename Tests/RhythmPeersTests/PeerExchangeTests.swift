import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmPeers

/// Two engines of one store that hear of each other through a real broker.
@Suite(.serialized, .timeLimit(.minutes(4))) struct PeerExchangeTests {
    private static let broker = Task { try await RabbitMQServer() }
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private struct Member {
        let engine: EngineService
        let exchange: PeerExchange
    }

    private func member(_ name: String, _ disk: FleetDisk, _ group: String, port: Int) async throws -> Member {
        let runner = InProcessRunner(worker: name)
        runner.registerSynchronous("quick") { _ in .emptyArray }
        let engine = EngineService(
            store: FleetStore(disk, server: name, SimulationFuse()), runner: runner, logger: Self.quiet)
        try await engine.start()
        let exchange = PeerExchange(
            try AMQPAddress(parsing: "amqp://guest:guest@127.0.0.1:\(port)//"), group: group, serverID: name,
            incarnation: name, engine: engine, logger: Self.quiet)
        return Member(engine: engine, exchange: exchange)
    }

    @Test("news that got lost are made good: the others are told to look into the store, and know who is not heard")
    func lostNews() async throws {
        let broker = try await Self.broker.value
        let link = try LinkProxy(to: broker.port)
        defer { link.stop() }
        let disk = FleetDisk(clock: SimulationClock())
        let group = "t\(UInt32.random(in: 0 ... .max))"
        let first = try await member("first", disk, group, port: link.port)
        let second = try await member("second", disk, group, port: broker.port)
        let heard = Mutex<(versions: [WorkflowID: Int64], rechecks: Int)>(([:], 0))
        second.engine.observe { publication in
            guard publication.isNews else { return }
            heard.withLock { heard in
                for change in publication.foreign { heard.versions[change.id] = change.version }
                if publication.mayHaveMissed { heard.rechecks += 1 }
            }
        }
        func start(_ id: WorkflowID) async throws -> Workflow {
            let spec = WorkflowSpec(id: id, name: "w", appID: "a", steps: [StepSpec(name: "s", task: "quick")])
            guard case .started(let workflow, _) = try await first.engine.submit(.start(spec, requestID: "")) else {
                throw RhythmError(.internal, reason: "X", "no start")
            }
            return workflow
        }
        try await waitUntil("both are connected", seconds: 30) {
            first.engine.health.level == .serving && second.engine.health.level == .serving
        }
        _ = try await start("heard")
        try await waitUntil("it is heard", seconds: 10) { heard.withLock { $0.versions["heard"] != nil } }
        let before = heard.withLock { $0.rechecks }

        link.fail(.cut)
        try await waitUntil("it knows that nobody hears it", seconds: 10) {
            first.engine.health.reasons.contains { $0.contains("other servers do not hear") }
        }
        _ = try await start("lost")
        try await waitUntil("the other one looks into the store", seconds: 20) { second.engine.memory == .behind }
        #expect(heard.withLock { $0.versions["lost"] == nil })
        link.heal()
        try await waitUntil("it is told that something was lost", seconds: 30) {
            heard.withLock { $0.rechecks > before }
        }
        try await waitUntil("all is well", seconds: 30) {
            first.engine.health.level == .serving && second.engine.memory == .current
        }
        for member in [first, second] {
            await member.engine.stop()
            member.exchange.close()
        }
    }

    @Test("a broker that falls silent without a word is noticed by what it does not confirm")
    func silentBroker() async throws {
        let broker = try await Self.broker.value
        let link = try LinkProxy(to: broker.port)
        defer { link.stop() }
        let disk = FleetDisk(clock: SimulationClock())
        let first = try await member("first", disk, "t\(UInt32.random(in: 0 ... .max))", port: link.port)
        try await waitUntil("it is connected", seconds: 30) { first.engine.health.level == .serving }
        link.fail(.silent)
        let spec = WorkflowSpec(name: "w", appID: "a", steps: [StepSpec(name: "s", task: "quick")])
        _ = try await first.engine.submit(.start(spec, requestID: ""))
        try await waitUntil("it is mute", seconds: 8) {
            first.engine.health.reasons.contains { $0.contains("does not confirm") }
        }
        link.heal()
        try await waitUntil("all is well", seconds: 30) { first.engine.health.level == .serving }
        await first.engine.stop()
        first.exchange.close()
    }
}
