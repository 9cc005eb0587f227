import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// Tasks that store their ends themselves, and workers of other applications on the same virtual host.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryEndTests {
    private func begin(
        _ version: CeleryWorker.Version, _ change: (inout CeleryConfiguration) -> Void = { _ in }
    ) async throws -> (CeleryWorld, RunnerUnderTest) {
        let world = try await Worlds.forContract(version)
        let runner = try world.runner(change)
        runner.start([])
        return (world, runner)
    }

    private func announce(_ kwargs: String) throws -> Dispatch {
        try dispatch("announce", queue: "another", kwargs: kwargs)
    }

    /// A task that stores an end and goes on still runs: nothing may begin after it, or instead of it.
    @Test(
        arguments: CeleryWorker.Version.allCases,
        [
            #"{"state": "FAILURE", "meta": {"exc_type": "E", "exc_message": ["m"], "exc_module": "app"}}"#,
            #"{"state": "SUCCESS", "meta": ["early"]}"#,
            #"{"state": "REVOKED", "meta": {"exc_type": "E", "exc_message": ["m"], "exc_module": "app"}}"#,
        ])
    func waitsForATaskThatGoesOn(_ version: CeleryWorker.Version, _ kwargs: String) async throws {
        let (world, runner) = try await begin(version)
        defer { runner.stop() }
        let dispatch = try announce(kwargs)
        runner.perform([.dispatch(dispatch)])
        try await world.marks.waitForRun(of: dispatch.taskID)
        try await runner.wait { runner in
            !runner.ends(of: dispatch.taskID).isEmpty
                || waits(runner, dispatch.taskID).contains { $0.hasSuffix("worker others@localhost is still at it") }
        }
        #expect(runner.ends(of: dispatch.taskID).isEmpty, "\(runner.ends(of: dispatch.taskID))")
        world.marks.openGate(of: dispatch.taskID)
        // From 5.7 on a document that says SUCCESS is never written again.
        let isKept = version == .celery57 && kwargs.contains("SUCCESS")
        try await runner.expectSuccess(of: dispatch.taskID, isKept ? #"["early"]"# : #"["at last"]"#)
        // Its name is known now: the next of its kind is waited for from the beginning.
        let again = try announce(kwargs)
        runner.perform([.dispatch(again)])
        try await world.marks.waitForRun(of: again.taskID)
        world.marks.openGate(of: again.taskID)
        try await runner.expectSuccess(of: again.taskID, isKept ? #"["early"]"# : #"["at last"]"#)
        #expect(world.marks.runs(of: again.taskID) == 1)
    }

    /// As many tasks do: the state is their own, and Ignore keeps Celery from storing another.
    @Test(arguments: CeleryWorker.Version.allCases)
    func believesATaskThatIsDone(_ version: CeleryWorker.Version) async throws {
        let (_, runner) = try await begin(version)
        defer { runner.stop() }
        let end = #""waits": false, "then": "ignore"}"#
        let failing = try announce(
            #"{"state": "FAILURE", "meta": {"exc_type": "E", "exc_message": "my own", "exc_module": "app"}, "# + end)
        let revoking = try announce(#"{"state": "REVOKED", "meta": "enough", "# + end)
        runner.perform([.dispatch(failing), .dispatch(revoking)])
        let began = ContinuousClock.now
        let failure = try #require(try await runner.end(of: failing.taskID).failure)
        #expect(failure.message == "my own" && failure.isRetriable)
        guard case .revoked(let detail, _) = try await runner.end(of: revoking.taskID) else {
            Issue.record("\(runner.ends(of: revoking.taskID))")
            return
        }
        #expect(detail.hasPrefix("the task itself has stored REVOKED"), "\(detail)")
        #expect(ContinuousClock.now - began < .seconds(30))
    }

    /// One that ends without a word leaves its process free: nobody is sent to end that.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func stopsWhatHasEndedWithoutAWord(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version) { $0.times.suspect = .seconds(60) }
        defer { runner.stop() }
        let dispatch = try dispatch("ignore", queue: "narrow")
        runner.perform([.dispatch(dispatch)])
        try await world.marks.waitForRun(of: dispatch.taskID)
        // Its worker is free again.
        let next = try RhythmCeleryTests.dispatch("forward", queue: "narrow")
        runner.perform([.dispatch(next)])
        _ = try await runner.end(of: next.taskID)
        try await runner.wait { runner in
            runner.reports(of: dispatch.taskID).contains { if case .started = $0 { true } else { false } }
        }
        runner.perform([.revoke(dispatch.taskID, of: "w-1")])
        try await runner.expectRevoked(of: dispatch.taskID)
        #expect(!waits(runner, dispatch.taskID).contains { $0.contains("end process") })
    }

    /// A worker that answers no remote control and takes from none of our queues is waited for by nobody.
    @Test(arguments: [
        #"{"task_serializer": "pickle", "accept_content": ["pickle"]}"#, #"{"worker_enable_remote_control": false}"#,
    ])
    func passesOverForeignWorkers(_ settings: String) async throws {
        let world = try await Worlds.forContract(.celery57)
        let name = settings.contains("pickle") ? "pickling" : "deaf"
        let foreign = try await world.startWorker(
            .celery57, name: name, queues: [name], settings: ["SETTINGS": settings])
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        let first = try dispatch("forward", queue: "another")
        runner.perform([.dispatch(first)])
        _ = try await runner.end(of: first.taskID)
        let running = try dispatch("hold", queue: "another")
        let lost = try dispatch("ignore", queue: "another")
        runner.perform([.dispatch(running), .dispatch(lost)])
        try await world.marks.waitForRun(of: running.taskID)
        runner.perform([.revoke(running.taskID, of: "w-1")])
        try await runner.expectRevoked(of: running.taskID)
        guard case .lost = try await runner.end(of: lost.taskID) else {
            Issue.record("\(runner.ends(of: lost.taskID))")
            return
        }
        // Nor does what another life of the server was stopping and no worker has, or what is asked about the library's.
        let successor = try world.runner { $0.serverID = "successor-\(name)" }
        let unknown = TaskID.random()
        successor.start([.revoke(unknown, of: "w-1", queue: "another")])
        defer { successor.stop() }
        try await successor.expectRevoked(of: unknown)
        // Until it hears of that one by its name, it knows that somebody is there.
        var silent: [String: [String]] = [:]
        try await waitUntil("\(silent)", seconds: 30) {
            silent = try await inspect(successor, queues: ["another", name])
            #expect(silent["another"] == [] && silent[name]?.count == 1)
            return silent[name] == ["worker \(name)@localhost"]
        }

        // One that takes from the queue of an attempt counts, unless it is to be ignored.
        let theirs = try dispatch("nothing", queue: name)
        if settings.contains("pickle") { try await ignores(name, theirs, in: world) }
        try await foreign.stop()
    }

    /// Whose silence counts for workflows of the library with a step that nobody has begun, by its queue.
    private func inspect(_ runner: RunnerUnderTest, queues: [String]) async throws -> [String: [String]] {
        let inspector = try #require(runner.runner as? any AttemptInspector)
        let subjects = Dictionary(
            uniqueKeysWithValues: queues.map { (WorkflowID($0), Inspection.Subject(queues: [$0], begun: .nothing)) })
        let found = await withCheckedContinuation { continuation in
            inspector.inspect(subjects) { continuation.resume(returning: $0) }
        }
        #expect(found.trouble == nil)
        return Dictionary(
            uniqueKeysWithValues: found.silent.map { ($0.key.rawValue, $0.value.map(\.who)) })
    }

    private func ignores(_ name: String, _ dispatch: Dispatch, in world: CeleryWorld) async throws {
        let other = try world.runner {
            $0.serverID = "ignoring"
            $0.ignoredWorkers = ["pickling@*"]
        }
        other.start([])
        defer { other.stop() }
        other.perform([.dispatch(dispatch)])
        try await other.wait { $0.isQueued(dispatch.taskID) }
        // Its worker refuses the message, and nobody ever hears of it.
        guard case .lost = try await other.end(of: dispatch.taskID) else {
            Issue.record("\(other.ends(of: dispatch.taskID))")
            return
        }
    }
}
