import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// A broker, a database and Celery workers, for servers that share them.
final class FleetWorld: Sendable {
    let celery: CeleryWorld

    private static let made = Task {
        let celery = try await CeleryWorld()
        for (index, version) in CeleryWorker.Version.oldestAndNewest.enumerated() {
            celery.keep([
                try await celery.startWorker(version, name: "fleet\(index)", queues: ["fleet"], concurrency: 3)
            ])
        }
        return FleetWorld(celery)
    }

    /// One for the whole module, with workers of both versions.
    static var shared: FleetWorld {
        get async throws { try await made.value }
    }

    init(_ celery: CeleryWorld) { self.celery = celery }

    var marks: RunnerMarks { celery.marks }

    /// Servers that share a database of their own; the workers' results lie in one that all share.
    ///
    /// - Parameters:
    ///   - lease: what the servers are told (seconds); nil for what they take by themselves.
    ///   - settings: what else is in their environment.
    func with(
        servers count: Int, lease: Int? = 2, settings: [String: String] = [:],
        _ body: ([ServerProcess]) async throws -> Void
    ) async throws {
        var environment = [
            "RHYTHM_STORE": celery.mongo.address("fleet\(UInt32.random(in: 0 ... .max))"),
            "RHYTHM_BROKER": celery.broker.address, "RHYTHM_RESULTS": celery.results,
        ]
        environment.merge(settings) { $1 }
        if let lease { environment["RHYTHM_LEASE"] = "\(lease)" }
        try await with(count, environment, [], body)
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
