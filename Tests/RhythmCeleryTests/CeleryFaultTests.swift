import Glibc
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

/// Workers, brokers and databases that go away and come back.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryFaultTests {
    private static let shared = Task { try await CeleryWorld(.replicaSet) }

    private func world() async throws -> CeleryWorld { try await Self.shared.value }

    private func dispatch(
        _ task: String, queue: String, kwargs: String = "{}", isRepeated: Bool = false, queuedAt: Timestamp? = nil
    ) throws -> Dispatch {
        Dispatch(
            taskID: .random(), workflowID: "w-1", appID: "app", step: "only", task: task, queue: queue,
            args: .emptyArray, kwargs: try JSON(parsing: kwargs), isRepeated: isRepeated, queuedAt: queuedAt)
    }

    private func waits(_ runner: RunnerUnderTest, _ id: TaskID) -> [String] {
        runner.reports(of: id).compactMap { if case .waiting(let reason) = $0 { reason } else { nil } }
    }

    // MARK: Workers

    /// The queue is made by the first worker that listens to it; until then the attempt waits and says why.
    @Test func waitsForAMissingQueue() async throws {
        let world = try await world()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let first = try dispatch("hold", queue: "late")
        runner.perform([.dispatch(first)])
        try await runner.wait { _ in waits(runner, first.taskID).contains { $0.contains("queue late does not exist") } }
        let worker = try await world.startWorker(.celery57, name: "late", queues: ["late"])
        try await world.marks.waitForRun(of: first.taskID)
        #expect(waits(runner, first.taskID).last == "")
        world.marks.openGate(of: first.taskID)
        try await runner.expectSuccess(of: first.taskID, #"["held"]"#)

        // Now the queue is there and nobody listens.
        try await worker.stop()
        let second = try dispatch("nothing", queue: "late")
        let third = try dispatch("nothing", queue: "late")
        runner.perform([.dispatch(second), .dispatch(third)])
        try await runner.wait { _ in waits(runner, second.taskID).last == "no worker takes from queue late" }
        runner.perform([.revoke(second.taskID, of: "w-1")])
        try await runner.expectRevoked(of: second.taskID)
        runner.perform([.settle(second.taskID)])
        // Workers that start later are told, even by a server that has been restarted in between.
        runner.stop()
        let next = try world.runner()
        next.start([.dispatch(third)])
        defer { next.stop() }
        let again = try await world.startWorker(.celery57, name: "later", queues: ["late"])
        try await next.expectSuccess(of: third.taskID, nil)
        #expect(world.marks.runs(of: second.taskID) == 0)
        #expect(world.marks.runs(of: third.taskID) == 1)
        try await again.stop()
    }

    /// A worker that is gone takes what it ran with it; nobody but the server can notice.
    @Test func noticesADeadWorker() async throws {
        let world = try await world()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let worker = try await world.startWorker(.celery57, name: "doomed", queues: ["doomed"])
        let running = try dispatch("hold", queue: "doomed")
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        let begun = ContinuousClock.now
        try await worker.kill()
        guard case .lost(let detail, _) = try await runner.end(of: running.taskID) else {
            Issue.record("\(runner.ends(of: running.taskID))")
            return
        }
        #expect(detail.contains("STARTED") && detail.contains("doomed@localhost"), "\(detail)")
        #expect(ContinuousClock.now - begun >= .seconds(7), "it may only have been slow")
        #expect(waits(runner, running.taskID).contains { $0.contains("doomed@localhost does not answer") })
    }

    /// One that comes back under its name says itself that it does not have it.
    @Test func noticesARestartedWorker() async throws {
        let world = try await world()
        let runner = try world.runner { $0.times.workerLost = .seconds(3600) }
        runner.start([])
        defer { runner.stop() }
        let worker = try await world.startWorker(.celery52, name: "phoenix", queues: ["phoenix"])
        let running = try dispatch("hold", queue: "phoenix")
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        try await worker.kill()
        let again = try await world.startWorker(.celery52, name: "phoenix", queues: ["phoenix"])
        guard case .lost = try await runner.end(of: running.taskID) else {
            Issue.record("\(runner.ends(of: running.taskID))")
            return
        }
        #expect(world.marks.runs(of: running.taskID) == 1)
        try await again.stop()
    }

    /// A worker that is told to shut down finishes what it runs; nothing is lost, however long it is silent.
    @Test func waitsForAWorkerThatShutsDown() async throws {
        let world = try await world()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let worker = try await world.startWorker(.celery57, name: "leaving", queues: ["leaving"])
        let running = try dispatch("hold", queue: "leaving")
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        async let stopped: Void = worker.stop()
        try await runner.wait { _ in waits(runner, running.taskID).contains { $0.contains("is shutting down") } }
        #expect(runner.ends(of: running.taskID).isEmpty)
        world.marks.openGate(of: running.taskID)
        try await runner.expectSuccess(of: running.taskID, #"["held"]"#)
        try await stopped
    }

    // MARK: Repeated dispatches

    /// What never reached a queue is sent, under its own id; what was in one and is nowhere is lost.
    @Test func provesThatNothingIsThere() async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "proof", queues: ["proof"])
        let runner = try world.runner()
        let never = try dispatch("nothing", queue: "proof", isRepeated: true)
        let vanished = try dispatch(
            "nothing", queue: "proof", isRepeated: true, queuedAt: Timestamp(microseconds: 1_700_000_000_000_000))
        runner.start([.dispatch(never), .dispatch(vanished)])
        defer { runner.stop() }
        try await runner.expectSuccess(of: never.taskID, nil)
        #expect(world.marks.runs(of: never.taskID) == 1)
        guard case .lost = try await runner.end(of: vanished.taskID) else {
            Issue.record("\(runner.ends(of: vanished.taskID))")
            return
        }
        #expect(world.marks.runs(of: vanished.taskID) == 0)
        try await worker.stop()
    }

    /// Another server follows it: this one says nothing any more and leaves it alone.
    @Test func letsGoOfWhatIsReleased() async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "shared", queues: ["shared"])
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let held = try dispatch("hold", queue: "shared")
        runner.perform([.dispatch(held)])
        try await world.marks.waitForRun(of: held.taskID)
        runner.perform([.release(held.taskID)])
        let other = try world.runner { $0.serverID = "s2" }
        other.start([.dispatch(held)])
        defer { other.stop() }
        world.marks.openGate(of: held.taskID)
        try await other.expectSuccess(of: held.taskID, #"["held"]"#)
        #expect(runner.ends(of: held.taskID).isEmpty)
        try await worker.stop()
    }

    // MARK: Broker and database

    @Test func outlivesItsBroker() async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "steady", queues: ["steady"])
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let running = try dispatch("hold", queue: "steady")
        let waiting = try dispatch("nothing", queue: "steady")
        runner.perform([.dispatch(running), .dispatch(waiting)])
        try await world.marks.waitForRun(of: running.taskID)
        try await runner.wait { $0.isQueued(waiting.taskID) }
        try await world.broker.stop()
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
        try await worker.stop()
    }

    @Test func outlivesItsDatabase() async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "lasting", queues: ["lasting"])
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let running = try dispatch("hold", queue: "lasting")
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
        try await worker.stop()
    }

    // MARK: How soon it is known

    /// Progress is told within a second by polling alone, and within a tenth of one where the database tells of changes.
    @Test(arguments: [false, true]) func tellsOfProgressInTime(_ hasChangeStream: Bool) async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "prompt", queues: ["prompt"])
        let runner = try world.runner {
            $0.usesEvents = false
            $0.usesChangeStream = hasChangeStream
            // Polling cannot help out where the change stream is tested.
            if hasChangeStream { $0.times.pollLongest = .seconds(30) }
        }
        runner.start([])
        defer { runner.stop() }
        let slow = try dispatch("slow", queue: "prompt", kwargs: #"{"seconds": 4.0, "delay": 0.2}"#)
        runner.perform([.dispatch(slow)])
        _ = try await runner.end(of: slow.taskID)
        let progress = runner.reports(of: slow.taskID).compactMap { report -> ProgressReport? in
            if case .progress(let report) = report { report } else { nil }
        }
        let begun = try #require(progress.first?.at)
        var gaps: [Double] = []
        for (earlier, later) in zip(progress, progress.dropFirst()) {
            gaps.append(later.at.since(earlier.at).inSeconds)
        }
        #expect(progress.count >= (hasChangeStream ? 15 : 4), "\(progress.map { $0.at.since(begun).inSeconds })")
        #expect((gaps.max() ?? 9) < (hasChangeStream ? 0.6 : 1.5), "\(gaps)")
        try await worker.stop()
    }

    /// From the dispatch to the end of a task that does nothing, with each way to hear of it.
    @Test(arguments: ["polling", "events", "changes"]) func isQuick(_ way: String) async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "quick", queues: ["quick"])
        let runner = try world.runner {
            $0.usesEvents = way == "events"
            $0.usesChangeStream = way == "changes"
            $0.plainTasks = ["echo"]
        }
        runner.start([])
        defer { runner.stop() }
        var times: [Double] = []
        for _ in 0..<30 {
            let quick = try dispatch("echo", queue: "quick")
            let begun = ContinuousClock.now
            runner.perform([.dispatch(quick)])
            _ = try await runner.end(of: quick.taskID)
            times.append(Double((ContinuousClock.now - begun).wholeMicroseconds) / 1000)
            runner.perform([.settle(quick.taskID)])
        }
        times.sort()
        print("\(way): a task that does nothing takes \(times[15]) ms, at most \(times[29]) ms")
        #expect(times[15] < 200)
        try await worker.stop()
    }
}
