import RhythmCore
import RhythmEngine
import RhythmInProcessRunner

/// Durable starts: clients that each wait for the answer before they start the next workflow. Nothing runs meanwhile:
/// the first steps wait in a queue whose only place is taken.
enum StartsCase {
    private static let clients = 64

    static func run(in folder: String, quick: Bool) async throws -> Measurements {
        let runner = heldRunner()
        let service = try await EngineBed.start(in: folder, runner: runner)
        let spec = EngineBed.spec(steps: 5, task: "held")
        _ = try await start(spec, service, perClient: quick ? 5 : 50)
        let perClient = quick ? 20 : 600
        let cpu = SystemFigures.processorSeconds
        let begin = SystemFigures.nanoseconds
        let latencies = try await start(spec, service, perClient: perClient)
        let count = Double(clients * perClient)
        var result = Measurements()
        result["starts_per_s"] = count / SystemFigures.seconds(since: begin)
        result["start_cpu_us"] = (SystemFigures.processorSeconds - cpu) / count * 1e6
        result.set("start", latencies)
        await service.stop()
        return result
    }

    /// A runner on which every attempt of `held` waits, the first one running.
    static func heldRunner(queues: [String: Int] = [:]) -> InProcessRunner {
        let runner = InProcessRunner(queues: queues, defaultConcurrency: 1)
        runner.register("held") { _ in
            try await Task.sleep(for: .seconds(86_400))
            return nil
        }
        return runner
    }

    private static func start(
        _ spec: WorkflowSpec, _ service: EngineService, perClient: Int
    ) async throws -> Latencies {
        let latencies = Latencies()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<clients {
                group.addTask {
                    for _ in 0..<perClient {
                        let begin = SystemFigures.nanoseconds
                        _ = try await service.submit(.start(spec, requestID: ""))
                        latencies.record(nanoseconds: SystemFigures.nanoseconds - begin)
                    }
                }
            }
            try await group.waitForAll()
        }
        return latencies
    }
}
