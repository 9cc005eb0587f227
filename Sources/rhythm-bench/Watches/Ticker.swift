import Glibc
import RhythmCore
import RhythmEngine
import RhythmInProcessRunner

/// Steps that do nothing but report: as fast as they can, or one report in a while.
enum Ticker {
    static let task = "tick"

    /// The time as everybody on this machine has it, in microseconds.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// - Parameters:
    ///   - reports: how many progress reports each step makes; `done` is the time of the report.
    ///   - pause: microseconds between two reports, and after the last one.
    static func spec(steps: Int, reports: Int, pause: Int, appID: String) throws -> WorkflowSpec {
        let kwargs = try JSON(parsing: #"{"reports": \#(reports), "pause": \#(pause)}"#)
        return WorkflowSpec(
            name: "ticker", appID: appID,
            steps: (1...steps).map { StepSpec(name: "step-\($0)", task: task, queue: task, kwargs: kwargs) })
    }

    static func register(with runner: InProcessRunner) {
        runner.register(task) { invocation in
            let kwargs = invocation.kwargs.value
            let pause = kwargs["pause"]?.intValue ?? 0
            for _ in 0..<(kwargs["reports"]?.intValue ?? 0) {
                let now = now
                invocation.report(
                    ProgressReport(name: "tick", done: Double(now), units: "us", at: Timestamp(microseconds: now)))
                if pause > 0 { try await Task.sleep(for: .microseconds(pause)) }
            }
            return nil
        }
    }
}
