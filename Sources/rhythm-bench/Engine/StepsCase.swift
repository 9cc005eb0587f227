import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import Synchronization

/// Workflows of steps that do nothing, as closures of this process: what the engine and its store cost by themselves.
enum StepsCase {
    static func run(in folder: String, quick: Bool) async throws -> Measurements {
        let gaps = Gaps()
        let runner = InProcessRunner(defaultConcurrency: 256)
        runner.registerSynchronous("noop") { gaps.step($0) }
        let service = try await EngineBed.start(in: folder, runner: runner)
        let load = WorkflowLoad(service)
        try await load.run(EngineBed.spec(steps: 5), count: quick ? 20 : 1000, inFlight: 200)

        var result = Measurements()
        for steps in [1, 5, 20] {
            let spec = EngineBed.spec(steps: steps)
            let count = quick ? 50 : 10_000 / (steps + 3)
            let latencies = gaps.begin()
            let cpu = SystemFigures.processorSeconds
            let begin = SystemFigures.nanoseconds
            try await load.run(spec, count: count, inFlight: 200)
            result["flows\(steps)_per_s"] = Double(count) / SystemFigures.seconds(since: begin)
            result["flows\(steps)_cpu_us"] = (SystemFigures.processorSeconds - cpu) / Double(count) * 1e6
            if steps > 1 { result.set("flows\(steps)_gap", latencies) }
        }
        for steps in [1, 5, 20] {
            let spec = EngineBed.spec(steps: steps)
            let alone = Latencies()
            let latencies = gaps.begin()
            for _ in 0..<(quick ? 3 : 50) {
                let begin = SystemFigures.nanoseconds
                try await load.run(spec, count: 1, inFlight: 1)
                alone.record(nanoseconds: SystemFigures.nanoseconds - begin)
            }
            result["alone\(steps)_ms"] = alone.microseconds(atPercentile: 50) / 1000
            if steps > 1 { result.set("alone\(steps)_gap", latencies) }
        }
        await service.stop()
        return result
    }
}

/// The time between the end of a step's closure and the beginning of the next one's. Each step hands the time of its
/// end on as its result, so nothing is looked up.
private final class Gaps: Sendable {
    private let latencies = Mutex(Latencies())

    /// From now on gaps are collected anew.
    func begin() -> Latencies {
        let fresh = Latencies()
        latencies.withLock { $0 = fresh }
        return fresh
    }

    func step(_ invocation: Invocation) -> JSON? {
        let now = SystemFigures.nanoseconds
        if let ended = invocation.argument.flatMap({ UInt64($0.text) }) {
            latencies.withLock { $0 }.record(nanoseconds: now - ended)
        }
        return try? JSON(parsing: "[\(SystemFigures.nanoseconds)]")
    }
}
