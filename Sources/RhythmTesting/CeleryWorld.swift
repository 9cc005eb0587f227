import Synchronization

/// A broker, a database for results and a place for the marks of tasks; Celery workers are started as a test wants them.
package final class CeleryWorld: Sendable {
    package let broker: RabbitMQServer
    package let mongo: MongoServer
    /// Where the workers' tasks leave their marks.
    package let marks: RunnerMarks
    private let settings: [String: String]
    private let host: Mutex<[CeleryWorker]> = Mutex([])

    /// - Parameter settings: those of every worker, see ``CeleryWorker/Configuration/settings``.
    package init(_ topology: MongoServer.Topology = .standalone, settings: [String: String] = [:]) async throws {
        async let broker = RabbitMQServer()
        mongo = try MongoServer(topology)
        self.broker = try await broker
        self.settings = settings
        marks = try Self.makeMarks("marks")
    }

    /// The database of the workers' results.
    package var results: String { mongo.address("celery") }

    /// A place for marks of its own.
    package static func makeMarks(_ name: String) throws -> RunnerMarks {
        RunnerMarks(directory: try ProcessGuard.shared.get().makeFolder(name))
    }

    /// Starts a worker on some queues.
    package func startWorker(
        _ version: CeleryWorker.Version, name: String, queues: [String], concurrency: Int = 1,
        settings: [String: String] = [:], arguments: [String] = [], marks: RunnerMarks? = nil
    ) async throws -> CeleryWorker {
        var configuration = CeleryWorker.Configuration(
            version, broker: broker.address, backend: results, queues: queues, name: name)
        configuration.concurrency = concurrency
        configuration.marks = (marks ?? self.marks).directory
        configuration.settings = self.settings.merging(settings) { _, own in own }
        configuration.arguments = arguments
        return try await CeleryWorker(configuration)
    }

    /// Keeps workers until the world ends.
    package func keep(_ workers: [CeleryWorker]) { host.withLock { $0 += workers } }
}
