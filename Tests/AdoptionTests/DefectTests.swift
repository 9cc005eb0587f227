import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// Each way in which a workflow of the original library gets stuck for ever, made with the library itself, then mended:
/// with the version of Celery that its users run, and with the newest.
@Suite(.timeLimit(.minutes(5)))
struct DefectTests {
    /// D1: a worker dies after the step's success is stored and before the next step is sent.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func nextStepNeverSent(_ version: CeleryWorker.Version) async throws {
        let world = try await AdoptionWorld.of(version)
        let (worker, marks) = try await world.slowWorker("dying", queue: "d1", handOff: "before")
        let id = try await world.make(
            [
                try AdoptionWorld.step("a", "workflow.add", queue: "d1"),
                try AdoptionWorld.step("b", "workflow.add", queue: "d1"),
            ],
            args: "1")
        try await world.wait(forFile: marks.directory + "/handoff")
        try await worker.kill()
        #expect(try await world.seen(id) == "STARTED")
        #expect(try await world.library("pause", id.rawValue)["paused"] == .bool(false))
        #expect(try await world.library("resume", id.rawValue)["resumed"] == .bool(false))
        #expect(try await world.tryLibrary(["resume", id.rawValue, "force"]).0 != .exited(0))

        let dry = try await world.adopt(id, dryRun: true)
        #expect(dry.kind == .wouldAdopt && dry.reason == "NEXT_NEVER_SENT", "\(dry)")
        #expect(try await world.library("document", id.rawValue)["rhythm"] == nil)
        let outcome = try await world.adopt(id)
        #expect(outcome.kind == .adopted && outcome.reason == "NEXT_NEVER_SENT", "\(outcome)")
        #expect(outcome.defect.contains("step 'a' succeeded") && outcome.defect.contains("step 'b' never began"))
        let healthy = try await world.slowWorker("healthy", queue: "d1", handOff: "")
        let done = try await world.wait(for: id) { $0.status.isDone }
        #expect(done.status == .success && done.steps[1].current?.result?.text == "[3]", "\(done)")
        // The step that had succeeded did not run again, and the library's workers sent nothing.
        #expect(done.steps.map(\.attempts.count) == [1, 1])
        try await world.wait(forSeen: "SUCCESS", of: id)
        #expect(try await world.adopt(id).reason == "OURS")
        try await healthy.0.stop()
    }

    /// D5: the task that a resume sent begins before the resume's own write, which erases it and leaves the lock.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func resumeLockedForEver(_ version: CeleryWorker.Version) async throws {
        let world = try await AdoptionWorld.of(version)
        let id = try await world.make(
            [
                try AdoptionWorld.step(
                    "a", "workflow.flaky", queue: "queue1", kwargs: #"{"until": "d5"}"#),
                try AdoptionWorld.step("b", "workflow.add", queue: "queue1"),
            ], args: "5")
        try await world.wait(for: id) { $0.status == .failure }
        try await world.library("resume_slowly", id.rawValue)
        let document = try await world.library("document", id.rawValue)
        #expect(document["resume_lock"]?.stringValue != nil)
        try world.touch(world.marks.directory + "/d5")
        #expect(try await world.library("resume", id.rawValue)["resumed"] == .bool(false))
        #expect(try await world.library("resume", id.rawValue, "force")["resumed"] == .bool(false))

        let outcome = try await world.adopt(id)
        #expect(outcome.kind == .adopted && outcome.reason == "LOCKED", "\(outcome)")
        let adopted = try await world.client.status(id, previousAttempts: true)
        // The attempt that was erased is there again.
        #expect(adopted.status == .failure && adopted.steps[0].attempts.count == 2)
        #expect(try await world.client.resume(id).receipt.accepted)
        let done = try await world.wait(for: id) { $0.status.isDone }
        #expect(done.status == .success && done.steps[1].current?.result?.text == "[6]", "\(done)")
        #expect(done.steps.map(\.attempts.count) == [3, 1])
    }

    /// D7: the message of a resume is lost; its lock is never cleared.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func resumedMessageLost(_ version: CeleryWorker.Version) async throws {
        let world = try await AdoptionWorld.of(version)
        let id = try await world.make(
            [try AdoptionWorld.step("a", "workflow.flaky", queue: "d7", kwargs: #"{"until": "d7"}"#)])
        // Somebody's worker ran it once and is gone.
        let (worker, marks) = try await world.slowWorker("brief", queue: "d7", handOff: "")
        try await world.library("start", id.rawValue, "7")
        try await world.wait(for: id) { $0.status == .failure }
        try await worker.stop()
        #expect(try await world.library("resume", id.rawValue)["resumed"] == .bool(true))
        // While the message is there, it is not lost.
        #expect(try await world.adopt(id).reason == "QUEUED")
        #expect(try await world.library("purge", "d7").intValue == 1)
        #expect(try await world.library("resume", id.rawValue, "force")["resumed"] == .bool(false))

        let outcome = try await world.adopt(id)
        #expect(outcome.kind == .adopted && outcome.reason == "RESUME_LOST", "\(outcome)")
        let (again, fresh) = try await world.slowWorker("later", queue: "d7", handOff: "")
        try world.touch(fresh.directory + "/d7")
        try world.touch(marks.directory + "/d7")
        let done = try await world.wait(for: id) { $0.steps[0].attempts.count == 2 && $0.status.isDone }
        #expect(done.status == .success && done.steps[0].current?.result?.text == "[7]", "\(done)")
        try await again.stop()
    }

    /// D16: a worker writes its old copy of the workflow over a newer one, and the next step's attempt is gone.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func attemptLost(_ version: CeleryWorker.Version) async throws {
        let world = try await AdoptionWorld.of(version)
        let (worker, marks) = try await world.slowWorker("stale", queue: "d16", handOff: "after")
        let id = try await world.make(
            [
                try AdoptionWorld.step("a", "workflow.add", queue: "d16"),
                try AdoptionWorld.step("b", "workflow.add", queue: "d16"),
            ], args: "1")
        var updates = world.client.watch([id]).makeAsyncIterator()
        var log = WatchLog()
        while log.last?.status != .success { log.add(try #require(try await updates.next())) }
        try world.touch(marks.directory + "/handoff.gate")
        // The stale copy is written: the library shows the finished workflow as running, for ever.
        try await world.wait(for: id) { $0.status == .started && $0.steps[1].attempts.isEmpty }
        #expect(try await world.seen(id) == "STARTED")
        // Whoever watches is told that what he saw is no longer true.
        #expect(log.problems == [])
        while log.last?.status != .started { log.add(try #require(try await updates.next())) }
        #expect(log.problems == ["a gap"], "\(log)")

        let outcome = try await world.adopt(id)
        #expect(outcome.kind == .adopted && outcome.reason == "LOST_ATTEMPT", "\(outcome)")
        while log.last?.status != .success { log.add(try #require(try await updates.next())) }
        #expect(log.problems == ["a gap"], "\(log)")
        let done = try await world.client.status(id)
        #expect(done.status == .success && done.steps[1].current?.result?.text == "[3]", "\(done)")
        // The library sees the attempt again too.
        try await world.wait(forSeen: "SUCCESS", of: id)
        try await worker.stop()
    }

    /// D20: the pool process dies, so no hook runs and the stored status stays STARTED.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func storedStatusLies(_ version: CeleryWorker.Version) async throws {
        let world = try await AdoptionWorld.of(version)
        let id = try await world.make(
            [
                try AdoptionWorld.step(
                    "a", "workflow.flaky", queue: "queue2", kwargs: #"{"until": "d20", "how": "die"}"#)
            ], args: "2")
        try await world.wait(for: id) { $0.status == .failure }
        #expect(try await world.library("document", id.rawValue)["_status"]?.stringValue == "STARTED")
        let listed = try await world.client.list(
            ListQuery(filter: WorkflowFilter(statuses: [.failure], ids: [id])))
        #expect(listed.rows.map(\.id) == [id], "lists go by what the attempts say")

        let outcome = try await world.adopt(id)
        #expect(outcome.kind == .adopted && outcome.reason == "WRONG_STATUS", "\(outcome)")
        #expect(outcome.defect.contains("WorkerLostError"), "\(outcome)")
        let mended = try await world.client.list(
            ListQuery(filter: WorkflowFilter(statuses: [.failure], ids: [id])))
        #expect(mended.rows.map(\.id) == [id])
        try world.touch(world.marks.directory + "/d20")
        #expect(try await world.client.resume(id).receipt.accepted)
        let done = try await world.wait(for: id) { $0.status.isDone }
        #expect(done.status == .success, "\(done)")
    }

    /// D20: a task that no worker knows leaves no trace in the workflow.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func taskNotRegistered(_ version: CeleryWorker.Version) async throws {
        let world = try await AdoptionWorld.of(version)
        let id = try await world.make([try AdoptionWorld.step("a", "workflow.unheard_of", queue: "queue3")], args: "1")
        #expect(try await world.seen(id) == "PENDING")
        var outcome = try await world.adopt(id)
        while outcome.reason == "QUEUED" { outcome = try await world.adopt(id) }
        #expect(outcome.kind == .refused && outcome.reason == "ARGS_NEEDED", "\(outcome)")
        #expect(try await world.adopt(id, args: "[1]").kind == .adopted)
        let done = try await world.wait(for: id) { $0.status.isDone }
        #expect(done.steps[0].current?.failure?.type == "TaskNotFound", "\(done)")
    }

    /// D23: created, and never sent.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func neverSent(_ version: CeleryWorker.Version) async throws {
        let world = try await AdoptionWorld.of(version)
        let id = try await world.make([
            try AdoptionWorld.step("a", "workflow.add", queue: "queue4", kwargs: #"{"amount": 4}"#),
            try AdoptionWorld.step("b", "workflow.add", queue: "queue4"),
        ])
        let refused = try await world.adopt(id)
        #expect(refused.kind == .refused && refused.reason == "ARGS_NEEDED", "\(refused)")
        let outcome = try await world.adopt(id, args: "[10]")
        #expect(outcome.kind == .adopted && outcome.reason == "NEVER_SENT", "\(outcome)")
        let done = try await world.wait(for: id) { $0.status.isDone }
        #expect(done.status == .success && done.steps[1].current?.result?.text == "[15]", "\(done)")
        #expect(done.args.text == "[10]")
    }
}
