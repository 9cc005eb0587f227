import RhythmCore
import RhythmEngine
import RhythmInProcessRunner

/// What a workflow costs in memory while it is active, and after it has ended.
///
/// The store's page cache is filled first, so that its growth is not counted as the workflows'.
enum MemoryCase {
    static func run(in folder: String, quick: Bool) async throws -> Measurements {
        let count = quick ? 200 : 10_000
        let runner = StartsCase.heldRunner()
        runner.registerSynchronous("noop") { _ in nil }
        let service = try await EngineBed.start(in: folder, runner: runner)
        let load = WorkflowLoad(service)
        try await load.run(EngineBed.spec(steps: 5), count: count, inFlight: 200)
        try await load.run(EngineBed.spec(steps: 5), count: quick ? count : 20_000, inFlight: 200)

        var result = Measurements()
        let before = SystemFigures.residentBytes
        try await load.run(EngineBed.spec(steps: 5), count: count, inFlight: 200)
        let finished = SystemFigures.residentBytes
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    for _ in 0..<(count / 100) {
                        _ = try await service.submit(.start(EngineBed.spec(steps: 5, task: "held"), requestID: ""))
                    }
                }
            }
            try await group.waitForAll()
        }
        let active = SystemFigures.residentBytes
        result["memory_finished_bytes"] = max(0, finished - before) / Double(count)
        result["memory_active_bytes"] = max(0, active - finished) / Double(count)
        result["memory_mib"] = active / 1_048_576
        await service.stop()
        return result
    }
}
