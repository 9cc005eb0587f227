import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import RhythmTesting

/// In-process runners; their closures do what the contract asks of its tasks. The closures that never wait are
/// synchronous if asked for.
struct InProcessPlace: RunnerPlace {
    let marks: RunnerMarks
    let synchronous: Bool
    var attemptsOutliveRunners: Bool { false }

    static func with(synchronous: Bool = false, _ body: (InProcessPlace) async throws -> Void) async throws {
        try await Folder.with { folder in
            try await body(InProcessPlace(marks: RunnerMarks(directory: folder.path), synchronous: synchronous))
        }
    }

    func makeRunner() throws -> any TaskRunner {
        let runner = InProcessRunner(queues: ["narrow": 1, "pair": 2], defaultConcurrency: 8)
        let marks = marks
        func quick(_ task: ContractTask, _ body: @escaping InProcessRunner.SynchronousBody) {
            if synchronous {
                runner.registerSynchronous(task.rawValue, body)
            } else {
                runner.register(task.rawValue) { try body($0) }
            }
        }
        quick(.echo) { .array(of: [JSON(Self.describe($0))]) }
        quick(.pass) { invocation in
            marks.leave(for: invocation.dispatch.taskID)
            return nil
        }
        quick(.fail) { invocation in
            marks.leave(for: invocation.dispatch.taskID)
            throw Failure(type: "Refusal", message: "it does not want to")
        }
        quick(.object) { invocation in
            marks.leave(for: invocation.dispatch.taskID)
            return try JSON(parsing: #"{"a":1}"#)
        }
        quick(.count) { invocation in
            for done in 1...3 {
                invocation.report(
                    ProgressReport(
                        name: "counting", done: Double(done), total: 3, units: "units",
                        at: .wallClock))
            }
            return .emptyArray
        }
        runner.register(ContractTask.hold.rawValue) { invocation in
            marks.leave(for: invocation.dispatch.taskID)
            while !marks.gateIsOpen(of: invocation.dispatch.taskID) { try await Task.sleep(for: .milliseconds(2)) }
            return try JSON(parsing: #"["held"]"#)
        }
        runner.register(ContractTask.stubborn.rawValue) { invocation in
            marks.leave(for: invocation.dispatch.taskID)
            while !invocation.isRevoked { await Task.yield() }
            return try JSON(parsing: #"["anyway"]"#)
        }
        runner.register(ContractTask.brief.rawValue) { invocation in
            marks.leave(for: invocation.dispatch.taskID)
            try await Task.sleep(for: .milliseconds(50))
            marks.leaveFinish(for: invocation.dispatch.taskID)
            return nil
        }
        return runner
    }

    private static func describe(_ invocation: Invocation) -> JSONValue {
        let dispatch = invocation.dispatch
        return .object([
            .init("workflow_id", .string(dispatch.workflowID.rawValue)), .init("step", .string(dispatch.step)),
            .init("app_id", .string(dispatch.appID)), .init("task_id", .string(dispatch.taskID.rawValue)),
            .init("task", .string(dispatch.task)), .init("attempt", .integer(dispatch.attempt)),
            .init("args", invocation.args.value), .init("kwargs", invocation.kwargs.value),
        ])
    }
}
