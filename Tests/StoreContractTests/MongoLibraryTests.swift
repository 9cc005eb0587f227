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
        #expect(value["resume_lock"] == .null)
        let steps = value["steps"]?.arrayValue ?? []
        #expect(steps.map { $0["status"]?.stringValue } == ["SUCCESS", "PENDING"])
        #expect(steps.first?["task"]?.stringValue == "tasks.inspect")
        let last = steps.first?["last_task_run"]
        #expect(last?["_id"]?.stringValue == first.rawValue && last?["result"]?.arrayValue?.count == 1)
        // Python leaves out a fraction of zero.
        let created = workflow.createdAt.iso8601.replacing("T", with: " ").prefix(19)
        #expect(value["created_at"]?.stringValue?.hasPrefix(created) == true)
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
        return (workflow, first)
    }

    private func embellished(_ id: WorkflowID, in fixture: MongoFixture) async throws -> JSONValue {
        let output = try ProcessGuard.shared.get().makeFolder("library") + "/output"
        let address = try MongoFixture.server.get().address()
        let child = try Processes.Child(
            try CeleryWorker.python(.celery57), ["-c", Self.script, address, fixture.pool.database, id.rawValue],
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
