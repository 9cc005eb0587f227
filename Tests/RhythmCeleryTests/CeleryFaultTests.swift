import Glibc
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

/// Workers that go away and come back, and attempts of which nobody knows whether they exist.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryFaultTests {
    private static let shared = Task { try await CeleryWorld.make() }

    private func world() async throws -> CeleryWorld { try await Self.shared.value }

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
        try await runner.wait { _ in waits(runner, first.taskID).last == "" }
        world.marks.openGate(of: first.taskID)
        try await runner.expectSuccess(of: first.taskID, #"["held"]"#)

        // Now the queue is there and nobody listens.
        try await worker.stop()
        let second = try dispatch("nothing", queue: "late")
        runner.perform([.dispatch(second)])
        try await runner.wait { _ in waits(runner, second.taskID).last == "no worker takes from queue late" }
    }

    /// A dead worker that comes back under its name says itself that it does not have what it ran.
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

    /// One that said goodbye, was killed before it had finished, and never comes back, as a pod does: after the time
    /// given to such workers what it ran is lost, and no sooner.
    @Test func givesUpWhatALeavingWorkerNeverFinishes() async throws {
        let world = try await world()
        let patience = Duration.seconds(6)
        let runner = try world.runner { $0.times.workerLeaving = patience }
        runner.start([])
        defer { runner.stop() }
        let worker = try await world.startWorker(.celery57, name: "pod", queues: ["pod"])
        let running = try dispatch("hold", queue: "pod")
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        let began = ContinuousClock.now
        try await worker.stopCold()
        try await runner.wait { _ in waits(runner, running.taskID).contains { $0.contains("is shutting down") } }
        guard case .lost = try await runner.end(of: running.taskID) else {
            Issue.record("\(runner.ends(of: running.taskID))")
            return
        }
        #expect(ContinuousClock.now - began >= patience)
    }

    // MARK: A killed database

    /// The document that a task of the original library loads is safe on the disk before its message is sent: otherwise
    /// the task would fail because the database was killed at that moment.
    @Test func whatATaskNeedsOutlivesTheDatabase() async throws {
        let world = try await world()
        // Tells all the time which tasks there are.
        let other = try await world.startWorker(.celery57, name: "other", queues: ["other"])
        let worker = try await world.startWorker(.celery57, name: "needy", queues: ["needy"])
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let first = try dispatch("workflow.nothing", queue: "needy")
        runner.perform([.dispatch(first)])
        try await runner.expectSuccess(of: first.taskID, nil)
        try await worker.stop()
        let second = try dispatch("workflow.nothing", queue: "needy")
        runner.perform([.dispatch(second)])
        try await runner.wait { $0.isQueued(second.taskID) }
        world.mongo.kill()
        try world.mongo.start()
        let again = try await world.startWorker(.celery57, name: "needy", queues: ["needy"])
        try await runner.expectSuccess(of: second.taskID, nil)
        try await again.stop()
        try await other.stop()
    }

    /// The answer to its write is lost: it is written again, finds itself there, and the task is sent.
    @Test func whatATaskNeedsMayBeThereAlready() async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "twice", queues: ["twice"])
        let proxy = try TrapProxy(.mongo, to: world.mongo.port)
        defer { proxy.stop() }
        let runner = try world.runner { $0.results = "mongodb://127.0.0.1:\(proxy.port)/celery" }
        runner.start([])
        defer { runner.stop() }
        proxy.cut(at: .beforeItsAnswer, ofMessageWith: ["insert", "rhythm_private"])
        let task = try dispatch("workflow.nothing", queue: "twice")
        runner.perform([.dispatch(task)])
        try await runner.expectSuccess(of: task.taskID, nil)
        #expect(proxy.hasSprung && world.marks.runs(of: task.taskID) == 1)
        try await worker.stop()
    }

    // MARK: Quorum queues

    /// Attempts run from a queue that knows no priorities, in the order in which they came; one that waits there is
    /// withdrawn.
    @Test func worksWithQuorumQueues() async throws {
        let world = try await world()
        let worker = try await world.startWorker(
            .celery57, name: "voter", queues: ["votes"], settings: ["QUEUE_TYPE": "quorum", "MAX_PRIORITY": ""])
        let queues = try await world.broker.control(["list_queues", "name", "type"])
        #expect(queues.contains("votes\tquorum"))
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let running = try dispatch("hold", queue: "votes", priority: 9)
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        let waiting = try [1, 9, 5, 0].map { try dispatch("nothing", queue: "votes", priority: $0) }
        runner.perform(waiting.map { .dispatch($0) })
        try await runner.wait { runner in waiting.allSatisfy { runner.isQueued($0.taskID) } }
        runner.perform([.revoke(waiting[2].taskID, of: "w-1")])
        try await runner.expectRevoked(of: waiting[2].taskID)
        world.marks.openGate(of: running.taskID)
        try await runner.expectSuccess(of: running.taskID, #"["held"]"#)
        let others = [waiting[0], waiting[1], waiting[3]].map(\.taskID)
        for id in others { try await runner.expectSuccess(of: id, nil) }
        #expect(world.marks.order.filter { others.contains($0) } == others)
        #expect(world.marks.runs(of: waiting[2].taskID) == 0)
        try await worker.stop()
    }

    // MARK: Repeated dispatches

    /// A dispatch of an earlier life of the server is looked for, never sent again; what is nowhere is lost, and its
    /// message is dropped should it turn up.
    @Test func provesThatNothingIsThere() async throws {
        let world = try await world()
        let worker = try await world.startWorker(.celery57, name: "proof", queues: ["proof"])
        let runner = try world.runner()
        let never = try dispatch("nothing", queue: "proof", isRepeated: true)
        let vanished = try dispatch(
            "nothing", queue: "proof", isRepeated: true, queuedAt: Timestamp(microseconds: 1_700_000_000_000_000))
        runner.start([.dispatch(never), .dispatch(vanished)])
        defer { runner.stop() }
        for dispatch in [never, vanished] {
            guard case .lost = try await runner.end(of: dispatch.taskID) else {
                Issue.record("\(runner.ends(of: dispatch.taskID))")
                continue
            }
        }
        runner.perform([.settle(never.taskID), .settle(vanished.taskID), .bury(never.taskID)])
        // The server is killed before it can tell the workers of the other one.
        let successor = try world.runner()
        successor.start([.bury(vanished.taskID)])
        defer { successor.stop() }
        let unknown = TaskID.random()
        successor.perform([.revoke(unknown, of: "w-1")])
        try await successor.expectRevoked(of: unknown)
        let late = [never, vanished].map { dispatch in
            var dispatch = dispatch
            dispatch.isRepeated = false
            return Effect.dispatch(dispatch)
        }
        let careless = try world.runner { $0.plainTasks = ["nothing"] }
        careless.start([])
        defer { careless.stop() }
        let later = try dispatch("nothing", queue: "proof")
        careless.perform(late + [.dispatch(later)])
        try await careless.expectSuccess(of: later.taskID, nil)
        #expect(world.marks.runs(of: never.taskID) == 0 && world.marks.runs(of: vanished.taskID) == 0)
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
}
