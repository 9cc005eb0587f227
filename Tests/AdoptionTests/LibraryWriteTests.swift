import Foundation
import RhythmClient
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// What an application with the original library, or its HTTP service, does to a workflow of this server: nothing of it
/// reaches the record, and what its readers see is right again soon.
@Suite(.timeLimit(.minutes(5)))
struct LibraryWriteTests {
    /// Every write, but for those that send a task.
    private static let writes = ["resume", "force", "update", "begin", "fail", "end", "delete"]

    private func start(_ world: AdoptionWorld, queue: String) async throws -> WorkflowID {
        let steps = [
            StepSpec(name: "a", task: "workflow.hold", queue: queue),
            StepSpec(name: "b", task: "workflow.forward", queue: queue),
        ]
        return try await world.client.start(
            WorkflowSpec(name: "new", appID: "tests", args: try JSON(parsing: "[1]"), steps: steps)
        ).workflow.id
    }

    /// The document as the library reads it; nil if there is none.
    private func seen(_ id: WorkflowID, _ world: AdoptionWorld) async throws -> JSONValue? {
        let (_, text) = try await world.tryLibrary(["document", id.rawValue])
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VALUE ") }) else { return nil }
        return try JSON(parsing: String(line.dropFirst(6))).value
    }

    /// Writes all of it, and looks that nothing has come of it.
    private func check(_ id: WorkflowID, _ world: AdoptionWorld, _ point: String) async throws {
        let before = try await world.client.status(id, previousAttempts: true)
        try await waitUntil("\(point): readers see it", seconds: 30) {
            try await seen(id, world)?["_status"]?.stringValue == before.status.rawValue
        }
        for write in Self.writes {
            let (end, text) = try await world.tryLibrary(["writes", id.rawValue, write])
            #expect(end == .exited(0), "\(point), \(write): \(text)")
            if write == "resume" || write == "force" {
                #expect(text.contains("\"resumed\": false"), "\(point), \(write): \(text)")
            }
            try await waitUntil("\(point): readers see the truth after '\(write)'", seconds: 30) {
                guard let seen = try await seen(id, world) else { return false }
                return seen["_status"]?.stringValue == before.status.rawValue
                    && seen["resume_lock"]?.stringValue != nil && !seen.compactText.contains("somebody")
            }
            #expect(try await world.client.status(id, previousAttempts: true) == before, "\(point), \(write)")
        }
    }

    @Test func nothingReachesTheRecord() async throws {
        let world = try await AdoptionWorld.shared
        // Nobody takes from this queue.
        let queued = try await start(world, queue: "nobody-writes")
        try await world.wait(for: queued) { $0.steps[0].current?.waiting != nil }
        try await check(queued, world, "before it begins")
        #expect(try await world.client.cancel(queued).receipt.accepted)
        try await world.wait(for: queued) { $0.isQuiesced }
        try await check(queued, world, "cancelled")

        let id = try await start(world, queue: "queue10")
        let running = try await world.wait(for: id) { $0.steps[0].status == .started }
        try await check(id, world, "running")
        #expect(try await world.client.pause(id).receipt.accepted)
        try await world.wait(for: id) { $0.status == .revoked && $0.isQuiesced }
        try await check(id, world, "paused")
        #expect(try await world.client.resume(id).receipt.accepted)
        let second = try await world.wait(for: id) { $0.steps[0].attempts.count == 2 && $0.steps[0].status == .started }
        world.marks.openGate(of: try #require(second.steps[0].current).id)
        let done = try await world.wait(for: id) { $0.status.isDone }
        #expect(done.status == .success && done.steps.map(\.attempts.count) == [2, 1], "\(done)")
        #expect(world.marks.runs(of: try #require(running.steps[0].current).id) == 1)
        try await check(id, world, "done")
        let findings = await withCheckedContinuation { continuation in
            world.engine.examine { continuation.resume(returning: $0) }
        }
        #expect(findings.contains { $0.code == "foreign_writes" }, "\(findings)")
    }

    /// A process reads the workflow, people pause and resume it meanwhile and it succeeds, then the process writes its old
    /// copy back: what was acknowledged stays.
    @Test func anOldCopyIsWrittenBack() async throws {
        let world = try await AdoptionWorld.shared
        let id = try await start(world, queue: "queue11")
        try await world.wait(for: id) { $0.steps[0].status == .started }
        try await waitUntil("readers see it", seconds: 30) {
            (try? await world.library("document", id.rawValue))?["_status"]?.stringValue == "STARTED"
        }
        let folder = try ProcessGuard.shared.get().makeFolder("late")
        let late = Task { try await world.tryLibrary(["late_update", id.rawValue, folder + "/ready", folder + "/go"]) }
        try await world.wait(forFile: folder + "/ready")
        #expect(try await world.client.pause(id).receipt.accepted)
        try await world.wait(for: id) { $0.status == .revoked && $0.isQuiesced }
        #expect(try await world.client.resume(id).receipt.accepted)
        let second = try await world.wait(for: id) { $0.steps[0].attempts.count == 2 && $0.steps[0].status == .started }
        world.marks.openGate(of: try #require(second.steps[0].current).id)
        let done = try await world.wait(for: id) { $0.status.isDone }
        try world.touch(folder + "/go")
        #expect(try await late.value.0 == .exited(0))
        try await waitUntil("readers see the truth", seconds: 30) {
            (try? await world.library("document", id.rawValue))?["_status"]?.stringValue == "SUCCESS"
        }
        #expect(try await world.client.status(id, previousAttempts: true) == done)
        #expect(done.status == .success)
    }

    /// Workflows that the library has run: what has ended can be deleted, what stands still cancelled, and who may not
    /// is told what to do.
    @Test func endedOnesAreDeletedAndCancelled() async throws {
        let world = try await AdoptionWorld.shared
        let done = try await world.make([try AdoptionWorld.step("a", "workflow.add", queue: "queue12")], args: "1")
        let failed = try await world.make([try AdoptionWorld.step("a", "workflow.fail", queue: "queue12")], args: "1")
        let held = try await world.make([try AdoptionWorld.step("a", "workflow.hold", queue: "queue12")], args: "1")
        let never = try await world.make([try AdoptionWorld.step("a", "workflow.add", queue: "nobody-2")])
        try await world.wait(for: done) { $0.status == .success }
        try await world.wait(for: failed) { $0.status == .failure }
        let running = try await world.wait(for: held) { $0.status == .started }
        for command in ["delete", "cancel"] {
            let error = await #expect(throws: RhythmError.self) {
                if command == "delete" {
                    _ = try await world.client.delete(held)
                } else {
                    _ = try await world.client.cancel(held)
                }
            }
            #expect(
                error?.message.contains("pause it first, then \(command) it") == true, "\(String(describing: error))")
        }
        #expect(try await world.client.cancel(done).receipt.reason == "SUCCEEDED")
        #expect(try await world.client.delete(done) == .deleted)
        let cancelled = try await world.client.cancel(failed).receipt
        #expect(cancelled.accepted && cancelled.status == .revoked, "\(cancelled)")
        #expect(try await world.client.resume(failed).receipt.reason == "CANCELLED")
        #expect(try await world.client.delete(failed) == .deleted)
        await #expect(throws: RhythmError.self) { _ = try await world.client.delete(never) }
        #expect(try await world.client.delete(never, cancelFirst: true) == .deleted)
        world.marks.openGate(of: try #require(running.steps[0].current).id)
        try await world.wait(for: held) { $0.status == .success }
        #expect(try await world.client.delete(held) == .deleted)
        for id in [done, failed, held, never] {
            let error = await #expect(throws: RhythmError.self) { _ = try await world.client.status(id) }
            #expect(error?.code == .notFound)
        }
    }
}
