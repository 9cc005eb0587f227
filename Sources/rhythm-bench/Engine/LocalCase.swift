import Foundation
import RhythmCore
import RhythmEngine
import RhythmLocalRunner

/// Workflows whose steps are processes: a supervisor and a program that does nothing for each.
enum LocalCase {
    static func run(in folder: String, supervisor: String, quick: Bool) async throws -> Measurements {
        let tasks = folder + "/tasks"
        try FileManager.default.createDirectory(atPath: tasks, withIntermediateDirectories: true)
        // The system's own no-op program: a shell would cost more than what is measured.
        try FileManager.default.copyItem(atPath: "/bin/true", toPath: tasks + "/noop")
        let configuration = LocalRunnerConfiguration(
            tasksDirectory: tasks, dataDirectory: folder + "/runner", supervisorPath: supervisor)
        let service = try await EngineBed.start(in: folder, runner: try LocalRunner(configuration))
        let ends = EndedWorkflows(service)
        let load = WorkflowLoad(service)
        try await load.run(EngineBed.spec(steps: 5), count: quick ? 2 : 20, inFlight: 8)

        var result = Measurements()
        _ = ends.take()
        let count = quick ? 5 : 150
        let begin = SystemFigures.nanoseconds
        try await load.run(EngineBed.spec(steps: 5), count: count, inFlight: 32)
        result["local5_per_s"] = Double(count) / SystemFigures.seconds(since: begin)
        result.set("local5_gap", gaps(of: ends.take()))

        let alone = Latencies()
        for _ in 0..<(quick ? 1 : 10) {
            let begin = SystemFigures.nanoseconds
            try await load.run(EngineBed.spec(steps: 20), count: 1, inFlight: 1)
            alone.record(nanoseconds: SystemFigures.nanoseconds - begin)
        }
        result["local_alone20_ms"] = alone.microseconds(atPercentile: 50) / 1000
        result.set("local_alone20_gap", gaps(of: ends.take()))
        await service.stop()
        return result
    }

    /// From an attempt's recorded end to the recorded start of the next: both are the supervisor's own times.
    private static func gaps(of workflows: [Workflow]) -> Latencies {
        let latencies = Latencies()
        for workflow in workflows {
            let attempts = workflow.steps.compactMap(\.current)
            for (earlier, later) in zip(attempts, attempts.dropFirst()) {
                guard let ended = earlier.endedAt, let started = later.startedAt else { continue }
                latencies.record(nanoseconds: UInt64(started.since(ended).wholeMicroseconds) * 1000)
            }
        }
        return latencies
    }
}
