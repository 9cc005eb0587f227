import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// The form of what is stored, for programs that read the collection without us.
@Suite(.timeLimit(.minutes(5))) struct MongoDocumentTests {
    /// The Python library's fields, with its types; what is ours stands beside them.
    @Test func theLibrarysFields() throws {
        let fixture = try MongoFixture()
        let store = try fixture.openMongo()
        let spec = WorkflowSpec(
            id: "w", name: "nightly", appID: "app", description: "three steps", labels: ["team": "x"],
            args: try JSON(parsing: "[\"batch\"]"),
            steps: [
                StepSpec(name: "inspect", task: "tasks.inspect"),
                StepSpec(
                    name: "copy", task: "tasks.copy", queue: "q", priority: 5,
                    kwargs: try JSON(
                        parsing: "{\"n\": 4, \"f\": 1.5, \"big\": 18446744073709551616, \"x\": [NaN, null]}")),
                StepSpec(name: "odd", task: "tasks.odd", kwargs: try JSON(parsing: "{\"$where\": 1}")),
            ])
        var samples = WorkflowSamples(SeededGenerator(seed: 1))
        let change = samples.start(spec)
        try store.commit(CommitBatch(changes: [change]))
        var workflow = change.workflow
        let created = workflow.createdAt
        store.afterwork.settle()
        var document = try projection(fixture, "w")
        #expect(document["steps"]?.arrayValue?.first?.documentValue == ["name": "inspect", "task": "tasks.inspect"])
        #expect(document["_status"] == "PENDING")

        var transition = samples.transition()
        let first = workflow.steps[0].attempts[0].id
        let began = Timestamp(microseconds: created.microseconds + 1_234_567)
        workflow.observe(.started(at: began, worker: "w1"), of: first, in: &transition)
        transition = Transition(now: Timestamp(microseconds: began.microseconds + 1), makeTaskID: { "t-next" })
        var events = transition.events
        workflow.observe(.started(at: began, worker: "w1"), of: first, in: &transition)
        events += transition.events
        // Stored as the library shows it: a date of whole milliseconds, oldest first.
        let started = workflow.steps[0].attempts[0].startedAt ?? created
        let stored = WorkflowChange(
            workflow: workflow, isNew: false, touched: [AttemptPosition(step: 0, attempt: 0)],
            events: (0..<Int(workflow.version - change.workflow.version)).map { offset in
                Event(
                    workflowID: "w", version: change.workflow.version + Int64(offset) + 1, at: began, kind: .started,
                    status: .started, stepsDone: 0)
            })
        #expect(try store.commit(CommitBatch(changes: [stored])) == [])

        store.afterwork.settle()
        document = try projection(fixture, "w")
        let top = document.elements.map(\.key)
        let library = [
            "_id", "created_at", "updated_at", "steps", "name", "app_id", "description", "_status", "resume_lock",
        ]
        #expect(Set(top) == Set(library + ["version", "started_at", "ended_at", "labels", "rhythm"]))
        #expect(document["rhythm"]?.documentValue == ["schema": .int64(3), "at": .int64(2)])
        #expect(document["created_at"] == .date(milliseconds: created.microseconds / 1000))
        #expect(document["name"] == "nightly" && document["app_id"] == "app")
        #expect(document["description"] == "three steps" && document["resume_lock"]?.dateMilliseconds != nil)
        #expect(document["_status"] == "STARTED" && document["labels"] == ["team": "x"])
        #expect(document["version"]?.int64Value == workflow.version)
        let steps = document["steps"]?.arrayValue?.compactMap(\.documentValue) ?? []
        #expect(
            steps[0]["task_runs"]
                == [
                    [
                        "date_start": .date(milliseconds: started.microseconds / 1000),
                        "task_id": .string(first.rawValue),
                    ]
                ])
        #expect(steps[1]["queue"] == "q" && steps[1]["priority"]?.int64Value == 5 && steps[1]["task_runs"] == nil)
        let kwargs = steps[1]["kwargs"]?.documentValue
        #expect(kwargs?["n"] == 4 && kwargs?["f"] == 1.5)
        #expect(kwargs?["big"] == .double(18_446_744_073_709_551_616))
        #expect(kwargs?["x"]?.arrayValue?.first?.doubleValue?.isNaN == true)
        #expect(steps[2]["kwargs"] == nil)
        #expect(try store.load("w") == workflow)
    }

    /// A write leaves alone what it does not change: what somebody else put there is still there. Both after a write of
    /// the store's own and after a read.
    @Test(arguments: [false, true]) func writesOnlyWhatChanges(_ isReadBefore: Bool) throws {
        let fixture = try MongoFixture()
        var store = try fixture.openMongo()
        var samples = WorkflowSamples(SeededGenerator(seed: 1))
        let spec = WorkflowSpec(id: "w", name: "n", appID: "a", steps: [StepSpec(name: "s", task: "t")])
        let start = samples.start(spec)
        try store.commit(CommitBatch(changes: [start]))
        if isReadBefore {
            try fixture.close()
            store = try fixture.openMongo()
            #expect(try store.load("w") == start.workflow)
        }
        let unchanged = ["writer", "settled", "requests", "open", "name", "fixed", "pairs"]
        let marks = BSONDocument(unchanged.map { .init($0, "left alone") })
        _ = try fixture.pool.update("rhythm_workflows", filter: ["_id": "w"], update: ["$set": .document(marks)])
        var workflow = start.workflow
        var transition = samples.transition()
        workflow.observe(
            .started(at: transition.now, worker: "w1"), of: workflow.steps[0].attempts[0].id, in: &transition)
        let change = WorkflowChange(
            workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
        #expect(try store.commit(CommitBatch(changes: [change])) == [])
        let document = try record(fixture, "w")
        #expect(document["status"] == "STARTED" && document["version"]?.int64Value == workflow.version)
        for name in unchanged { #expect(document[name] == "left alone", "\(name)") }
    }

    /// The labels that a server's index must tell apart.
    @Test func labelPairsAreUnambiguous() {
        let pairs = [("a", "b"), ("ab", ""), ("a:b", ""), ("", "ab"), ("1:a", "b"), ("ä", "b")]
        #expect(Set(pairs.map { WorkflowDocument.labelPair($0.0, $0.1) }).count == pairs.count)
    }

    @Test func timesBeforeTheEpochAreCutDown() {
        #expect(Timestamp(microseconds: -1).wholeMilliseconds == -1)
        #expect(Timestamp(microseconds: -1000).wholeMilliseconds == -1)
        #expect(Timestamp(microseconds: 1999).wholeMilliseconds == 1)
        #expect(Timestamp(milliseconds: .max).microseconds == .max)
    }

    @Test func indexesAreMadeOnceAndMayBeMadeBeforehand() throws {
        let fixture = try MongoFixture()
        try fixture.openMongo()
        for (collection, indexes) in [
            ("rhythm_workflows", MongoCollections.workflowIndexes), ("rhythm_lists", MongoCollections.listIndexes),
            ("workflow_meta", MongoCollections.libraryIndexes),
        ] {
            let names = try fixture.pool.indexNames(collection)
            #expect(names == Set(indexes.map(\.name) + ["_id_"]))
            let one = try #require(indexes.last).name
            _ = try fixture.pool.writeCommand(["dropIndexes": .string(collection), "index": .string(one)])
            try fixture.close()
            try fixture.openMongo()
            #expect(try fixture.pool.indexNames(collection) == names)
        }
    }

    /// Documents of attempts live in the same collection and are no workflows.
    @Test func documentsOfAttemptsAreNoWorkflows() throws {
        let fixture = try MongoFixture()
        let store = try fixture.openMongo()
        try fixture.pool.insert(
            "workflow_meta",
            [
                "_id": "rhythm:t", "name": "n", "app_id": "a", "_status": "PENDING",
                "created_at": .date(milliseconds: 1),
                "steps": [["name": "s", "task": "t"]], "rhythm_private": ["server": "x"],
            ])
        #expect(try store.reader.list(ListQuery()).rows == [])
        #expect(try store.reader.counts(WorkflowFilter()) == [:])
        #expect(try store.reader.ids(withPrefix: "rhythm", limit: 9) == [])
        #expect(try store.reader.load("rhythm:t") == nil && store.load("rhythm:t") == nil)
    }

    @Test(arguments: ["revision", "fixed", "attempts", "state", "version", "pairs"])
    func damageIsReportedWithTheWorkflowAndTheField(_ field: String) throws {
        let fixture = try MongoFixture()
        let store = try fixture.openMongo()
        var samples = WorkflowSamples(.unseeded())
        let change = samples.start()
        try store.commit(CommitBatch(changes: [change]))
        let id = change.workflow.id
        _ = try fixture.pool.update(
            "rhythm_workflows", filter: ["_id": .string(id.rawValue)],
            update: ["$set": .document(BSONDocument([.init(field, .bool(true))]))])
        let error = #expect(throws: StoreError.self) { _ = try store.load(id) }
        #expect(error?.code == .corrupt)
        let name = field.split(separator: ".").last.map { String($0) } ?? ""
        #expect(
            error?.message.contains(id.rawValue) == true && error?.message.contains(name) == true,
            "\(String(describing: error))")
        #expect(throws: StoreError.self) { _ = try store.reader.load(id) }
    }

    private func record(_ fixture: MongoFixture, _ id: String) throws -> BSONDocument {
        try #require(try fixture.pool.findOne("rhythm_workflows", filter: ["_id": .string(id)]))
    }

    private func projection(_ fixture: MongoFixture, _ id: String) throws -> BSONDocument {
        try #require(try fixture.pool.findOne("workflow_meta", filter: ["_id": .string(id)]))
    }
}
