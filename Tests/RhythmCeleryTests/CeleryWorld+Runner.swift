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

extension CeleryWorld {
    /// As the tests of this module want it: queues with priorities.
    static func make(_ topology: MongoServer.Topology = .standalone) async throws -> CeleryWorld {
        try await CeleryWorld(topology, settings: ["MAX_PRIORITY": "10"])
    }

    /// Looks into the database as anybody could.
    func pool() throws -> MongoPool { try MongoPool(uri: results) }

    /// Times for tests: nothing that has to be waited for takes longer than seconds.
    func configuration(server: String = "s1") -> CeleryConfiguration {
        var configuration = CeleryConfiguration(broker: broker.address, results: results, serverID: server)
        configuration.times.acquaintance = .milliseconds(1000)
        configuration.times.kind = .milliseconds(1500)
        configuration.times.suspect = .milliseconds(1500)
        configuration.times.ask = .seconds(2)
        configuration.times.lost = .seconds(2)
        configuration.times.result = .seconds(2)
        configuration.times.runningLook = .seconds(1)
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
                let world = try await CeleryWorld.make()
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
