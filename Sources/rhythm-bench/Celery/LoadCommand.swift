import ArgumentParser
import Foundation
import RhythmClient
import RhythmCore

/// Starts workflows on a server that runs elsewhere, so many at a time, and waits for their ends. The measuring is done
/// by who calls it (`clients/demo/bench-celery`), from what the tasks themselves write down.
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Runs workflows of equal steps on a server; used by 'make bench-celery'.",
        shouldDisplay: false)

    @Option var server: String
    @Option var task: String
    @Option var queue: String
    @Option var workflows = 200
    @Option var steps = 5
    @Option var inFlight = 200
    /// Reads the status of the newest workflow so often instead.
    @Option var reads: Int?

    func run() async throws {
        let client = try RhythmClient(endpoint: server)
        _ = try await client.ping()
        if let reads { return try await readStatus(client, reads) }
        let began = Date().timeIntervalSince1970
        let (inFlight, workflows) = (min(inFlight, workflows), workflows)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<workflows {
                if number >= inFlight { try await group.next() }
                let spec = spec(number)
                group.addTask {
                    let started = try await client.start(spec)
                    for try await _ in client.watch(
                        [started.workflow.id],
                        options: RhythmClient.WatchOptions(untilDone: true, withoutProgress: true))
                    {}
                }
            }
            try await group.waitForAll()
        }
        var result = Measurements()
        result["began"] = began
        print(try result.line())
    }

    private func readStatus(_ client: RhythmClient, _ reads: Int) async throws {
        guard let newest = try await client.list(ListQuery(limit: 1)).rows.first else {
            throw ValidationError("there is no workflow whose status could be read")
        }
        var times: [Double] = []
        for _ in 0..<reads {
            let began = ContinuousClock.now
            _ = try await client.status(newest.id)
            times.append((ContinuousClock.now - began) / .milliseconds(1))
        }
        var result = Measurements()
        result["status_ms"] = times.sorted()[times.count / 2]
        print(try result.line())
    }

    private func spec(_ number: Int) -> WorkflowSpec {
        WorkflowSpec(
            name: "bench", appID: "bench", args: JSON(.array([.integer(number)])),
            steps: (0..<steps).map { StepSpec(name: "s\($0)", task: task, queue: queue) })
    }
}
