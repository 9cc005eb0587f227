import Logging
import RhythmCore
import RhythmEngine
import RhythmStoreSQLite

/// The real engine over the real store, with a runner of the case's choice.
enum EngineBed {
    /// Opens the store in `folder` and starts an engine over it.
    static func start(in folder: String, runner: any TaskRunner) async throws -> EngineService {
        var logger = Logger(label: "rhythm.bench") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        let service = EngineService(
            store: try SQLiteStore(path: folder + "/bench.sqlite"), runner: runner, logger: logger)
        try await service.start()
        return service
    }

    /// A workflow of `count` steps that do nothing.
    static func spec(steps count: Int, task: String = "noop") -> WorkflowSpec {
        WorkflowSpec(
            name: "bench", appID: "bench", steps: (1...count).map { StepSpec(name: "step-\($0)", task: task) })
    }
}
