import Glibc
import RhythmCore
package import RhythmEngine
import Testing

/// A kind of runner, and one place in which runners of that kind work one after the other.
///
/// Its runners have the tasks of ``ContractTask``, a queue `narrow` that runs one attempt at once, a queue `pair` that
/// runs two, and room for eight in every other.
package protocol RunnerPlace: Sendable {
    /// A runner that works here. A second one, made after the first was stopped, stands for the server after a restart.
    func makeRunner() throws -> any TaskRunner
    /// Where the tasks leave their marks and look for their gates.
    var marks: RunnerMarks { get }
    /// Attempts go on while no runner is there.
    var attemptsOutliveRunners: Bool { get }
    /// Arguments are handed to tasks as the text they are; otherwise numbers become those of the tasks' language.
    var keepsNumbers: Bool { get }
    /// Queues belong to somebody else: an attempt is in one when the runner has reported that it is.
    var queuesAreElsewhere: Bool { get }
}

extension RunnerPlace {
    package var keepsNumbers: Bool { true }
    package var queuesAreElsewhere: Bool { false }
}

/// What the tasks of the contract do. All but `echo` first leave a mark.
package enum ContractTask: String, CaseIterable, Sendable {
    /// Returns an array whose one element is the invocation: workflow_id, step, app_id, task_id, task, attempt, args,
    /// kwargs.
    case echo
    /// Returns nothing.
    case pass
    /// Fails.
    case fail
    /// Returns `{"a":1}`.
    case object
    /// Waits until its gate opens, then returns `["held"]`. Ends when it is told to.
    case hold
    /// Waits until its gate opens or it is told to stop, and in both cases returns `["anyway"]`.
    case stubborn
    /// Reports progress 1, 2 and 3 of 3 `units`, then returns `[]`.
    case count
    /// Takes 50 ms, leaves another mark, and returns nothing.
    case brief
}

/// The rules that every ``TaskRunner`` keeps; one function for each of them.
package struct RunnerContract: Sendable {
    package let place: any RunnerPlace

    package init(_ place: any RunnerPlace) { self.place = place }

    /// A started runner with its reports.
    func begin(outstanding: [Effect] = []) throws -> RunnerUnderTest {
        let runner = RunnerUnderTest(try place.makeRunner())
        runner.start(outstanding)
        return runner
    }

    func dispatch(
        _ task: ContractTask, id: TaskID = .random(), queue: String? = nil, priority: Int = 0, args: JSON = .emptyArray,
        kwargs: JSON = .emptyObject
    ) -> Dispatch {
        Dispatch(
            taskID: id, workflowID: "w-1", appID: "app", step: "only", task: task.rawValue, queue: queue,
            priority: priority, args: args, kwargs: kwargs)
    }
}

// MARK: Ends

extension RunnerContract {
    /// The task gets its whole invocation, and what it returns arrives unchanged.
    package func returnsItsResult() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let args = try JSON(parsing: #"[\#(place.keepsNumbers ? "12345678901234567890" : "123"), "grüße"]"#)
        let number = place.keepsNumbers ? "1.50" : "1.5"
        let kwargs = try JSON(parsing: #"{"a": \#(number), "step": "not this one"}"#)
        let dispatch = dispatch(.echo, args: args, kwargs: kwargs)
        runner.perform([.dispatch(dispatch)])
        guard case .succeeded(let result?, _) = try await runner.end(of: dispatch.taskID) else {
            Issue.record("no result: \(runner.reports(of: dispatch.taskID))")
            return
        }
        let seen = try #require(result.value.arrayValue?.first)
        #expect(seen["workflow_id"] == .string("w-1"))
        #expect(seen["step"] == .string("only"))
        #expect(seen["app_id"] == .string("app"))
        #expect(seen["task_id"] == .string(dispatch.taskID.rawValue))
        #expect(seen["task"] == .string("echo"))
        #expect(seen["attempt"]?.intValue == 1)
        #expect(seen["args"] == args.value)
        #expect(seen["kwargs"]?["a"] == .number(number))
        #expect(seen["kwargs"]?["step"] == .string("only"), "what the runner injects wins")
        #expect(seen["kwargs"]?["workflow_id"] == .string("w-1"))
        #expect(seen["kwargs"]?["app_id"] == .string("app"))
        let workflows = Set(runner.all.map(\.workflowID))
        #expect(workflows == ["w-1"])
    }

    /// A task that returns nothing succeeds without a result.
    package func passesOnWithoutResult() async throws {
        try await expectEnd(of: .pass) { $0.isSuccess(nil) }
    }

    /// A task that fails is reported to have failed, with a type to tell failures apart by.
    package func reportsFailure() async throws {
        try await expectEnd(of: .fail) { end in
            guard case .failed(let failure, _) = end else { return false }
            return !failure.type.isEmpty && !failure.message.isEmpty && failure.isRetriable
        }
    }

    /// Whether a result is acceptable is for the engine to say.
    package func handsOverWhatIsNoArray() async throws {
        try await expectEnd(of: .object) { end in
            // Every language sets its own spaces.
            if case .succeeded(let result?, _) = end {
                result.value == .object([.init("a", .number("1"))])
            } else {
                false
            }
        }
    }

    /// A task that does not exist fails, and repeating it would not help.
    package func failsUnknownTasks() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let id = TaskID.random()
        runner.perform([.dispatch(Dispatch(taskID: id, workflowID: "w-1", step: "only", task: "no-such-task"))])
        guard case .failed(let failure, _) = try await runner.end(of: id) else {
            Issue.record("not failed: \(runner.reports(of: id))")
            return
        }
        #expect(failure.type == "TaskNotFound")
        #expect(!failure.isRetriable)
    }

    /// Progress arrives, and the last report is not lost.
    package func reportsProgress() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let dispatch = dispatch(.count)
        runner.perform([.dispatch(dispatch)])
        try await runner.expectSuccess(of: dispatch.taskID, "[]")
        let progress = runner.reports(of: dispatch.taskID).compactMap { observation -> ProgressReport? in
            if case .progress(let report) = observation { report } else { nil }
        }
        let last = try #require(progress.last)
        #expect(last.done == 3 && last.total == 3 && last.units == "units" && last.name == "counting")
        #expect(progress.map(\.done) == progress.map(\.done).sorted())
    }

    /// What the runner dates itself it dates by the engine's clock, however the machine's is set.
    package func datesByTheEnginesClock() async throws {
        let runner = RunnerUnderTest(try place.makeRunner())
        defer { runner.stop() }
        let begun = Timestamp.wallClock
        runner.runner.keepTime { Timestamp.wallClock + .seconds(3600) }
        runner.start([])
        let dispatch = dispatch(.count)
        runner.perform([.dispatch(dispatch)])
        try await runner.expectSuccess(of: dispatch.taskID, "[]")
        let times = runner.reports(of: dispatch.taskID).compactMap { observation -> Timestamp? in
            switch observation {
            case .queued(let at): at
            case .progress(let report): report.at
            // Where attempts run elsewhere, whoever ran it may say when it began, and says when it ended.
            case .started(let at, _), .succeeded(_, let at): place.queuesAreElsewhere ? nil : at
            default: nil
            }
        }
        #expect(!times.isEmpty && times.allSatisfy { $0.since(begun) >= .seconds(3590) }, "\(times)")
    }

    private func expectEnd(
        of task: ContractTask, sourceLocation: SourceLocation = #_sourceLocation, is right: (Observation) -> Bool
    ) async throws {
        let runner = try begin()
        defer { runner.stop() }
        let dispatch = dispatch(task)
        runner.perform([.dispatch(dispatch)])
        let end = try await runner.end(of: dispatch.taskID)
        #expect(right(end), "\(end)", sourceLocation: sourceLocation)
        #expect(place.marks.runs(of: dispatch.taskID) == 1, sourceLocation: sourceLocation)
    }
}

// MARK: Once

extension RunnerContract {
    /// An attempt that is dispatched again, while it runs and after it ended, runs once; its end is told again.
    package func runsOnce() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let dispatch = dispatch(.hold)
        runner.perform([.dispatch(dispatch), .dispatch(dispatch)])
        try await place.marks.waitForRun(of: dispatch.taskID)
        runner.perform([.dispatch(dispatch)])
        place.marks.openGate(of: dispatch.taskID)
        try await runner.expectSuccess(of: dispatch.taskID, #"["held"]"#)
        runner.perform([.dispatch(dispatch)])
        try await runner.wait { $0.ends(of: dispatch.taskID).count > 1 }
        #expect(place.marks.runs(of: dispatch.taskID) == 1)
    }

    /// Many attempts, over several queues: each runs once and ends once.
    package func runsMany(_ count: Int) async throws {
        let runner = try begin()
        defer { runner.stop() }
        let all = (0..<count).map { number in
            dispatch(.pass, queue: ["narrow", "pair", "a", nil][number % 4], priority: number % 10)
        }
        for part in stride(from: 0, to: count, by: 7) {
            runner.perform(all[part..<min(count, part + 7)].map { .dispatch($0) })
        }
        // All reports at once: one look for each attempt would keep the runner's own threads from their work.
        func ends() -> [TaskID: [Observation]] {
            let ends = runner.all.filter(\.observation.isEnd)
            return Dictionary(grouping: ends, by: \.taskID).mapValues { $0.map(\.observation) }
        }
        try await runner.wait(seconds: 60) { _ in ends().count == count }
        let ended = ends()
        for dispatch in all {
            #expect(ended[dispatch.taskID]?.map { $0.isSuccess(nil) } == [true])
            #expect(place.marks.runs(of: dispatch.taskID) == 1)
        }
    }
}
