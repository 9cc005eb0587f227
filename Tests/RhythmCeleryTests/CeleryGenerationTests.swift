import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// Workers that start late and workers that die, of every version: what they are told and what they leave behind differs.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryGenerationTests {
    private static let shared = Task { try await CeleryWorld.make() }

    private func world() async throws -> CeleryWorld { try await Self.shared.value }

    /// What was revoked while nobody took from its queue never begins: workers that start later are told, even by a
    /// server that has been restarted in between.
    @Test(arguments: CeleryWorker.Version.allCases)
    func tellsWorkersThatStartLater(_ version: CeleryWorker.Version) async throws {
        let world = try await world()
        let queue = "hello-\(version)"
        try await world.startWorker(version, name: queue, queues: [queue]).stop()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let revoked = try dispatch("nothing", queue: queue)
        let other = try dispatch("nothing", queue: queue)
        runner.perform([.dispatch(revoked), .dispatch(other)])
        try await runner.wait { $0.isQueued(revoked.taskID) && $0.isQueued(other.taskID) }
        runner.perform([.revoke(revoked.taskID, of: "w-1")])
        try await runner.expectRevoked(of: revoked.taskID)
        runner.perform([.settle(revoked.taskID)])
        runner.stop()
        let next = try world.runner()
        next.start([.dispatch(other)])
        defer { next.stop() }
        let worker = try await world.startWorker(version, name: queue, queues: [queue])
        try await next.expectSuccess(of: other.taskID, nil)
        #expect(world.marks.runs(of: revoked.taskID) == 0)
        #expect(world.marks.runs(of: other.taskID) == 1)
        try await worker.stop()
    }

    /// A worker that is gone takes what it ran with it; nobody but the server can notice.
    @Test(arguments: CeleryWorker.Version.allCases)
    func noticesADeadWorker(_ version: CeleryWorker.Version) async throws {
        let world = try await world()
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let name = "doomed-\(version)"
        let worker = try await world.startWorker(version, name: name, queues: [name])
        let running = try dispatch("hold", queue: name)
        runner.perform([.dispatch(running)])
        try await world.marks.waitForRun(of: running.taskID)
        let begun = ContinuousClock.now
        try await worker.kill()
        guard case .lost(let detail, _, _) = try await runner.end(of: running.taskID) else {
            Issue.record("\(runner.ends(of: running.taskID))")
            return
        }
        #expect(detail.contains("STARTED") && detail.contains("\(name)@localhost"), "\(detail)")
        #expect(ContinuousClock.now - begun >= .seconds(7), "it may only have been slow")
        #expect(waits(runner, running.taskID).contains { $0.contains("\(name)@localhost does not answer") })
    }
}
