import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// A broker, a database and Celery workers of both versions, for servers that share them. One for the whole module.
final class FleetWorld: Sendable {
    let broker: RabbitMQServer
    let database: MongoServer
    let marks: RunnerMarks
    let workers: [CeleryWorker]
    /// Each world of workflows has a database of its own, so the workers' results lie in one that all share.
    let results: String

    private static let made = Task { try await FleetWorld() }

    static var shared: FleetWorld {
        get async throws { try await made.value }
    }

    private init() async throws {
        broker = try await RabbitMQServer()
        database = try MongoServer(.standalone)
        marks = RunnerMarks(directory: try ProcessGuard.shared.get().makeFolder("marks"))
        results = database.address("celery")
        var workers: [CeleryWorker] = []
        for (index, version) in CeleryWorker.Version.oldestAndNewest.enumerated() {
            var configuration = CeleryWorker.Configuration(
                version, broker: broker.address, backend: results, queues: ["fleet"], name: "fleet\(index)")
            configuration.concurrency = 3
            configuration.marks = marks.directory
            workers.append(try await CeleryWorker(configuration))
        }
        self.workers = workers
    }

    /// Servers that share a database of their own.
    func with(servers count: Int, _ body: ([ServerProcess]) async throws -> Void) async throws {
        let store = database.address("fleet\(UInt32.random(in: 0 ... .max))")
        try await with(count, store, [], body)
    }

    private func with(
        _ count: Int, _ store: String, _ servers: [ServerProcess], _ body: ([ServerProcess]) async throws -> Void
    ) async throws {
        if count == 0 { return try await body(servers) }
        let environment = [
            "RHYTHM_STORE": store, "RHYTHM_BROKER": broker.address, "RHYTHM_RESULTS": results, "RHYTHM_LEASE": "2",
        ]
        try await ServerProcess.with(environment: environment) { server in
            try await with(count - 1, store, servers + [server], body)
        }
    }

    /// How often workers began each attempt of a workflow.
    func runs(of workflow: Workflow) -> [String: Int] {
        var runs: [String: Int] = [:]
        for step in workflow.steps {
            runs[step.spec.name] = step.attempts.map { marks.runs(of: $0.id) }.reduce(0, +)
        }
        return runs
    }

    static func spec(steps: Int, task: String = "forward", kwargs: String = "{}") throws -> WorkflowSpec {
        let kwargs = try JSON(parsing: kwargs)
        return WorkflowSpec(
            name: "fleet", appID: "fleet", args: try JSON(parsing: "[1]"),
            steps: (0..<steps).map { StepSpec(name: "s\($0)", task: task, queue: "fleet", kwargs: kwargs) })
    }
}
