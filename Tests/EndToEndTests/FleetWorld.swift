import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// A broker, a database and Celery workers, for servers that share them.
final class FleetWorld: Sendable {
    let celery: CeleryWorld

    private static let made = Task {
        let world = FleetWorld(try await CeleryWorld())
        try await world.startWorkers(on: "fleet")
        return world
    }

    /// One for the whole module, with workers of both versions.
    static var shared: FleetWorld {
        get async throws { try await made.value }
    }

    init(_ celery: CeleryWorld) { self.celery = celery }

    /// Starts a worker of each version on a queue, for as long as the world lives.
    ///
    /// - Parameter marks: Where their tasks leave their marks; nil for ``marks``.
    func startWorkers(on queue: String, marks: RunnerMarks? = nil) async throws {
        for (index, version) in CeleryWorker.Version.oldestAndNewest.enumerated() {
            celery.keep([
                try await celery.startWorker(
                    version, name: "\(queue)\(index)", queues: [queue], concurrency: 3, marks: marks)
            ])
        }
    }

    var marks: RunnerMarks { celery.marks }
    var databasePort: Int { celery.mongo.port }
    var brokerPort: Int { celery.broker.port }

    /// Servers that share a database of their own; the workers' results lie in one that all share.
    ///
    /// - Parameters:
    ///   - lease: what the servers are told (seconds); nil for what they take by themselves.
    ///   - settings: what else is in their environment.
    func with(
        servers count: Int, lease: Int? = 2, settings: [String: String] = [:],
        _ body: ([ServerProcess]) async throws -> Void
    ) async throws {
        var environment = environment(database: "fleet\(UInt32.random(in: 0 ... .max))")
        environment.merge(settings) { $1 }
        if let lease { environment["RHYTHM_LEASE"] = "\(lease)" }
        try await with(count, environment, [], body)
    }

    /// What servers are told of where things are.
    ///
    /// - Parameters:
    ///   - database: The store's.
    ///   - databasePort: Where the store is reached; nil for the database server itself. The results always lie there.
    ///   - brokerPort: Where the broker is reached; nil for the broker itself.
    func environment(database: String, databasePort: Int? = nil, brokerPort: Int? = nil) -> [String: String] {
        [
            "RHYTHM_STORE": "mongodb://127.0.0.1:\(databasePort ?? self.databasePort)/\(database)",
            "RHYTHM_BROKER": "amqp://guest:guest@127.0.0.1:\(brokerPort ?? self.brokerPort)//",
            "RHYTHM_RESULTS": celery.results,
        ]
    }

    private func with(
        _ count: Int, _ environment: [String: String], _ servers: [ServerProcess],
        _ body: ([ServerProcess]) async throws -> Void
    ) async throws {
        if count == 0 { return try await body(servers) }
        try await ServerProcess.with(environment: environment) { server in
            try await with(count - 1, environment, servers + [server], body)
        }
    }

    static func spec(
        steps: Int, task: String = "forward", queue: String = "fleet", kwargs: String = "{}"
    ) throws -> WorkflowSpec {
        let kwargs = try JSON(parsing: kwargs)
        return WorkflowSpec(
            name: "fleet", appID: "fleet", args: try JSON(parsing: "[1]"),
            steps: (0..<steps).map { StepSpec(name: "s\($0)", task: task, queue: queue, kwargs: kwargs) })
    }
}
