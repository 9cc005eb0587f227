import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine
import RhythmLane
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmCelery

/// Private documents that are stored before their steps come.
@Suite(.timeLimit(.minutes(5))) struct SpareDocumentsTests {
    private static func dispatch(
        _ id: TaskID, _ step: String, before following: [String] = [], workflow: WorkflowID = "w"
    ) -> Dispatch {
        Dispatch(
            taskID: id, workflowID: workflow, appID: "app", step: step, task: "task",
            following: following.map { .init(name: $0, task: "task-\($0)") })
    }

    // MARK: Who gets which

    @Test func eachIsGivenOnce() {
        var spares = SpareDocuments()
        spares.add(of: Self.dispatch("t1", "a", before: ["b", "c"]), now: .zero)
        #expect(spares.take(for: Self.dispatch("t9", "b", workflow: "other"), now: .zero) == nil)
        #expect(spares.take(for: Self.dispatch("t2", "b"), now: .zero) == "rhythm:t1:1")
        #expect(spares.take(for: Self.dispatch("t3", "b"), now: .zero) == nil, "the step's second attempt")
        #expect(spares.has("w"))
        #expect(spares.take(for: Self.dispatch("t4", "c"), now: .zero) == "rhythm:t1:2")
        #expect(!spares.has("w"))
        spares.add(of: Self.dispatch("t5", "z"), now: .zero)
        #expect(!spares.has("w"), "nothing comes after the last step")
    }

    /// Those of a workflow that does not go on are given up, but not while one of its attempts is alive.
    @Test func whatNobodyNeedsIsGivenUp() {
        var spares = SpareDocuments()
        spares.add(of: Self.dispatch("t1", "a", before: ["b", "c", "d"]), now: .zero)
        #expect(spares.take(for: Self.dispatch("t2", "b"), now: .seconds(10)) != nil)
        // The end of the one before comes after the next has begun.
        spares.end("t1", of: "w", due: .seconds(70))
        #expect(spares.giveUp(now: .seconds(5000)) == [])
        spares.end("t2", of: "w", due: .seconds(5100))
        #expect(spares.giveUp(now: .seconds(5099)) == [])
        // The workflow goes on in time, and then no more.
        #expect(spares.take(for: Self.dispatch("t3", "c"), now: .seconds(5099)) == "rhythm:t1:2")
        #expect(spares.giveUp(now: .seconds(5100)) == [])
        spares.end("t3", of: "w", due: .seconds(6000))
        #expect(spares.giveUp(now: .seconds(6000)) == ["rhythm:t1:3"])
        #expect(!spares.has("w"))
    }

    /// By then they may be swept.
    @Test func oldOnesAreNotGiven() {
        var spares = SpareDocuments()
        spares.add(of: Self.dispatch("t1", "a", before: ["b"]), now: .zero)
        let late = SpareDocuments.freshness
        #expect(spares.take(for: Self.dispatch("t2", "b"), now: late) == nil)
        spares.end("t1", of: "w", due: late + .seconds(60))
        #expect(spares.giveUp(now: late + .seconds(60)) == ["rhythm:t1:1"])
    }

    // MARK: At the desk

    private static func desk() throws -> CeleryDesk {
        var configuration = CeleryConfiguration(
            broker: "amqp://127.0.0.1:1//", results: "mongodb://127.0.0.1:1/celery", serverID: "s1")
        configuration.libraryTasks = ["task"]
        configuration.plainTasks = ["task-plain"]
        configuration.bareTasks = ["task-bare"]
        let lane = Lane(label: "desk")
        let inbox = DeskInbox(lane: lane)
        let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        return CeleryDesk(
            configuration, lane: lane,
            links: Links(
                try AMQPBrokers(parsing: configuration.broker), configuration, inbox: inbox, logger: quiet),
            results: ResultBackend(
                try MongoPool(uri: configuration.results), configuration,
                collection: MongoCollectionName(configuration.resultsCollection), inbox: inbox),
            logger: quiet)
    }

    /// A step whose document is there already is sent at once; one that is not waits for it, and asks for no second set.
    @Test func theNextStepIsSentAtOnce() async throws {
        let desk = try Self.desk()
        let first = Self.dispatch("t1", "a", before: ["b"])
        await desk.process([.perform([.dispatch(first)])])
        #expect(await desk.isPreparing("t1"))
        await desk.process([.prepared([(first, withSpares: true)], trouble: nil)])
        #expect(await desk.document(of: "t1") == "rhythm:t1")
        let second = Self.dispatch("t2", "b")
        await desk.process([.perform([.settle("t1"), .dispatch(second)])])
        #expect(await desk.document(of: "t2") == "rhythm:t1:1")
        let again = Self.dispatch("t3", "b")
        await desk.process([.perform([.dispatch(again)])])
        #expect(await desk.isPreparing("t3"))
    }

    /// None is stored for a step that will not be given it.
    @Test func onlyWhoNeedsOneGetsOne() async throws {
        let desk = try Self.desk()
        let first = Self.dispatch("t1", "a", before: ["plain", "b", "bare", "c"])
        let prepared = await desk.preparation(of: first)
        #expect(prepared.taskID == "t1" && prepared.following.map(\.name) == ["b", "c"])
    }

    /// That the broker is there again while a document is being stored asks for no second one, whose arrival would be
    /// taken for that of an attempt which was withdrawn: a message in a queue would lose its document.
    @Test func aDocumentInUseIsKept() async throws {
        let desk = try Self.desk()
        let first = Self.dispatch("t1", "a")
        await desk.process([.perform([.dispatch(first)])])
        await desk.process([.link(.tasks, .ready(again: true))])
        #expect(await desk.isPreparing("t1"))
        #expect(await desk.unsent == [])
        for _ in 0..<2 { await desk.process([.prepared([(first, withSpares: true)], trouble: nil)]) }
        #expect(await desk.document(of: "t1") == "rhythm:t1")
        #expect(await desk.leftovers.map(\.document) == [])
    }

    /// It is not known whether they were stored: nobody is given one.
    @Test func whatMayNotBeThereIsNotGiven() async throws {
        let desk = try Self.desk()
        let first = Self.dispatch("t1", "a", before: ["b"])
        await desk.process([.perform([.dispatch(first)])])
        await desk.process([.prepared([(first, withSpares: true)], trouble: "cut off")])
        #expect(await desk.document(of: "t1") == nil)
        await desk.process([.perform([.dispatch(Self.dispatch("t2", "b"))])])
        #expect(await desk.document(of: "t2") == nil)
    }

    /// What was stored, or may have been, for an attempt that is withdrawn meanwhile is deleted some time later.
    @Test(arguments: [nil, "cut off"]) func aWithdrawnDocumentIsDeleted(trouble: String?) async throws {
        let desk = try Self.desk()
        let first = Self.dispatch("t1", "a", before: ["b"])
        await desk.process([.perform([.dispatch(first)])])
        await desk.process([.perform([.revoke("t1", of: "w")])])
        await desk.process([.perform([.settle("t1")])])
        await desk.process([.prepared([(first, withSpares: true)], trouble: trouble)])
        #expect(await desk.leftDocuments(by: .seconds(100)) == ["rhythm:t1", "rhythm:t1:1"])
    }

    /// The same where the database refuses, or does not answer, before that.
    @Test func aDocumentThatMayBeThereIsDeleted() async throws {
        let desk = try Self.desk()
        let first = Self.dispatch("t1", "a")
        await desk.process([.perform([.dispatch(first)])])
        await desk.process([.prepared([(first, withSpares: true)], trouble: "cut off")])
        await desk.process([.perform([.revoke("t1", of: "w"), .settle("t1")])])
        #expect(await desk.leftDocuments(by: .seconds(100)) == ["rhythm:t1"])
    }

    // MARK: With a real worker and database

    private static func libraryDispatch(
        _ step: String, before following: [String], workflow: WorkflowID
    ) -> Dispatch {
        Dispatch(
            taskID: .random(), workflowID: workflow, appID: "app", step: step, task: "workflow.echo",
            following: following.map { .init(name: $0, task: "workflow.echo") })
    }

    /// The second step of a workflow runs with what was stored with the first, and nothing of it stays.
    @Test func aWorkflowRunsOnThem() async throws {
        let world = try await Worlds.forContract(.celery57)
        let runner = try world.runner { $0.times.privateDocument = .milliseconds(100) }
        runner.start([])
        defer { runner.stop() }
        let pool = try world.pool()
        let first = Self.libraryDispatch("a", before: ["b", "c"], workflow: "spares")
        let second = Self.libraryDispatch("b", before: ["c"], workflow: "spares")
        for (attempt, suffix) in [(first, ""), (second, ":1")] {
            runner.perform([.dispatch(attempt)])
            guard case .succeeded(let result?, _) = try await runner.end(of: attempt.taskID) else {
                Issue.record("\(runner.ends(of: attempt.taskID))")
                return
            }
            let seen = result.value.arrayValue?.first
            #expect(seen?["workflow_id"] == .string("rhythm:" + first.taskID.rawValue + suffix))
            #expect(seen?["step"] == .string(attempt.step))
        }
        runner.perform([.settle(first.taskID), .settle(second.taskID)])
        try await waitUntil("documents are left", seconds: 20) {
            (try? pool.count("workflow_meta", filter: ["rhythm_private.workflow_id": "spares"])) == 0
        }
    }

    /// Nobody else knows which are free: a stop deletes them, and none that an attempt was given.
    @Test func aStopLeavesNone() async throws {
        let world = try await Worlds.forContract(.celery57)
        let runner = try world.runner()
        runner.start([])
        let pool = try world.pool()
        let first = Self.libraryDispatch("a", before: ["b", "c", "d"], workflow: "stopped")
        let second = Self.libraryDispatch("b", before: ["c", "d"], workflow: "stopped")
        for attempt in [first, second] {
            runner.perform([.dispatch(attempt)])
            _ = try await runner.end(of: attempt.taskID)
        }
        let filter: BSONDocument = ["rhythm_private.workflow_id": "stopped"]
        #expect(try pool.count("workflow_meta", filter: filter) == 4)
        runner.stop()
        await runner.runner.finish(within: .seconds(20))
        let left = try pool.find("workflow_meta", filter: filter).compactMap { $0["_id"]?.stringValue }
        let own = PrivateDocument.id(of: first.taskID)
        #expect(left.sorted() == [own, own + ":1"])
        try pool.delete("workflow_meta", filter: filter, many: true)
    }

    /// What a crash has left behind is deleted by the next start, and nothing else is.
    @Test func leftoversAreSwept() async throws {
        let world = try await Worlds.forContract(.celery57)
        let pool = try world.pool()
        let day: Int64 = 86_400_000
        let now = Timestamp.wallClock.microseconds / 1000
        func document(_ id: String, days: Int64, begun: String? = nil, isPrivate: Bool = true) -> BSONDocument {
            var step: BSONDocument = ["name": "a", "task": "t"]
            if let begun { step.append("task_runs", .array([["task_id": "old"], ["task_id": .string(begun)]])) }
            var document: BSONDocument = [
                "_id": .string(id), "created_at": .date(milliseconds: now - days * day),
                "steps": .array([.document(step)]),
            ]
            if isPrivate { document.append("rhythm_private", ["workflow_id": "swept"]) }
            return document
        }
        try pool.insert(
            "celery_taskmeta",
            [["_id": "swept-ended", "status": "FAILURE"], ["_id": "swept-runs", "status": "STARTED"]])
        // They come before the others, and fill more than a page.
        let queued = (0..<1200).map { document("rhythm:queued-\($0)", days: 400) }
        let kept =
            queued + [
                document("rhythm:swept-ended-young", days: 0), document("rhythm:swept-runs", days: 400),
                document("rhythm:swept-queued", days: 400),
                document("rhythm:swept-ended:1", days: 400, begun: "swept-runs"),
                document("rhythm:swept-ended:2", days: 29),
                document("swept-workflow", days: 400, begun: "swept-ended", isPrivate: false),
            ]
        let swept = [
            document("rhythm:swept-ended", days: 2), document("rhythm:swept-ended:3", days: 2, begun: "swept-ended"),
            document("rhythm:swept-ended:4", days: 31),
        ]
        try pool.insert("workflow_meta", kept + swept)
        let runner = try world.runner()
        runner.start([])
        defer { runner.stop() }
        func left(_ documents: [BSONDocument]) throws -> Int {
            try pool.count("workflow_meta", filter: ["_id": ["$in": .array(documents.compactMap { $0["_id"] })]])
        }
        try await waitUntil("they are not swept", seconds: 20) { (try? left(swept)) == 0 }
        #expect(try left(kept) == kept.count)
        try pool.delete(
            "workflow_meta", filter: ["_id": ["$in": .array(kept.compactMap { $0["_id"] })]], many: true)
    }
}

extension CeleryDesk {
    fileprivate func document(of id: TaskID) -> String? {
        entries[id].flatMap { $0.isDocumentStored ? $0.privateDocument : nil }
    }

    fileprivate func isPreparing(_ id: TaskID) -> Bool {
        if case .preparing = entries[id]?.phase { true } else { false }
    }

    /// What is to be deleted by then, counted from now.
    fileprivate func leftDocuments(by time: Duration) -> [String] {
        let given = spares.giveUp(now: now + time)
        return (leftovers.filter { $0.due <= now + time }.map(\.document) + given).sorted()
    }
}
