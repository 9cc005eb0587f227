import Glibc
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

/// What becomes of attempts in real workers, of every version where these differ.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryTaskTests {
    private func dispatch(
        _ task: String, queue: String? = nil, workflow: WorkflowID = "w-1", args: String = "[1]", kwargs: String = "{}"
    ) throws -> Dispatch {
        Dispatch(
            taskID: .random(), workflowID: workflow, appID: "app", step: "only", task: task, queue: queue,
            args: try JSON(parsing: args), kwargs: try JSON(parsing: kwargs))
    }

    private func begin(
        _ version: CeleryWorker.Version, _ change: (inout CeleryConfiguration) -> Void = { _ in }
    ) async throws -> (CeleryWorld, RunnerUnderTest) {
        let world = try await Worlds.forContract(version)
        let runner = try world.runner(change)
        runner.start([])
        return (world, runner)
    }

    // MARK: Results

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func bringsEveryResult(_ version: CeleryWorker.Version) async throws {
        let (_, runner) = try await begin(version)
        defer { runner.stop() }
        let special = try dispatch("special")
        let huge = try dispatch("huge", kwargs: #"{"mebibytes": 3}"#)
        let tooHuge = try dispatch("huge", kwargs: #"{"mebibytes": 17}"#)
        let odd = try dispatch("unserializable")
        runner.perform([special, huge, tooHuge, odd].map { .dispatch($0) })
        guard case .succeeded(let result?, _) = try await runner.end(of: special.taskID) else {
            Issue.record("\(runner.ends(of: special.taskID))")
            return
        }
        let value = try #require(result.value.arrayValue?.first)
        #expect(value["nan"] == .number("NaN") && value["minus"] == .number("-Infinity"))
        #expect(value["big"] == .number("1" + String(repeating: "0", count: 30)))
        #expect(value["text"] == .string("grüße \u{1F600} \0"))
        guard case .succeeded(let large?, _) = try await runner.end(of: huge.taskID) else {
            Issue.record("\(runner.ends(of: huge.taskID))")
            return
        }
        #expect(large.text.utf8.count == (3 << 20) + 4)
        // Even if it was over before anybody looked.
        for id in [special.taskID, huge.taskID] {
            let names = runner.reports(of: id).compactMap { report in
                switch report {
                case .started(_, let worker), .ran(let worker): worker
                default: nil
                }
            }
            #expect(!names.isEmpty && names.allSatisfy { $0.hasSuffix("@localhost") }, "\(names)")
        }
        for id in [tooHuge.taskID, odd.taskID] {
            let failure = try #require(try await runner.end(of: id).failure)
            #expect(!failure.isRetriable && !failure.message.isEmpty, "\(failure.type)")
        }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func followsRetries(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version)
        defer { runner.stop() }
        let dispatch = try dispatch("retry_twice")
        runner.perform([.dispatch(dispatch)])
        try await runner.expectSuccess(of: dispatch.taskID, "[2]")
        #expect(world.marks.runs(of: dispatch.taskID) == 3)
        let retries = runner.reports(of: dispatch.taskID).compactMap { report -> Int? in
            if case .retrying(let retries, _) = report { retries } else { nil }
        }
        // The first of two may have been over before anybody looked.
        #expect(retries == [1, 2] || retries == [2])
    }

    /// A pool process that dies is noticed by its worker.
    @Test(arguments: CeleryWorker.Version.allCases)
    func reportsADeadProcess(_ version: CeleryWorker.Version) async throws {
        let (_, runner) = try await begin(version)
        defer { runner.stop() }
        let dispatch = try dispatch("suicide")
        runner.perform([.dispatch(dispatch)])
        let failure = try #require(try await runner.end(of: dispatch.taskID).failure)
        #expect(failure.type == "WorkerLostError" && failure.isRetriable)
    }

    /// A task that ends its process by itself: Celery 5.6.3 never says so.
    @Test(arguments: CeleryWorker.Version.allCases)
    func noticesAnExit(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version)
        defer { runner.stop() }
        let dispatch = try dispatch("leave")
        runner.perform([.dispatch(dispatch)])
        let end = try await runner.end(of: dispatch.taskID)
        let isLost = if case .lost = end { true } else { false }
        #expect(isLost || end.failure?.type == "WorkerLostError", "\(end)")
        #expect(isLost == (version == .celery56), "\(end)")
        #expect(world.marks.runs(of: dispatch.taskID) == 1)
    }

    /// What no worker could run is not sent.
    @Test func refusesBadArguments() async throws {
        let (world, runner) = try await begin(.celery57) { $0.plainTasks = ["echo"] }
        defer { runner.stop() }
        let dispatch = try dispatch("echo", args: "[12345678901234567890]")
        runner.perform([.dispatch(dispatch)])
        let failure = try #require(try await runner.end(of: dispatch.taskID).failure)
        #expect(failure.type == "MessageRefused" && failure.message.contains("args[0]") && !failure.isRetriable)
        let found = try world.pool().findOne("celery_taskmeta", filter: ["_id": .string(dispatch.taskID.rawValue)])
        #expect(found == nil)
    }

    // MARK: Revokes

    /// A task that ignores SIGTERM: its worker says REVOKED at once, but it is not reported before its process is gone.
    @Test(arguments: CeleryWorker.Version.allCases)
    func waitsForTheStubborn(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version)
        defer { runner.stop() }
        let dispatch = try dispatch("immune", queue: "pair")
        runner.perform([.dispatch(dispatch)])
        try await world.marks.waitForRun(of: dispatch.taskID)
        let pool = try world.pool()
        let id = BSONValue.string(dispatch.taskID.rawValue)
        let document = try #require(try pool.findOne("celery_taskmeta", filter: ["_id": id]))
        let started = try #require(document["result"]?.stringValue)
        let pid = try #require(try JSON(parsing: started).value["pid"]?.intValue)
        runner.perform([.revoke(dispatch.taskID, of: "w-1")])
        // Celery cannot reach it any more; whoever can is told where to.
        try await runner.wait { runner in
            runner.reports(of: dispatch.taskID).contains {
                if case .waiting(let reason) = $0 {
                    reason.contains("end process \(pid) of worker pair")
                } else {
                    false
                }
            }
        }
        #expect(runner.ends(of: dispatch.taskID).isEmpty)
        let after = try pool.findOne("celery_taskmeta", filter: ["_id": id])
        #expect(after?["status"] == "REVOKED")
        kill(pid_t(pid), SIGKILL)
        try await runner.expectRevoked(of: dispatch.taskID)
        #expect(!Processes.isAlive(pid_t(pid)), "it is reported as stopped while it runs")
        #expect(world.marks.runs(of: dispatch.taskID) == 1)
    }

    /// Workers of 5.6.3 write REVOKED over a success: it is read before they are told.
    @Test(arguments: CeleryWorker.Version.allCases)
    func readsASuccessBeforeItRevokes(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version) {
            $0.taskEvents = .never
            $0.times.pollShortest = .seconds(3600)
            $0.times.pollLongest = .seconds(3600)
        }
        defer { runner.stop() }
        // Once this is answered, nothing brings a read forward any more.
        let unknown = TaskID.random()
        runner.perform([.revoke(unknown, of: "w-1")])
        try await runner.expectRevoked(of: unknown)
        let dispatch = try dispatch("forward")
        runner.perform([.dispatch(dispatch)])
        let pool = try world.pool()
        try await waitUntil("it does not end", seconds: 30) {
            (try? pool.findOne("celery_taskmeta", filter: ["_id": .string(dispatch.taskID.rawValue)]))?["status"]
                == "SUCCESS"
        }
        try #require(runner.ends(of: dispatch.taskID).isEmpty)
        runner.perform([.revoke(dispatch.taskID, of: "w-1")])
        try await runner.expectSuccess(of: dispatch.taskID, "[1]")
    }

    /// An attempt that its worker has prefetched is withdrawn although the worker is busy for long.
    @Test(arguments: CeleryWorker.Version.allCases)
    func withdrawsWhatIsPrefetched(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version)
        defer { runner.stop() }
        let held = try (0..<4).map { _ in try dispatch("hold", queue: "pair") }
        runner.perform(held.map { .dispatch($0) })
        for dispatch in held[..<2] { try await world.marks.waitForRun(of: dispatch.taskID) }
        try await runner.wait { runner in held.allSatisfy { runner.isQueued($0.taskID) } }
        runner.perform(held[2...].map { .revoke($0.taskID, of: "w-1") })
        for dispatch in held[2...] { try await runner.expectRevoked(of: dispatch.taskID) }
        for dispatch in held { world.marks.openGate(of: dispatch.taskID) }
        for dispatch in held[..<2] { try await runner.expectSuccess(of: dispatch.taskID, #"["held"]"#) }
        let later = try dispatch("nothing", queue: "pair")
        runner.perform([.dispatch(later)])
        try await runner.expectSuccess(of: later.taskID, nil)
        for dispatch in held[2...] { #expect(world.marks.runs(of: dispatch.taskID) == 0) }
    }

    // MARK: Tasks of the original library

    /// A task based on WorkflowTask runs, and neither the record of its workflow nor the broker hears of it; also in a
    /// process that has run a workflow of the library's own before.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func runsTheLibrarysTasks(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version) { $0.times.privateDocument = .milliseconds(100) }
        defer { runner.stop() }
        let pool = try world.pool()
        let name = "\(version)"
        func record(_ id: String, next queue: String) -> BSONDocument {
            [
                "_id": .string(id), "name": "theirs", "app_id": "app", "_status": "PENDING",
                "steps": [
                    ["name": "only", "task": "workflow.add"],
                    ["name": "next", "task": "workflow.add", "queue": .string(queue)],
                ],
            ]
        }
        // Whoever sent something to this queue would make it first.
        let real = record("real-" + name, next: "next-" + name)
        try pool.insert("workflow_meta", [real, record("old-" + name, next: "narrow")])
        // One that the library drives by itself, in the same processes: its own hand-off starts the second step.
        let library = try world.runner {
            $0.plainTasks = ["workflow.add"]
            $0.serverID = "library"
        }
        library.start([])
        let old = try dispatch("workflow.add", queue: "narrow", workflow: WorkflowID("old-" + name))
        library.perform([.dispatch(old)])
        try await library.expectSuccess(of: old.taskID, "[2]")
        try await waitUntil("no hand-off of the library's own", seconds: 20) {
            (try? pool.findOne("workflow_meta", filter: ["_id": .string("old-" + name)]))?["_status"] == "SUCCESS"
        }
        library.stop()
        let before = try pool.findOne("workflow_meta", filter: ["_id": .string("old-" + name)])

        let ours = try ["workflow.add", "workflow.fail", "workflow.echo", "echo", "workflow.real"].map {
            try dispatch($0, queue: "narrow", workflow: WorkflowID("real-" + name))
        }
        runner.perform(ours.map { .dispatch($0) })
        try await runner.expectSuccess(of: ours[0].taskID, "[2]")
        try await runner.expectFailure(of: ours[1].taskID, "ValueError")
        for (dispatch, expected) in zip(
            ours[2...3], [.string("rhythm:" + ours[2].taskID.rawValue), JSONValue.string("real-" + name)])
        {
            guard case .succeeded(let result?, _) = try await runner.end(of: dispatch.taskID) else {
                Issue.record("\(runner.ends(of: dispatch.taskID))")
                continue
            }
            let seen = result.value.arrayValue?.first
            #expect(seen?["workflow_id"] == expected)
            #expect(seen?["step"] == .string("only") && seen?["app_id"] == .string("app"))
        }
        try await runner.expectSuccess(of: ours[4].taskID, "[\"real-\(name)\"]")
        runner.perform(ours.map { .settle($0.taskID) })
        #expect(
            try pool.findOne("workflow_meta", filter: ["_id": .string("real-" + name)]) == real)
        #expect(try pool.findOne("workflow_meta", filter: ["_id": .string("old-" + name)]) == before)
        try await waitUntil("private documents are left", seconds: 20) {
            (try? pool.count(
                "workflow_meta",
                filter: ["_id": ["$in": .array(ours.map { .string("rhythm:" + $0.taskID.rawValue) })]])) == 0
        }
        // Nothing of a next step was sent.
        let queues = try await world.broker.control(["list_queues", "name"])
        #expect(queues.contains("narrow") && !queues.contains("next-" + name))
    }

    /// One that is sent bare runs without any document, and leaves that of its workflow alone; the examination tells
    /// which workflows of the library stand against that.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func runsTheLibrarysTasksBare(_ version: CeleryWorker.Version) async throws {
        let (world, runner) = try await begin(version) { $0.bareTasks = ["workflow.ba*"] }
        defer { runner.stop() }
        let pool = try world.pool()
        func record(_ id: String, _ status: String, _ task: String) -> BSONDocument {
            [
                "_id": .string(id), "name": "theirs", "app_id": "app", "_status": .string(status),
                "steps": [["name": "only", "task": .string(task)]],
            ]
        }
        let real = record("bare-real", "SUCCESS", "workflow.bare")
        try pool.insert("workflow_meta", [real])
        defer { _ = try? pool.delete("workflow_meta", filter: ["_id": ["$regex": "^bare-"]], many: true) }
        let dispatch = try dispatch("workflow.bare", queue: "narrow", workflow: "bare-real", kwargs: #"{"x": 1}"#)
        runner.perform([.dispatch(dispatch)])
        guard case .succeeded(let result?, _) = try await runner.end(of: dispatch.taskID) else {
            Issue.record("\(runner.ends(of: dispatch.taskID))")
            return
        }
        let seen = try #require(result.value.arrayValue?.first)
        #expect(seen["workflow_id"] == .string("bare-real") && seen["app_id"] == .string("app"))
        #expect(seen["step"] == .null && seen["knows"] == .bool(false))
        let id = "rhythm:" + dispatch.taskID.rawValue
        #expect(try pool.findOne("workflow_meta", filter: ["_id": .string(id)]) == nil)
        #expect(try pool.findOne("workflow_meta", filter: ["_id": "bare-real"]) == real)

        func warnings() async -> [Finding] {
            await withCheckedContinuation { done in
                runner.runner.examine([]) { done.resume(returning: $0.filter { $0.code == "bare_task" }) }
            }
        }
        #expect(await warnings() == [])
        try pool.insert(
            "workflow_meta",
            [
                record("bare-1", "STARTED", "workflow.bare"), record("bare-2", "FAILURE", "workflow.bare"),
                record("bare-3", "STARTED", "workflow.echo"),
            ])
        // An examination leaves out what does not answer in time, as on a busy machine.
        var found: [Finding] = []
        try await waitUntil("nothing is found", seconds: 60) {
            found = await warnings()
            return !found.isEmpty
        }
        #expect(found.map(\.subject) == ["task workflow.bare"])
        #expect(found.first?.seen.contains("2 workflows") == true, "\(found)")
    }
}
