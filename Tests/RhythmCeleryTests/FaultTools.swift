import RhythmCore
import RhythmEngine
import RhythmTesting

/// A dispatch as the tests of faults use it.
func dispatch(
    _ task: String, queue: String, priority: Int = 0, kwargs: String = "{}", isRepeated: Bool = false,
    queuedAt: Timestamp? = nil
) throws -> Dispatch {
    Dispatch(
        taskID: .random(), workflowID: "w-1", appID: "app", step: "only", task: task, queue: queue,
        priority: priority, args: .emptyArray, kwargs: try JSON(parsing: kwargs), isRepeated: isRepeated,
        queuedAt: queuedAt)
}

/// The waits that were told of an attempt, in order.
func waits(_ runner: RunnerUnderTest, _ id: TaskID) -> [String] {
    runner.reports(of: id).compactMap { if case .waiting(let reason) = $0 { reason } else { nil } }
}
