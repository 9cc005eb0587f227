import Glibc
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// How soon the runner knows, and what it does while the broker or the database is away. One worker for all of it.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryOutageTests {
    private static let shared = Task {
        let world = try await CeleryWorld(.replicaSet)
        world.keep([try await world.startWorker(.celery57, name: "steady", queues: ["steady"])])
        return world
    }

    private func world() async throws -> CeleryWorld { try await Self.shared.value }

    // MARK: How soon it is known

    /// Progress is told within a second by polling alone, and within a tenth of one where the database tells of changes.
    @Test(arguments: [false, true]) func tellsOfProgressInTime(_ hasChangeStream: Bool) async throws {
        let world = try await world()
        let runner = try world.runner {
            $0.usesEvents = false
            $0.usesChangeStream = hasChangeStream
            // Polling cannot help out where the change stream is tested.
            if hasChangeStream { $0.times.pollLongest = .seconds(30) }
        }
        runner.start([])
        defer { runner.stop() }
        let slow = try dispatch("slow", queue: "steady", kwargs: #"{"seconds": 4.0, "delay": 0.2}"#)
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
    }

    /// From the dispatch to the end of a task that does nothing, with each way to hear of it.
    @Test(arguments: ["polling", "events", "changes"]) func isQuick(_ way: String) async throws {
        let world = try await world()
        let runner = try world.runner {
            $0.usesEvents = way == "events"
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
        #expect(times[15] < 200)
    }

    // MARK: Outages

    @Test func outlivesItsBroker() async throws {
        let world = try await world()
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
