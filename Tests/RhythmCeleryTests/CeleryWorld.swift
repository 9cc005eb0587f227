import Glibc
import Logging
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

/// A broker, a database and Celery workers, for the tests of this module that need real ones.
final class CeleryWorld: Sendable {
    let broker: RabbitMQServer
    let mongo: MongoServer
    /// Where the workers' tasks leave their marks.
    let marks: RunnerMarks
    private let host: Mutex<[CeleryWorker]> = Mutex([])

    init(_ topology: MongoServer.Topology = .standalone) async throws {
        async let broker = RabbitMQServer()
        mongo = try MongoServer(topology)
        self.broker = try await broker
        marks = RunnerMarks(directory: try ProcessGuard.shared.get().makeFolder("marks"))
    }

    var results: String { mongo.address("celery") }

    /// Looks into the database as anybody could.
    func pool() throws -> MongoPool { try MongoPool(uri: results) }

    /// Starts a worker on some queues.
    func startWorker(
        _ version: CeleryWorker.Version, name: String, queues: [String], concurrency: Int = 1,
        settings: [String: String] = [:], arguments: [String] = []
    ) async throws -> CeleryWorker {
        var configuration = CeleryWorker.Configuration(
            version, broker: broker.address, backend: results, queues: queues, name: name)
        configuration.concurrency = concurrency
        configuration.marks = marks.directory
        configuration.settings = settings.merging(["MAX_PRIORITY": "10"]) { first, _ in first }
        configuration.arguments = arguments
        return try await CeleryWorker(configuration)
    }

    /// Keeps workers until the world ends.
    func keep(_ workers: [CeleryWorker]) { host.withLock { $0 += workers } }

    /// Times for tests: nothing that has to be waited for takes longer than seconds.
    func configuration(server: String = "s1") -> CeleryConfiguration {
        var configuration = CeleryConfiguration(broker: broker.address, results: results, serverID: server)
        configuration.times.acquaintance = .milliseconds(1000)
        configuration.times.kind = .milliseconds(1500)
        configuration.times.suspect = .milliseconds(1500)
        configuration.times.ask = .seconds(2)
        configuration.times.lost = .seconds(2)
        configuration.times.workerQuiet = .seconds(5)
        configuration.times.workerLost = .seconds(7)
        configuration.times.revokeGrace = .seconds(1)
        configuration.times.queueCheck = .milliseconds(500)
        configuration.times.publishRetryLongest = .seconds(1)
        configuration.usesChangeStream = false
        return configuration
    }

    func runner(_ change: (inout CeleryConfiguration) -> Void = { _ in }) throws -> RunnerUnderTest {
        var configuration = configuration()
        change(&configuration)
        return RunnerUnderTest(try CeleryRunner(configuration, logger: Self.logger))
    }

    static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()
}

/// Worlds in which the tests of one suite run one after the other.
enum Worlds {
    private static let worlds = Mutex<[CeleryWorker.Version: Task<CeleryWorld, any Error>]>([:])

    /// One with workers for the contract: queue `narrow` runs one attempt at once, `pair` two.
    static func forContract(_ version: CeleryWorker.Version) async throws -> CeleryWorld {
        try await worlds.withLock { worlds in
            if let world = worlds[version] { return world }
            let task = Task {
                let world = try await CeleryWorld()
                // Late acknowledgement: nothing is prefetched, so the priority decides alone.
                async let narrow = world.startWorker(
                    version, name: "narrow", queues: ["narrow"], settings: ["ACKS_LATE": "1"])
                async let pair = world.startWorker(version, name: "pair", queues: ["pair"], concurrency: 2)
                async let others = world.startWorker(
                    version, name: "others", queues: ["celery", "a", "another"], concurrency: 4)
                world.keep(try await [narrow, pair, others])
                return world
            }
            worlds[version] = task
            return task
        }.value
    }
}
