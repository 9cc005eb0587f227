import Foundation
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// The Python library itself reads what is stored here.
@Suite(.timeLimit(.minutes(5))) struct MongoLibraryTests {
    private static let script = """
        import json, sys
        from celery import Celery
        from sca_rhythm import Workflow
        app = Celery("reader", broker="memory://", backend=sys.argv[1])
        app.conf.mongodb_backend_settings = {"database": sys.argv[2]}
        workflow = Workflow(app, sys.argv[3])
        value = workflow.get_embellished_workflow(last_task_run=True, prev_task_runs=True)
        print("VALUE " + json.dumps(value, default=str))
        """

    @Test func theLibraryReadsOurs() async throws {
        let fixture = try MongoFixture()
        let store = try fixture.openMongo()
        let (workflow, first) = try run(in: store, fixture)
        let value = try await embellished(workflow.id, in: fixture)
        #expect(value["id"]?.stringValue == workflow.id.rawValue && value["name"]?.stringValue == "nightly")
        #expect(value["app_id"]?.stringValue == "app" && value["description"]?.stringValue == "two steps")
        #expect(value["status"]?.stringValue == "STARTED" && value["status"]?.stringValue == workflow.status.rawValue)
        #expect(value["steps_done"]?.intValue == 1 && value["total_steps"]?.intValue == 2)
        #expect(value["resume_lock"]?.stringValue != nil, "its own resume declines")
        let steps = value["steps"]?.arrayValue ?? []
        #expect(steps.map { $0["status"]?.stringValue } == ["SUCCESS", "PENDING"])
        #expect(steps.first?["task"]?.stringValue == "tasks.inspect")
        let last = steps.first?["last_task_run"]
        #expect(last?["_id"]?.stringValue == first.rawValue && last?["result"]?.arrayValue?.count == 1)
        // Python leaves out a fraction of zero.
        let created = workflow.createdAt.iso8601.replacing("T", with: " ").prefix(19)
        #expect(value["created_at"]?.stringValue?.hasPrefix(created) == true)
    }

    /// Whatever happens to workflows, the library computes the status that they have, from documents as workers write
    /// them; also where only the server knows it.
    @Test func statusesAgree() async throws {
        let fixture = try MongoFixture()
        let store = try fixture.openMongo()
        var samples = WorkflowSamples(.unseeded())
        var expected: [String: Workflow] = [:]
        for _ in 0..<60 {
            let history = samples.history(length: Int.random(in: 1...30, using: &samples.random))
            guard let workflow = history.last?.workflow else { continue }
            for attempt in workflow.steps.flatMap(\.attempts) { try insertResult(of: attempt, in: fixture) }
            for change in history { #expect(try store.commit(CommitBatch(changes: [change])) == []) }
            // While an attempt is being stopped its own document is on its way to say so.
            if case .resuming = workflow.control { continue }
            if workflow.status.isDone && !workflow.isQuiesced { continue }
            expected[workflow.id.rawValue] = workflow
        }
        let missing = WorkflowSpec(
            id: "never begun", name: "n", appID: "a",
            steps: [StepSpec(name: "s", task: "t", startTimeout: .seconds(1))])
        for end in ["start timeout", "paused", "cancelled"] {
            var spec = missing
            spec.id = WorkflowID(end)
            let start = samples.start(spec)
            var workflow = start.workflow
            var transition = samples.transition()
            switch end {
            case "paused": _ = workflow.pause(.now, in: &transition)
            case "cancelled": _ = workflow.cancel(in: &transition)
            default:
                transition = Transition(now: transition.now + .seconds(5)) { "x" }
                workflow.wakeUp(in: &transition)
            }
            let task = workflow.steps[0].attempts[0].id
            workflow.observe(.revoked(detail: "", at: transition.now), of: task, in: &transition)
            try store.commit(CommitBatch(changes: [start]))
            try store.commit(
                CommitBatch(changes: [
                    WorkflowChange(
                        workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
                ]))
            #expect(workflow.status == (end == "start timeout" ? .failure : .revoked), "\(workflow)")
            expected[end] = workflow
        }
        store.afterwork.settle()
        let ids = expected.keys.sorted()
        let found = try await run(Self.statuses, [ids.joined(separator: "\n")], in: fixture)
        for id in ids {
            guard let workflow = expected[id] else { continue }
            let seen = found[id]
            #expect(
                seen?["status"]?.stringValue == workflow.status.rawValue, "seed \(samples.random.seed): \(workflow)")
            #expect(seen?["_status"]?.stringValue == workflow.status.rawValue, "seed \(samples.random.seed)")
            // One that was cancelled after its last step has one step less to show for it.
            let done = min(workflow.pendingIndex, workflow.isCancelled ? workflow.steps.count - 1 : .max)
            #expect(seen?["steps_done"] == .integer(done), "seed \(samples.random.seed): \(workflow)")
            let steps = seen?["steps"]?.arrayValue?.map { $0.stringValue } ?? []
            for (index, step) in workflow.steps.enumerated() where index != done {
                #expect(steps[index] == step.status.rawValue, "seed \(samples.random.seed), \(index): \(workflow)")
            }
        }
    }

    private static let statuses = """
        import json, sys
        from celery import Celery
        from sca_rhythm import Workflow
        app = Celery("reader", broker="memory://", backend=sys.argv[1])
        app.conf.mongodb_backend_settings = {"database": sys.argv[2]}
        value = {}
        for identifier in sys.argv[3].split("\\n"):
            workflow = Workflow(app, identifier)
            seen = workflow.get_embellished_workflow(last_task_run=False)
            value[identifier] = {
                "status": seen["status"], "_status": workflow.workflow["_status"], "steps_done": seen["steps_done"],
                "steps": [step["status"] for step in seen["steps"]],
            }
        print("VALUE " + json.dumps(value))
        """

    /// As a worker has left it: it knows nothing of time limits of steps, nor that it is taken for dead.
    private func insertResult(of attempt: Attempt, in fixture: MongoFixture) throws {
        guard attempt.startedAt != nil || ![.pending, .revoked].contains(attempt.status) else { return }
        var word = attempt.status.rawValue
        if attempt.status == .failure, attempt.revocation != nil { word = "REVOKED" }
        if attempt.status == .failure, attempt.failure?.module == "rhythm" { word = "STARTED" }
        if attempt.status == .pending { return }
        try fixture.pool.insert(
            "celery_taskmeta",
            [
                "_id": .string(attempt.id.rawValue), "status": .string(word), "traceback": .null, "children": [],
                "result": ["FAILURE", "REVOKED", "RETRY"].contains(word)
                    ? "{\"exc_type\": \"E\", \"exc_message\": [1], \"exc_module\": \"m\"}" : "[1]",
                "date_done": "2026-01-02T03:04:05.678",
            ])
    }

    /// A workflow whose first step has succeeded, in the store and in Celery's results.
    private func run(in store: MongoStore, _ fixture: MongoFixture) throws -> (Workflow, TaskID) {
        var samples = WorkflowSamples(.unseeded())
        let start = samples.start(
            WorkflowSpec(
                name: "nightly", appID: "app", description: "two steps",
                steps: [
                    StepSpec(name: "inspect", task: "tasks.inspect"),
                    StepSpec(
                        name: "copy", task: "tasks.copy", queue: "q", kwargs: try JSON(parsing: "{\"n\": [1, NaN]}")),
                ]))
        var workflow = start.workflow
        var transition = samples.transition()
        let first = workflow.steps[0].attempts[0].id
        workflow.observe(.started(at: transition.now, worker: "w1"), of: first, in: &transition)
        workflow.observe(
            .succeeded(result: try JSON(parsing: "[1]"), at: transition.now), of: first, in: &transition)
        let change = WorkflowChange(
            workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
        #expect(try store.commit(CommitBatch(changes: [start])) == [])
        #expect(try store.commit(CommitBatch(changes: [change])) == [])
        try fixture.pool.insert(
            "celery_taskmeta",
            [
                "_id": .string(first.rawValue), "status": "SUCCESS", "result": "[1]", "traceback": .null,
                "children": [],
                "date_done": "2026-01-02T03:04:05.678",
            ])
        store.afterwork.settle()
        return (workflow, first)
    }

    private func embellished(_ id: WorkflowID, in fixture: MongoFixture) async throws -> JSONValue {
        try await run(Self.script, [id.rawValue], in: fixture)
    }

    private func run(_ script: String, _ arguments: [String], in fixture: MongoFixture) async throws -> JSONValue {
        let output = try ProcessGuard.shared.get().makeFolder("library") + "/output"
        let address = try MongoFixture.server.get().address()
        let child = try Processes.Child(
            try CeleryWorker.python(.celery57), ["-c", script, address, fixture.pool.database] + arguments,
            environment: ["PATH": "/usr/bin:/bin"], output: output)
        try ProcessGuard.shared.get().watch(child)
        let end = try await child.end(within: 60)
        try ProcessGuard.shared.get().forget(child)
        let text = try String(contentsOfFile: output, encoding: .utf8)
        #expect(end == .exited(0), "\(text)")
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("VALUE ") }, "\(text)")
        return try JSON(parsing: String(line.dropFirst(6))).value
    }
}
