import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmStoreSQLite
import RhythmTesting
import Testing

/// Attempts of which nobody tells: what was done is not done again for that, and what only waits is not given up.
@Suite(.serialized, .timeLimit(.minutes(5))) struct LossTests {
    private static let shared = Task { try await CeleryWorld.make() }

    private func withEngine(
        _ name: String, _ change: (inout CeleryConfiguration) -> Void = { _ in },
        _ body: (CeleryWorld, EngineService) async throws -> Void
    ) async throws {
        let world = try await Self.shared.value
        let folder = try ProcessGuard.shared.get().makeFolder(name)
        var configuration = world.configuration(server: name)
        change(&configuration)
        let service = EngineService(
            store: try SQLiteStore(path: folder + "/flows.sqlite"),
            runner: try CeleryRunner(configuration, logger: CeleryWorld.logger))
        try await service.start()
        do { try await body(world, service) } catch {
            await service.stop()
            throw error
        }
        await service.stop()
    }

    private func start(
        _ service: EngineService, _ task: String, queue: String, kwargs: String = "{}"
    ) async throws -> WorkflowID {
        let id = WorkflowID(RandomUUID.make())
        let step = StepSpec(name: "only", task: task, queue: queue, kwargs: try JSON(parsing: kwargs))
        var spec = WorkflowSpec(name: "loss", appID: "app", args: try JSON(parsing: "[1]"), steps: [step])
        spec.id = id
        _ = try await service.submit(.start(spec, requestID: ""))
        return id
    }

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

    private func runs(_ world: CeleryWorld, _ workflow: Workflow) -> [Int] {
        workflow.steps[0].attempts.map { world.marks.runs(of: $0.id) }
    }

    /// The worker stores its results in a collection that the server is told not to look for. A step that is seen to run and to end fails as one without a
    /// result; of one that is over before anybody looks nobody can say whether it ran. Neither runs twice.
    @Test func resultsThatAreElsewhere() async throws {
        try await withEngine("elsewhere", { $0.learnsResultsCollection = false }) { world, service in
            let settings = #"{"mongodb_backend_settings": {"taskmeta_collection": "elsewhere"}}"#
            let worker = try await world.startWorker(
                .celery57, name: "elsewhere", queues: ["elsewhere"], settings: ["SETTINGS": settings])
            let long = try await start(service, "sleep", queue: "elsewhere", kwargs: #"{"seconds": 8}"#)
            let running = try await record(service, long) { $0.steps[0].current?.status == .started }
            #expect(running.steps[0].current?.worker == "elsewhere@localhost")
            let ended = try await record(service, long) { $0.status.isDone }
            let failure = try #require(ended.steps[0].current?.failure)
            #expect(failure.type == "ResultMissing" && failure.isRetriable, "\(failure)")
            #expect(
                failure.message.hasPrefix(
                    "worker elsewhere@localhost says that it succeeded, but there is no document of it in "
                        + "celery.celery_taskmeta of mongodb://127.0.0.1"), "\(failure)")
            #expect(failure.message.contains("taskmeta_collection"))
            #expect(runs(world, ended) == [1])

            let short = try await start(service, "forward", queue: "elsewhere")
            let lost = try await record(service, short) { $0.status.isDone }
            #expect(lost.status == .failure && runs(world, lost) == [1], "\(lost)")
            try await worker.stop()
        }
    }

    /// Neither documents (`track_started`) nor events tell of its begin: the worker does when it is asked what runs. When
    /// that dies, its step fails, as one that had begun.
    @Test func aBeginThatNobodyTells() async throws {
        try await withEngine("untold", { $0.taskEvents = .never }) { world, service in
            let silent = ["TRACK_STARTED": "0"]
            let worker = try await world.startWorker(.celery52, name: "untold", queues: ["untold"], settings: silent)
            let id = try await start(service, "hold", queue: "untold")
            let running = try await record(service, id) { $0.steps[0].current?.status == .started }
            #expect(running.steps[0].current?.worker == "untold@localhost")
            try await worker.kill()
            let other = try await world.startWorker(.celery57, name: "other", queues: ["untold"], settings: silent)
            let lost = try await record(service, id) { $0.status.isDone }
            let failure = try #require(lost.steps[0].current?.failure)
            #expect(failure.type == "WorkerLostError", "\(failure)")
            #expect(failure.message.hasPrefix("worker untold@localhost had begun it"), "\(failure)")
            #expect(runs(world, lost) == [1], "\(lost)")
            try await other.stop()
        }
    }

    /// What a worker has taken and may not begin yet is in no answer to remote control; it waits and says why.
    @Test func aRateLimit() async throws {
        try await withEngine("limited") { world, service in
            let settings = #"{"task_annotations": {"forward": {"rate_limit": "8/m"}}}"#
            let worker = try await world.startWorker(
                .celery57, name: "limited", queues: ["limited"], settings: ["PREFETCH": "4", "SETTINGS": settings])
            var ids: [WorkflowID] = []
            for _ in 0..<3 { ids.append(try await start(service, "forward", queue: "limited")) }
            let waiting = try await record(service, ids[2]) {
                $0.steps[0].current?.waiting?.contains("rate_limit") == true
            }
            #expect(
                waiting.steps[0].current?.waiting
                    == "worker limited@localhost begins forward only 8/m (rate_limit), and keeps it until its turn comes"
            )
            for id in ids {
                let done = try await record(service, id) { $0.status.isDone }
                #expect(done.status == .success && runs(world, done) == [1], "\(done)")
            }
            try await worker.stop()
        }
    }

    /// With quorum queues RabbitMQ keeps what Celery delays, in queues of its own, where no worker sees it.
    @Test func aDelayThatTheBrokerKeeps() async throws {
        try await withEngine("delayed") { world, service in
            let settings = #"{"task_default_exchange_type": "topic", "worker_detect_quorum_queues": true}"#
            let worker = try await world.startWorker(
                .celery57, name: "delayed", queues: ["celery"],
                settings: ["QUEUE_TYPE": "quorum", "MAX_PRIORITY": "", "SETTINGS": settings])
            let id = try await start(service, "retry_twice", queue: "celery", kwargs: #"{"countdown": 9}"#)
            let waiting = try await record(service, id) { $0.steps[0].current?.waiting != nil }
            let reason = try #require(waiting.steps[0].current?.waiting)
            #expect(reason.contains("RabbitMQ delays for Celery"), "\(reason)")
            let done = try await record(service, id) { $0.status.isDone }
            #expect(done.status == .success && done.steps[0].attempts.count == 1, "\(done)")
            #expect(runs(world, done) == [3])
            try await worker.stop()
        }
    }

    /// A broker gives what was not acknowledged to another worker: the record names that one from then on.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func anAttemptThatMoves(_ version: CeleryWorker.Version) async throws {
        let name = "moves-\(version)"
        try await withEngine(name) { world, service in
            let late = ["ACKS_LATE": "1", "REJECT_ON_WORKER_LOST": "1"]
            let first = try await world.startWorker(version, name: name + "-1", queues: [name], settings: late)
            let id = try await start(service, "hold", queue: name)
            let running = try await record(service, id) { $0.steps[0].current?.status == .started }
            #expect(running.steps[0].current?.worker == name + "-1@localhost")
            let second = try await world.startWorker(version, name: name + "-2", queues: [name], settings: late)
            try await first.kill()
            let moved = try await record(service, id) { $0.steps[0].current?.worker == name + "-2@localhost" }
            #expect(moved.steps[0].attempts.count == 1 && moved.steps[0].current?.status == .started)
            world.marks.openGate(of: try #require(moved.steps[0].current).id)
            let done = try await record(service, id) { $0.status.isDone }
            #expect(done.status == .success && runs(world, done) == [2], "\(done)")
            try await second.stop()
        }
    }

    /// What has not begun waits for no dead worker: the broker has taken its message back.
    @Test func whatNeverBeganWaitsForNobody() async throws {
        try await withEngine("dead", { $0.times.workerLost = .seconds(3600) }) { world, service in
            let worker = try await world.startWorker(.celery57, name: "dead", queues: ["dead"])
            // Long enough for the worker to have told its tasks, whatever else this machine does.
            let first = try await start(service, "sleep", queue: "dead", kwargs: #"{"seconds": 6}"#)
            _ = try await record(service, first) { $0.status == .success }
            try await worker.kill()
            let id = try await start(service, "forward", queue: "dead")
            _ = try await record(service, id) { $0.steps[0].current?.queuedAt != nil }
            _ = try await service.submit(.cancel(id, CommandOptions()))
            let cancelled = try await record(service, id) { $0.isQuiesced }
            #expect(cancelled.steps[0].current?.status == .revoked && cancelled.isCancelled)
            #expect(runs(world, cancelled) == [0])
        }
    }

    /// Something that may run is waited for, unless somebody says that it need not be; then it never begins any more.
    @Test func deletingByForce() async throws {
        try await withEngine("forced", { $0.times.workerLost = .seconds(3600) }) { world, service in
            let worker = try await world.startWorker(.celery57, name: "forced", queues: ["forced"])
            let id = try await start(service, "hold", queue: "forced")
            let running = try await record(service, id) { $0.steps[0].current?.status == .started }
            try await worker.kill()
            guard case .deleted(false) = try await service.submit(.delete(id, cancelFirst: true)) else {
                Issue.record("its worker is silent: it may run")
                return
            }
            guard case .deleted(true) = try await service.submit(.delete(id, cancelFirst: true, force: true)) else {
                Issue.record("not deleted")
                return
            }
            #expect(try service.workflow(id) == nil)
            let pool = try world.pool()
            let first = try #require(running.steps[0].current).id
            try await waitUntil("it is not kept from beginning", seconds: 10) {
                try pool.findOne("rhythm_revoked", filter: ["_id": .string(first.rawValue)]) != nil
            }
        }
    }
}
