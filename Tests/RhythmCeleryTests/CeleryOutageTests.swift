import Glibc
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmStoreSQLite
import RhythmTesting
import Synchronization
import Testing

/// How soon the runner knows, and what it does while the broker or the database is away. One worker for all of it.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryOutageTests {
    private static let shared = Task {
        let world = try await CeleryWorld.make(.replicaSet)
        let worker = try await world.startWorker(.celery57, name: "steady", queues: ["steady"])
        world.keep([worker])
        return (world, worker)
    }

    private func world() async throws -> CeleryWorld { try await Self.shared.value.0 }

    // MARK: How soon it is known

    /// Whoever watches a workflow knows of progress within a second where the documents are only read now and then, and
    /// within a tenth of one where the database tells of changes. The task reports what time it is.
    @Test(arguments: [false, true]) func tellsOfProgressInTime(_ hasChangeStream: Bool) async throws {
        let world = try await world()
        var configuration = world.configuration(server: "watched")
        configuration.taskEvents = .never
        configuration.usesChangeStream = hasChangeStream
        let folder = try ProcessGuard.shared.get().makeFolder("watched")
        let service = EngineService(
            store: try SQLiteStore(path: folder + "/flows.sqlite"),
            runner: try CeleryRunner(configuration, logger: CeleryWorld.logger))
        let seen = Mutex<[(reported: Double, at: Double)]>([])
        service.observe { news in
            let at = Double(Timestamp.wallClock.microseconds) / 1e6
            seen.withLock { $0 += news.progress.map { (reported: $0.progress.done, at: at) } }
        }
        try await service.start()
        var spec = WorkflowSpec(
            name: "watched", appID: "app", steps: [StepSpec(name: "only", task: "clock", queue: "steady")])
        spec.id = WorkflowID(RandomUUID.make())
        _ = try await service.submit(.start(spec, requestID: ""))
        try await waitUntil("it does not end", seconds: 60) { service.active(spec.id ?? "") == nil }
        let workflow = try #require(try service.workflow(spec.id ?? ""))
        await service.stop()
        let result = try #require(workflow.steps.first?.current?.result?.value.arrayValue?.first?.arrayValue)
        // How long until that, or anything later, was known.
        let delays = try result.map { value in
            let reported = try #require(value.doubleValue)
            let first = try #require(seen.withLock { $0.first { $0.reported >= reported } })
            return first.at - reported
        }.sorted()
        print("progress is known after \(delays[10]) s, at most \(delays[19]) s")
        #expect(delays.count == 20)
        #expect(delays[19] < 1.5, "\(delays)")
        // So long after its begin it is read twice a second at most: that alone does not do.
        #expect((delays[10] < 0.1) == hasChangeStream, "\(delays)")
    }

    /// From the dispatch to the end of a task that does nothing, with each way to hear of it.
    @Test(arguments: ["polling", "events", "changes"]) func isQuick(_ way: String) async throws {
        let world = try await world()
        let runner = try world.runner {
            $0.taskEvents = way == "events" ? .always : .never
            $0.usesChangeStream = way == "changes"
            $0.plainTasks = ["echo"]
        }
        runner.start([])
        defer { runner.stop() }
        var times: [Double] = []
        for _ in 0..<30 {
            let quick = try dispatch("echo", queue: "steady")
            let begun = ContinuousClock.now
            runner.perform([.dispatch(quick)])
            _ = try await runner.end(of: quick.taskID)
            times.append(Double((ContinuousClock.now - begun).wholeMicroseconds) / 1000)
            runner.perform([.settle(quick.taskID)])
        }
        times.sort()
        print("\(way): a task that does nothing takes \(times[15]) ms, at most \(times[29]) ms")
        // Benchmarks say how quick; this says only that nobody waits for the looks at long steps.
        #expect(times[15] < 1_000)
    }

    // MARK: Outages

    @Test func outlivesItsBroker() async throws {
        let (world, worker) = try await Self.shared.value
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let running = try dispatch("hold", queue: "steady")
        let waiting = try dispatch("nothing", queue: "steady")
        runner.perform([.dispatch(running), .dispatch(waiting)])
        try await world.marks.waitForRun(of: running.taskID)
        try await runner.wait { $0.isQueued(waiting.taskID) }
        // Celery itself runs a task again that the broker does not know to be taken, and begins one that it holds
        // until it has noticed that the broker is away.
        try await waitUntil("the worker has not said that it took the first", seconds: 60) {
            let queues = try await world.broker.control(["list_queues", "name", "messages_unacknowledged"])
            return queues.split(separator: "\n").contains { $0.split(separator: "\t") == ["steady", "1"] }
        }
        try await world.broker.stop()
        try await waitUntil("the worker does not notice", seconds: 60) {
            worker.log.contains("Connection to broker lost")
        }
        let meanwhile = try dispatch("nothing", queue: "steady")
        runner.perform([.dispatch(meanwhile)])
        world.marks.openGate(of: running.taskID)
        try await runner.expectSuccess(of: running.taskID, #"["held"]"#)
        try await world.broker.start()
        for dispatch in [waiting, meanwhile] {
            try await runner.expectSuccess(of: dispatch.taskID, nil)
            #expect(world.marks.runs(of: dispatch.taskID) == 1)
        }
        #expect(world.marks.runs(of: running.taskID) == 1)
    }

    /// What another server may have replaced is not sent before it is known to be wanted still. What it has replaced is let
    /// go of in between.
    @Test func sendsNothingThatMayBeAnothersToRun() async throws {
        let world = try await world()
        let runner = try world.runner { $0.plainTasks = ["nothing"] }
        let gate = Gate()
        runner.runner.ask { gate.opening }
        runner.start([])
        defer { runner.stop() }
        let replaced = try dispatch("nothing", queue: "steady")
        let wanted = try dispatch("nothing", queue: "steady")
        runner.perform([.dispatch(replaced), .dispatch(wanted)])
        try await waitUntil("it does not ask again and again", seconds: 30) { gate.asked >= 6 }
        #expect(!runner.isQueued(replaced.taskID) && !runner.isQueued(wanted.taskID))
        // The answer changes while the runner asks: it has not taken in yet what it was told a moment before.
        gate.open { runner.perform([.release(replaced.taskID)]) }
        _ = try await runner.end(of: wanted.taskID)
        #expect(world.marks.runs(of: wanted.taskID) == 1 && world.marks.runs(of: replaced.taskID) == 0)
        #expect(!runner.isQueued(replaced.taskID))
    }

    /// Something that says no until it is opened, and counts how often it was asked.
    private final class Gate: Sendable {
        private let state = Mutex((isOpen: false, asked: 0, before: nil as (@Sendable () -> Void)?))
        var asked: Int { state.withLock { $0.asked } }
        /// With the next question: does this, then says yes.
        func open(after last: @escaping @Sendable () -> Void) { state.withLock { $0.before = last } }
        var opening: Int? {
            state.withLock { state in
                state.asked += 1
                if let last = state.before.take() {
                    last()
                    state.isOpen = true
                }
                return state.isOpen ? 1 : nil
            }
        }
    }

    @Test func outlivesItsDatabase() async throws {
        let world = try await world()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let running = try dispatch("hold", queue: "steady")
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        world.mongo.kill()
        try await runner.wait { _ in
            waits(runner, running.taskID).contains { $0.contains("the results database does not answer") }
        }
        try world.mongo.start()
        world.marks.openGate(of: running.taskID)
        try await runner.expectSuccess(of: running.taskID, #"["held"]"#)
        #expect(waits(runner, running.taskID).last == "")
    }
}
