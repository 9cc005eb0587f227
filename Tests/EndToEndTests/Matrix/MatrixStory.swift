import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// The main story in one combination, part by part. What goes wrong in one part does not keep the next from being tried.
/// In the end a judge reads the record. Used by one task.
final class MatrixStory {
    /// A part did not go as it should.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    static let queue = "story"
    static let lostAfter = 6

    let combination: Combination
    let world: MatrixWorld
    let place: TestPlace
    let client: RhythmClient
    let clerk: Clerk
    let marks: RunnerMarks
    var outcome: MatrixOutcome
    /// What was started, by the name in the record.
    var workflows: [(name: String, id: WorkflowID)] = []
    /// Those of parts that went wrong: their tasks wait for nothing any more, or a worker with one place would hold up
    /// all parts that follow.
    private var givenUp: Set<String> = []

    private init(
        _ combination: Combination, _ world: MatrixWorld, _ place: TestPlace, _ client: RhythmClient,
        _ marks: RunnerMarks
    ) {
        self.combination = combination
        self.world = world
        self.place = place
        self.client = client
        self.marks = marks
        clerk = Clerk(marks.record)
        outcome = MatrixOutcome(combination: combination)
    }

    /// The database of the results, and of the workflows where those are in MongoDB.
    static func database(_ combination: Combination) -> String { combination.host }

    static func run(_ combination: Combination, _ world: MatrixWorld) async throws -> MatrixOutcome {
        let began = ContinuousClock.now
        var outcome = try await TestPlace.with { place -> MatrixOutcome in
            let database = world.mongo.address(database(combination))
            var environment = [
                "RHYTHM_BROKER": world.brokerAddress(combination.host), "RHYTHM_RESULTS": database,
                "RHYTHM_WORKER_LOST_AFTER": "\(lostAfter)", "RHYTHM_DEFAULT_QUEUE": queue,
            ]
            if combination.isOnMongo { environment["RHYTHM_STORE"] = database }
            let marks = try CeleryWorld.makeMarks(combination.host)
            let server = ServerProcess(place, environment: environment)
            do {
                async let first = MatrixWorkers.start(combination, world, "first", marks)
                async let other = MatrixWorkers.startOther(combination, world)
                try await server.start()
                let story = MatrixStory(combination, world, place, try server.client(), marks)
                let (worker, stranger) = try await (first, other)
                await story.tell(worker)
                withExtendedLifetime(stranger) {}
                if !story.outcome.isRight { story.show(server, worker) }
                return story.outcome
            } catch {
                var outcome = MatrixOutcome(combination: combination)
                outcome.wrong = ["it cannot be tried: \(error)"]
                return outcome
            }
        }
        outcome.seconds = began.duration(to: .now) / .seconds(1)
        return outcome
    }

    private func tell(_ worker: CeleryWorker) async {
        if combination.isRateLimited { await part("rate limit begins") { try await startRateLimited() } }
        await part("start, progress, pause, resume") { try await pauseAndResume() }
        await part("retry") { try await retry() }
        await part("failure") { try await failure() }
        if combination.isOnMongo { await part("library's failed one") { try await resumeOfLibrary() } }
        if combination.isRateLimited { await part("rate limit") { try await awaitRateLimited() } }
        await part("doctor") { try await doctor() }
        await part("loss of a worker") { try await loss(worker) }
        await part("verdict") { try await judge() }
    }

    private func part(_ name: String, _ body: () async throws -> Void) async {
        do {
            try await body()
            outcome.right.append(name)
        } catch {
            outcome.wrong.append("\(name): \(error)")
            givenUp.formUnion(workflows.map(\.name))
        }
    }

    private func openGatesOfWhatIsGivenUp() {
        guard !givenUp.isEmpty else { return }
        let record = RunRecord(clerk.book.text)
        for run in givenUp.flatMap({ record.runs(of: $0) }) where run.end == nil { openGate(run) }
    }

    /// All that was promised is read once more, and the record is judged.
    private func judge() async throws {
        for (name, id) in workflows { clerk.tellStatus(name, try await client.status(id, previousAttempts: true)) }
        let verdict = Judge().verdict(on: clerk.book.text)
        outcome.explained = verdict.explained
        outcome.wrong += verdict.violations
        if !verdict.violations.isEmpty { throw Trouble(description: verdict.summary) }
    }

    private func show(_ server: ServerProcess, _ worker: CeleryWorker) {
        let lines = server.logText.split(separator: "\n").suffix(60).joined(separator: "\n")
        print(
            """
            ---- #\(combination.number) rhythmd
            \(lines)
            ---- #\(combination.number) first worker
            \(worker.log)
            ---- #\(combination.number) record
            \(clerk.book.text)
            """)
    }
}

// MARK: Tools of the parts

extension MatrixStory {
    func start(_ name: String, _ steps: [StepSpec], args: String = "[1]") async throws -> WorkflowID {
        let spec = try Self.spec(name, steps, args: args)
        clerk.askStart(name, spec)
        let started = try await client.start(spec, requestID: name)
        clerk.tell(name, "start", started.workflow)
        workflows.append((name, started.workflow.id))
        return started.workflow.id
    }

    static func spec(_ name: String, _ steps: [StepSpec], args: String = "[1]") throws -> WorkflowSpec {
        WorkflowSpec(name: name, appID: "matrix", args: try JSON(parsing: args), steps: steps).recorded(as: name)
    }

    static func step(
        _ name: String, _ task: String, _ kwargs: String = "{}", attempts: Int? = nil
    ) throws -> StepSpec {
        StepSpec(
            name: name, task: task, queue: queue, kwargs: try JSON(parsing: kwargs),
            retry: attempts.map { RetryPolicy(maxAttempts: $0, backoff: .milliseconds(200)) })
    }

    /// Waits, and says in an error what did not come.
    func until(_ what: @autoclosure () -> String, seconds: Double, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try await !condition() {
            guard ContinuousClock.now < deadline else {
                throw Trouble(description: "after \(Int(seconds)) s: \(what())")
            }
            openGatesOfWhatIsGivenUp()
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Waits until the record of a workflow is as wanted, and returns it.
    @discardableResult
    func wait(
        _ what: String, _ id: WorkflowID, seconds: Double = 45, _ condition: (Workflow) throws -> Bool
    ) async throws -> Workflow {
        var workflow = try await client.status(id, previousAttempts: true)
        try await until("not \(what): \(Self.shown(workflow))", seconds: seconds) {
            workflow = try await client.status(id, previousAttempts: true)
            return try condition(workflow)
        }
        return workflow
    }

    /// The last run of a step, as its task wrote it down.
    func run(of name: String, _ step: String) -> RunRecord.Run? {
        RunRecord(clerk.book.text).runs(of: name).last { $0.step == step }
    }

    func openGate(_ run: RunRecord.Run) { marks.openGate(of: TaskID(run.id)) }

    func demand(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw Trouble(description: what()) }
    }

    static func shown(_ workflow: Workflow) -> String {
        let steps = workflow.steps.map { step in
            let attempts = step.attempts.map { attempt in
                "\(attempt.id) \(attempt.status.rawValue)"
                    + (attempt.failure.map { " \($0.type): \($0.message)" } ?? "")
                    + (attempt.waiting.map { " (\($0))" } ?? "")
            }
            return "\(step.spec.name) [\(attempts.joined(separator: "; "))]"
        }
        return "\(workflow.status.rawValue) \(steps.joined(separator: " "))"
    }
}
