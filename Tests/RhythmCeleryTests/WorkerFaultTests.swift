import Glibc
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmStoreSQLite
import RhythmTesting
import Testing

/// Queues that are emptied, workers that give up what they run, that hang, and that take from one queue together.
@Suite(.serialized, .timeLimit(.minutes(5))) struct WorkerFaultTests {
    private static let shared = Task { try await CeleryWorld.make() }

    private func world() async throws -> CeleryWorld { try await Self.shared.value }

    /// An engine with a store of its own.
    private func withEngine(_ name: String, _ body: (CeleryWorld, EngineService) async throws -> Void) async throws {
        let world = try await world()
        let folder = try ProcessGuard.shared.get().makeFolder(name)
        let service = EngineService(
            store: try SQLiteStore(path: folder + "/flows.sqlite"),
            runner: try CeleryRunner(world.configuration(server: name), logger: CeleryWorld.logger))
        try await service.start()
        do { try await body(world, service) } catch {
            await service.stop()
            throw error
        }
        await service.stop()
    }

    private func start(_ service: EngineService, _ steps: [StepSpec]) async throws -> WorkflowID {
        let id = WorkflowID(RandomUUID.make())
        var spec = WorkflowSpec(name: "faulty", appID: "app", args: try JSON(parsing: "[1]"), steps: steps)
        spec.id = id
        _ = try await service.submit(.start(spec, requestID: ""))
        return id
    }

    /// Waits until the record of a workflow is as wanted.
    private func record(
        _ service: EngineService, _ id: WorkflowID, sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: (Workflow) -> Bool
    ) async throws -> Workflow {
        var found: Workflow?
        try await waitUntil(
            "the record is \(String(describing: found))", seconds: 60, sourceLocation: sourceLocation
        ) {
            found = try service.workflow(id)
            return found.map(condition) ?? false
        }
        return try #require(found, sourceLocation: sourceLocation)
    }

    private func isRunning(_ workflow: Workflow, attempt: Int) -> Bool {
        workflow.steps[0].attempts.count == attempt && workflow.steps[0].current?.status == .started
    }

    // MARK: Purged queues

    /// What is purged from a queue never begins; it is noticed. What a worker has taken is not disturbed.
    @Test func noticesAPurgedQueue() async throws {
        let world = try await world()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        // Late acknowledgement: nothing is prefetched, so what waits is in the queue.
        let worker = try await world.startWorker(
            .celery57, name: "purged", queues: ["purged"], settings: ["ACKS_LATE": "1"])
        let running = try dispatch("hold", queue: "purged")
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        let waiting = try (0..<3).map { _ in try dispatch("nothing", queue: "purged") }
        runner.perform(waiting.map { .dispatch($0) })
        try await runner.wait { runner in waiting.allSatisfy { runner.isQueued($0.taskID) } }
        try await world.broker.control(["purge_queue", "purged"])
        for dispatch in waiting {
            guard case .lost(let detail, _, _) = try await runner.end(of: dispatch.taskID) else {
                Issue.record("\(runner.ends(of: dispatch.taskID))")
                continue
            }
            #expect(detail.hasPrefix("no worker has begun it"), "\(detail)")
        }
        #expect(runner.ends(of: running.taskID).isEmpty)
        world.marks.openGate(of: running.taskID)
        try await runner.expectSuccess(of: running.taskID, #"["held"]"#)
        #expect(waiting.allSatisfy { world.marks.runs(of: $0.taskID) == 0 })
        try await worker.stop()
    }

    /// The engine sends them again under new ids, whatever the steps' retry says: nothing of them was done.
    @Test func sendsAgainWhatWasPurged() async throws {
        try await withEngine("purging") { world, service in
            let worker = try await world.startWorker(
                .celery52, name: "again", queues: ["again"], settings: ["ACKS_LATE": "1"])
            let busy = try await start(service, [StepSpec(name: "only", task: "hold", queue: "again")])
            let held = try await record(service, busy) { isRunning($0, attempt: 1) }
            let steps = ["first", "second"].map { StepSpec(name: $0, task: "forward", queue: "again") }
            var ids: [WorkflowID] = []
            for _ in 0..<3 { ids.append(try await start(service, steps)) }
            for id in ids { _ = try await record(service, id) { $0.steps[0].current?.queuedAt != nil } }
            try await world.broker.control(["purge_queue", "again"])
            for id in ids { _ = try await record(service, id) { $0.steps[0].attempts.count == 2 } }
            world.marks.openGate(of: try #require(held.steps[0].current).id)
            for id in ids {
                let workflow = try await record(service, id) { $0.status.isDone }
                #expect(workflow.status == .success && workflow.steps.map(\.attempts.count) == [2, 1], "\(workflow)")
                let purged = workflow.steps[0].attempts[0]
                #expect(purged.status == .failure && purged.superseded && purged.startedAt == nil, "\(purged)")
                #expect(purged.failure?.type == "WorkerLostError", "\(purged)")
                #expect(purged.failure?.message.hasPrefix("no worker has begun it") == true, "\(purged)")
                #expect(workflow.steps[0].attempts[1].retry == 0, "it does not count as a repetition")
                let runs = workflow.steps.map { $0.attempts.map { world.marks.runs(of: $0.id) } }
                #expect(runs == [[0, 1], [1]], "\(runs)")
            }
            let undisturbed = try await record(service, busy) { $0.status.isDone }
            #expect(undisturbed.status == .success && undisturbed.steps[0].attempts.count == 1)
            try await worker.stop()
        }
    }

    // MARK: Cold stops

    /// SIGQUIT makes a worker give up what it runs, after it has said goodbye as one does that finishes it. That is told,
    /// and noticed for what it is when a worker of its name is there again: then the step's retry runs it again.
    @Test(arguments: CeleryWorker.Version.allCases)
    func repeatsWhatAColdStopGaveUp(_ version: CeleryWorker.Version) async throws {
        let name = "cold-\(version)"
        try await withEngine(name) { world, service in
            let worker = try await world.startWorker(version, name: name, queues: [name])
            let retry = RetryPolicy(maxAttempts: 2, backoff: .milliseconds(10))
            let id = try await start(service, [StepSpec(name: "only", task: "hold", queue: name, retry: retry)])
            let running = try await record(service, id) { isRunning($0, attempt: 1) }
            let first = try #require(running.steps[0].current).id
            try await world.marks.waitForRun(of: first)
            try await worker.stopCold()
            let stopped = try await record(service, id) { $0.steps[0].attempts[0].waiting != nil }
            let reason = stopped.steps[0].attempts[0].waiting
            #expect(reason == "worker \(name)@localhost is shutting down and may be finishing it")
            let again = try await world.startWorker(version, name: name, queues: [name])
            let repeated = try await record(service, id) { isRunning($0, attempt: 2) }
            let second = try #require(repeated.steps[0].current).id
            world.marks.openGate(of: second)
            let done = try await record(service, id) { $0.status.isDone }
            let lost = done.steps[0].attempts[0]
            #expect(done.status == .success && done.steps[0].attempts.count == 2, "\(done)")
            #expect(lost.status == .failure && lost.failure?.type == "WorkerLostError", "\(lost)")
            // What such a worker leaves in the document.
            let word = version == .celery52 ? "STARTED" : "RETRY"
            #expect(lost.failure?.message.hasPrefix("its document says \(word)") == true, "\(lost)")
            #expect(world.marks.runs(of: first) == 1 && world.marks.runs(of: second) == 1)
            try await again.stop()
        }
    }

    // MARK: Hanging workers

    /// A worker that hangs is waited for as long as the broker keeps its connection, also beyond the time after which a
    /// worker without one counts as dead.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func waitsForAHangingWorker(_ version: CeleryWorker.Version) async throws {
        let world = try await world()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let name = "hanging-\(version)"
        let worker = try await world.startWorker(version, name: name, queues: [name])
        let running = try dispatch("hold", queue: name)
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        worker.suspend()
        defer { worker.resume() }
        let suspended = ContinuousClock.now
        try await runner.wait { _ in
            waits(runner, running.taskID).last == "worker \(name)@localhost does not answer"
        }
        let times = world.configuration().times
        let patience = times.workerLost + times.lost + .seconds(4)
        try await waitUntil("time stands still", seconds: 60) {
            #expect(runner.ends(of: running.taskID).isEmpty)
            return !runner.ends(of: running.taskID).isEmpty || ContinuousClock.now - suspended > patience
        }
        #expect(waits(runner, running.taskID).last == "worker \(name)@localhost does not answer")
        worker.resume()
        world.marks.openGate(of: running.taskID)
        try await runner.expectSuccess(of: running.taskID, #"["held"]"#)
        #expect(world.marks.runs(of: running.taskID) == 1)
        try await worker.stop()
    }

    /// One with a single process that is busy since before the server began, and gives no sign of life, is known by nothing
    /// but its consumer. What it may have is neither lost nor stopped.
    @Test func waitsForAWorkerThatNobodyHasHeardOf() async throws {
        let world = try await world()
        let worker = try await world.startWorker(
            .celery57, name: "unheard", queues: ["unheard"], settings: ["TRACK_STARTED": "0", "RESULT_EXTENDED": "0"],
            arguments: ["--pool", "solo", "--without-heartbeat", "--without-mingle", "--without-gossip"])
        let first = try world.runner()
        first.start([])
        let running = try dispatch("hold", queue: "unheard")
        first.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        first.stop()

        let runner = try world.runner { $0.serverID = "unheard" }
        var again = running
        again.isRepeated = true
        again.queuedAt = .wallClock
        runner.start([.dispatch(again)])
        defer { runner.stop() }
        let reason = "an unknown worker of queue unheard does not answer"
        try await runner.wait { _ in waits(runner, running.taskID).last == reason }
        runner.perform([.revoke(running.taskID, of: "w-1", queue: "unheard")])
        try await runner.wait { _ in waits(runner, running.taskID).last == "it is being stopped: " + reason }
        #expect(runner.ends(of: running.taskID).isEmpty, "\(runner.ends(of: running.taskID))")
        world.marks.openGate(of: running.taskID)
        try await runner.expectSuccess(of: running.taskID, #"["held"]"#)
        #expect(world.marks.runs(of: running.taskID) == 1)
        try await worker.stop()
    }

    /// One that hangs for so long that the broker closes its connection counts as dead after `workerLost`: another runs
    /// its step. When it wakes up it finishes what it had; that changes nothing any more.
    @Test func givesUpAHangingWorkerWithoutConnection() async throws {
        try await withEngine("hung") { world, service in
            let worker = try await world.startWorker(
                .celery57, name: "hung", queues: ["hung"], settings: ["SETTINGS": #"{"broker_heartbeat": 2}"#])
            let retry = RetryPolicy(maxAttempts: 2, backoff: .milliseconds(10))
            let steps = [
                StepSpec(name: "held", task: "hold", queue: "hung", retry: retry),
                StepSpec(name: "last", task: "forward", queue: "hung"),
            ]
            let id = try await start(service, steps)
            let running = try await record(service, id) { isRunning($0, attempt: 1) }
            let first = try #require(running.steps[0].current).id
            try await world.marks.waitForRun(of: first)
            worker.suspend()
            defer { worker.resume() }
            let suspended = ContinuousClock.now
            let other = try await world.startWorker(.celery57, name: "other", queues: ["hung"])
            let silent = try await record(service, id) { $0.steps[0].attempts[0].waiting != nil }
            #expect(silent.steps[0].attempts[0].waiting == "worker hung@localhost does not answer")
            let repeated = try await record(service, id) { isRunning($0, attempt: 2) }
            #expect(ContinuousClock.now - suspended >= world.configuration().times.workerLost)
            let second = try #require(repeated.steps[0].current).id
            world.marks.openGate(of: second)
            let done = try await record(service, id) { $0.status.isDone }
            #expect(done.status == .success && done.steps.map(\.attempts.count) == [2, 1], "\(done)")
            let lost = done.steps[0].attempts[0]
            #expect(lost.failure?.type == "WorkerLostError", "\(lost)")
            #expect(lost.failure?.message.contains("last run by hung@localhost") == true, "\(lost)")

            worker.resume()
            world.marks.openGate(of: first)
            let pool = try world.pool()
            try await waitUntil("it does not finish: \(worker.log)", seconds: 60) {
                try pool.findOne("celery_taskmeta", filter: ["_id": .string(first.rawValue)])?["status"] == "SUCCESS"
            }
            #expect(try service.workflow(id) == done)
            let runs = done.steps.map { $0.attempts.map { world.marks.runs(of: $0.id) } }
            #expect(runs == [[1, 1], [1]], "\(runs)")
            try await worker.stop()
            try await other.stop()
        }
    }

    // MARK: Several workers

    /// Workers of two versions take from one queue: each attempt runs once, in one of them.
    @Test func twoVersionsShareAQueue() async throws {
        let world = try await world()
        async let old = world.startWorker(.celery52, name: "race52", queues: ["race"], concurrency: 2)
        async let new = world.startWorker(.celery57, name: "race57", queues: ["race"], concurrency: 2)
        let workers = try await [old, new]
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let all = try (0..<60).map {
            try dispatch("sleep", queue: "race", priority: $0 % 10, kwargs: #"{"seconds": 0.02}"#)
        }
        runner.perform(all.map { .dispatch($0) })
        try await runner.wait { runner in all.allSatisfy { !runner.ends(of: $0.taskID).isEmpty } }
        var names: Set<String> = []
        for dispatch in all {
            let successes = runner.ends(of: dispatch.taskID).map { $0.isSuccess("[null]") }
            #expect(successes == [true], "\(runner.ends(of: dispatch.taskID))")
            #expect(world.marks.runs(of: dispatch.taskID) == 1)
            for report in runner.reports(of: dispatch.taskID) {
                switch report {
                case .started(_, let worker), .ran(let worker): names.insert(worker)
                default: break
                }
            }
        }
        #expect(names == ["race52@localhost", "race57@localhost"])
        for worker in workers { try await worker.stop() }
    }
}
