import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// Documents that the Python library wrote, in the forms that its versions and Celery's have.
@Suite(.timeLimit(.minutes(5))) struct MongoLegacyTests {
    private let fixture: MongoFixture
    private let store: MongoStore

    init() throws {
        fixture = try MongoFixture()
        store = try fixture.openMongo()
    }

    @Test func aFinishedWorkflow() throws {
        try insertFinished()
        let workflow = try #require(try store.reader.load("old"))
        #expect(workflow.name == "archive_batch" && workflow.appID == "app-1" && workflow.description == "two steps")
        #expect(workflow.status == .success && workflow.pendingIndex == 2)
        #expect(workflow.args.text == "[\"batch-7\"]")
        #expect(workflow.createdAt == Timestamp(microseconds: 1_795_416_383_688_000))
        #expect(workflow.startedAt == Timestamp(microseconds: 1_795_416_383_764_000))
        // The text has no offset and means UTC; without a fraction it has none.
        #expect(workflow.steps[0].attempts[0].endedAt == Timestamp(iso8601: "2026-11-23T06:46:24.199327Z"))
        #expect(workflow.endedAt == Timestamp(iso8601: "2026-11-23T06:46:29Z"))
        #expect(workflow.steps[0].spec.queue == "x_q1" && workflow.steps[1].spec.priority == 5)
        #expect(workflow.steps[1].spec.kwargs.text == "{\"seconds\": 4}")
        let attempts = workflow.steps[1].attempts
        #expect(attempts.map(\.status) == [.revoked, .success] && attempts.map(\.number) == [1, 2])
        #expect(attempts[0].superseded && !attempts[1].superseded)
        #expect(attempts[0].failure?.type == "TaskRevokedError" && attempts[0].failure?.message == "terminated")
        #expect(attempts[1].result?.text == "[\"batch-7\", {\"n\": NaN}]")
        #expect(attempts[1].worker == "x1@vm" && attempts[1].retries == 1)
        #expect(workflow.isSettled)
    }

    /// A worker without `result_extended` stores neither arguments nor keyword arguments. Those of the step are in the
    /// workflow's own document, and go with whatever repeats the attempt.
    @Test func keywordArgumentsOfTheStep() throws {
        func insert(_ id: String, _ result: BSONDocument) throws {
            let kwargs: BSONDocument = ["until": "noon", "workflow_id": .string(id), "step": "s", "app_id": "a"]
            try fixture.pool.insert(
                "workflow_meta",
                [
                    "_id": .string(id), "created_at": .date(milliseconds: 5), "name": "n", "app_id": "a",
                    "_status": "FAILURE",
                    "steps": [
                        [
                            "name": "s", "task": "t", "kwargs": .document(kwargs),
                            "task_runs": [["date_start": .date(milliseconds: 7), "task_id": .string("run-" + id)]],
                        ]
                    ],
                ])
            var document: BSONDocument = [
                "_id": .string("run-" + id), "status": "FAILURE", "traceback": "lines",
                "date_done": .date(milliseconds: 9),
                "result": "{\"exc_type\": \"OSError\", \"exc_message\": [\"no\"], \"exc_module\": \"builtins\"}",
            ]
            document.elements += result.elements
            try fixture.pool.insert("celery_taskmeta", document)
        }
        try insert("bare", [:])
        try insert("null", ["kwargs": .null])
        try insert("whole", ["kwargs": ["until": "night", "workflow_id": "whole", "step": "s", "app_id": "a"]])
        for (id, kwargs) in [("bare", "noon"), ("null", "noon"), ("whole", "night")] {
            let workflow = try #require(try store.reader.load(WorkflowID(id)))
            #expect(workflow.steps[0].current?.kwargs.text == "{\"until\": \"\(kwargs)\"}", "\(id)")
        }
    }

    /// A status that the library's own cache does not know: the worker died.
    @Test func aFailureThatNobodyRecorded() throws {
        try fixture.pool.insert(
            "workflow_meta",
            [
                "_id": "old", "created_at": .date(milliseconds: 5), "name": "n", "app_id": "a", "description": .null,
                "_status": "STARTED",
                "steps": [
                    ["name": "s", "task": "t", "task_runs": [["date_start": .date(milliseconds: 7), "task_id": "1"]]]
                ],
            ])
        #expect(try store.reader.load("old")?.status == .pending)
        try fixture.pool.insert(
            "celery_taskmeta",
            [
                "_id": "1", "status": "FAILURE", "traceback": "lines", "date_done": .date(milliseconds: 9),
                "result":
                    "{\"exc_type\": \"FileNotFoundError\", \"exc_message\": [2, \"not there\"], \"exc_module\": \"builtins\"}",
            ])
        let workflow = try #require(try store.reader.load("old"))
        #expect(workflow.status == .failure && workflow.endedAt == Timestamp(milliseconds: 9))
        let failure = workflow.steps[0].attempts[0].failure
        #expect(
            failure
                == Failure(type: "FileNotFoundError", message: "2, not there", module: "builtins", traceback: "lines"))
        #expect(try store.reader.list(ListQuery()).rows.map(\.status) == [.failure])
    }

    @Test func aRunningStepWithProgress() throws {
        try insertRunning()
        let attempt = try #require(try store.reader.load("running")?.steps[0].attempts[0])
        #expect(attempt.status == .started && attempt.isLive)
        #expect(attempt.progress?.done == 1 && attempt.progress?.total == 2 && attempt.progress?.name == "copy")
        #expect(attempt.progress?.weightedRate == 5 && attempt.progress?.timeRemaining == 0.2)
    }

    /// Everything but the id may be missing, or be something else.
    @Test func oddDocuments() throws {
        let odd: [BSONDocument] = [
            ["_id": "1"], ["_id": "2", "steps": .null, "name": 7, "updated_at": .null],
            ["_id": "3", "steps": ["x", ["task_runs": [1, ["task_id": 2], ["task_id": "none"]]]], "_status": "ODD"],
            ["_id": "4", "steps": [["name": "s", "task_runs": .null, "kwargs": "x", "priority": "high"]]],
            ["_id": "6", "description": "\0", "updated_at": .date(milliseconds: -1)],
        ]
        try fixture.pool.insert("workflow_meta", odd)
        for document in odd {
            guard let id = document["_id"]?.stringValue else { continue }
            #expect(try store.reader.load(WorkflowID(id))?.id == WorkflowID(id))
        }
        #expect(try store.reader.ids(withPrefix: "", limit: 100).map(\.rawValue) == ["1", "2", "3", "4", "6"])
        #expect(try store.reader.counts(WorkflowFilter()).values.reduce(0, +) == 5)
        for sort in ListQuery.Sort.allCases {
            for ascending in [true, false] {
                var query = ListQuery(sort: sort, ascending: ascending, limit: 1)
                var seen: [String] = []
                repeat {
                    let page = try store.reader.list(query)
                    seen += page.rows.map(\.id.rawValue)
                    query.cursor = page.next
                } while query.cursor != nil && seen.count < 20
                #expect(seen.sorted() == ["1", "2", "3", "4", "6"], "\(sort) \(ascending)")
            }
        }
    }

    /// Ours and theirs in one list, page by page, by either time.
    @Test func listsMixOursAndTheirs() throws {
        var samples = WorkflowSamples(.unseeded())
        var expected: [(Timestamp, String)] = []
        for number in 0..<12 {
            if number % 3 == 0 {
                let time = samples.now.wholeMilliseconds
                try fixture.pool.insert(
                    "workflow_meta",
                    [
                        "_id": .string("old-\(number)"), "created_at": .date(milliseconds: time),
                        "updated_at": .date(milliseconds: time), "name": "n", "app_id": "a", "_status": "PENDING",
                        "steps": [["name": "s", "task": "t"]],
                    ])
                expected.append((Timestamp(milliseconds: time), "old-\(number)"))
            } else {
                let change = samples.start()
                try store.commit(CommitBatch(changes: [change]))
                expected.append((change.workflow.createdAt, change.workflow.id.rawValue))
            }
            samples.now.microseconds += 1_001
        }
        for sort in ListQuery.Sort.allCases {
            var query = ListQuery(sort: sort, limit: 5)
            var seen: [String] = []
            repeat {
                let page = try store.reader.list(query)
                seen += page.rows.map(\.id.rawValue)
                query.cursor = page.next
            } while query.cursor != nil
            #expect(seen == expected.sorted { $1 < $0 }.map(\.1))
        }
        #expect(try store.reader.counts(WorkflowFilter())[.pending] == 12)
        let none = WorkflowFilter(createdFrom: expected[0].0, createdBefore: expected[0].0)
        #expect(try store.reader.list(ListQuery(filter: none)).rows == [])
    }

    /// Documents of before October 2023 have no stored status, and what is stored is behind where nobody lived to write
    /// it: rows, filters and counts say the same all the same.
    @Test func theSameStatusEverywhere() throws {
        let results: [(id: String, stored: BSONValue?, result: String?, status: WorkflowStatus)] = [
            ("1", nil, "SUCCESS", .success), ("2", nil, "FAILURE", .failure), ("3", nil, "REVOKED", .revoked),
            ("4", nil, "STARTED", .started), ("5", nil, nil, .pending), ("6", "STARTED", "FAILURE", .failure),
            ("7", "STARTED", "SUCCESS", .success), ("8", "SUCCESS", nil, .success),
            ("9", "REVOKED", "SUCCESS", .success),
            ("a", "PENDING", "STARTED", .started), ("b", "FAILURE", "FAILURE", .failure),
        ]
        for (index, each) in results.enumerated() {
            var document: BSONDocument = [
                "_id": .string(each.id), "created_at": .date(milliseconds: Int64(index)),
                "steps": [
                    [
                        "name": "s", "task": "t",
                        "task_runs": [["date_start": .date(milliseconds: 7), "task_id": .string("r" + each.id)]],
                    ]
                ],
            ]
            document.add("_status", each.stored)
            try fixture.pool.insert("workflow_meta", document)
            guard let result = each.result else { continue }
            try fixture.pool.insert(
                "celery_taskmeta", ["_id": .string("r" + each.id), "status": .string(result), "result": "[1]"])
        }
        let expected = Dictionary(grouping: results, by: \.status).mapValues { $0.map(\.id).sorted() }
        #expect(try store.reader.counts(WorkflowFilter()) == expected.mapValues(\.count))
        for status in WorkflowStatus.allCases {
            let filter = WorkflowFilter(statuses: [status])
            #expect(try store.reader.counts(filter) == expected.filter { $0.key == status }.mapValues(\.count))
            for limit in [1, 2, 50] {
                var query = ListQuery(filter: filter, limit: limit)
                var rows: [WorkflowSummary] = []
                repeat {
                    let page = try store.reader.list(query)
                    rows += page.rows
                    query.cursor = page.next
                } while query.cursor != nil
                #expect(rows.map(\.id.rawValue).sorted() == expected[status] ?? [], "\(status), \(limit)")
                #expect(rows.allSatisfy { $0.status == status })
            }
        }
    }

    /// Celery forgets results after a day. How a workflow ended its document says, in lists as everywhere else; nothing is
    /// made up for what has yet to come.
    @Test(
        arguments: [
            ("SUCCESS", [], [.success, .success], .success), ("FAILURE", [], [.success, .failure], .failure),
            ("SUCCESS", ["SUCCESS"], [.success, .success], .success),
            ("FAILURE", ["SUCCESS"], [.success, .pending], .started),
            ("FAILURE", ["SUCCESS", "FAILURE"], [.success, .failure], .failure),
            ("STARTED", [], [.pending, .pending], .pending), ("REVOKED", [], [.pending, .pending], .pending),
        ] as [(String, [String], [TaskStatus], WorkflowStatus)])
    func resultsThatAreForgotten(
        _ stored: String, _ results: [String], _ steps: [TaskStatus], _ status: WorkflowStatus
    ) throws {
        func run(_ id: String) -> BSONValue { ["date_start": .date(milliseconds: 7), "task_id": .string(id)] }
        try fixture.pool.insert(
            "workflow_meta",
            [
                "_id": "w", "created_at": .date(milliseconds: 5), "name": "n", "app_id": "a",
                "_status": .string(stored),
                "steps": [
                    ["name": "s", "task": "t", "task_runs": [run("0")]],
                    ["name": "z", "task": "t", "task_runs": [run("1")]],
                ],
            ])
        for (index, word) in results.enumerated() {
            try fixture.pool.insert(
                "celery_taskmeta", ["_id": .string("\(index)"), "status": .string(word), "result": "[1]"])
        }
        let reader = try #require(store.reader as? MongoReader)
        let record = try #require(try reader.records(["w"]).first)
        for workflow in [try store.reader.load("w"), record.workflow] {
            #expect(workflow?.steps.map(\.status) == steps)
            #expect(workflow?.status == status)
            #expect(workflow?.isSettled == status.isDone)
        }
        // What a step got from one whose result nobody knows is not known either.
        if results.isEmpty { #expect(record.unknownArgs.count == 2) }
        if status.isDone { #expect(try reader.delete(record)) }
    }

    /// Ended at each of its writes, an adoption has been done or not: never half, and never for ever under way.
    @Test(arguments: 1...3) func anAdoptionThatIsCutOff(_ write: Int) throws {
        try insertRunning()
        let reader = try #require(store.reader as? MongoReader)
        let record = try #require(try reader.records(["running"]).first)
        var change = WorkflowChange(workflow: record.workflow, isNew: false, touched: [], events: record.history)
        change.adopts = record.stamp
        let proxy = try TrapProxy(.mongo, to: MongoFixture.server.get().port)
        let address = "mongodb://127.0.0.1:\(proxy.port)/\(fixture.database)?serverSelectionTimeoutMS=300"
        let pool = try MongoPool(uri: address)
        try fixture.close()
        let cut = try MongoStore(pool: pool, serverID: "cut off", mode: .shared)
        let words = [["insert", "rhythm_workflows", "running"], ["update", "workflow_meta", "draft"]]
        proxy.cut(
            at: write == 3 ? .beforeItsAnswer : .beforeItArrives, ofMessageWith: words[min(write - 1, 1)])
        let error = #expect(throws: StoreError.self) { try cut.commit(CommitBatch(changes: [change])) }
        #expect(proxy.hasSprung && error?.outcomeUnknown == true)
        proxy.stop()
        cut.leases.end()
        try fixture.pool.delete("rhythm_servers", filter: ["_id": "cut off"])
        // Another one looks at it.
        let store = try fixture.openShared("other")
        let loaded = try store.loadUnsettled().first
        let isOurs = write == 3
        #expect((loaded != nil) == isOurs)
        #expect(try reader.isLegacy("running") == !isOurs)
        #expect(try reader.list(ListQuery()).rows.map(\.id) == ["running"])
        #expect(try reader.load("running")?.steps == record.workflow.steps)
        if !isOurs { #expect(try store.commit(CommitBatch(changes: [change])) == []) }
        #expect(try store.load("running")?.steps == record.workflow.steps)
        #expect(try fixture.pool.count("rhythm_workflows") == 1)
    }

    /// Nobody drives them, and nothing of ours overwrites them.
    @Test func theyAreNotOurs() throws {
        try insertFinished()
        try insertRunning()
        #expect(try store.loadUnsettled() == [] && store.claimOrphans(limit: 9) == [])
        #expect(try store.load("running") == nil)
        let reader = try #require(store.reader as? MongoReader)
        #expect(try reader.isLegacy("running") && !reader.isLegacy("unknown"))
        var samples = WorkflowSamples(.unseeded())
        var spec = samples.spec()
        spec.id = "running"
        var change = samples.start(spec)
        #expect(try store.commit(CommitBatch(changes: [change])) == ["running"])
        change.isNew = false
        #expect(try store.commit(CommitBatch(changes: [change])) == ["running"])
        try store.commit(CommitBatch(deletions: ["running"]))
        #expect(try reader.isLegacy("running"))
        // What its record shows, as the transitions that a watch tells.
        let events = try reader.events(of: "running", after: 0, limit: 9)
        let shown = try #require(try reader.load("running"))
        #expect(events.first?.kind == .created && events.last?.status == shown.status)
        #expect(events.map(\.version) == Array(1...shown.version))
        #expect(try reader.events(of: "running", after: 1, limit: 1).map(\.version) == [2])
    }

    /// A record is adopted only as it was read; what is in it and not ours stays.
    @Test func adoptedAsRead() throws {
        try insertRunning()
        let reader = try #require(store.reader as? MongoReader)
        func change() throws -> WorkflowChange {
            let record = try #require(try reader.records(["running"]).first)
            var change = WorkflowChange(
                workflow: record.workflow, isNew: false, touched: [], events: record.history)
            change.adopts = record.stamp
            return change
        }
        for update: BSONDocument in [
            ["$set": ["_status": "FAILURE"]], ["$set": ["resume_lock": .date(milliseconds: 1)]],
            ["$set": ["steps.0.task_runs.0.task_id": "other"]], ["$set": ["note": "mine"]],
        ] {
            let stale = try change()
            try fixture.pool.update("workflow_meta", filter: ["_id": "running"], update: update)
            // A field that the library does not know is none of our business.
            if update["$set"]?.documentValue?["note"] != nil { continue }
            #expect(try store.commit(CommitBatch(changes: [stale])) == ["running"])
            #expect(try reader.isLegacy("running"))
        }
        let read = try change()
        #expect(try store.commit(CommitBatch(changes: [read])) == [])
        #expect(try store.commit(CommitBatch(changes: [read])) == ["running"], "once")
        let adopted = try #require(try store.load("running"))
        #expect(adopted.steps == read.workflow.steps && adopted.version == read.workflow.version)
        #expect(try reader.events(of: "running", after: 0, limit: 99) == read.events)
        let document = try #require(try fixture.pool.find("workflow_meta", filter: ["_id": "running"]).first)
        #expect(document["note"] == "mine" && document["resume_lock"]?.dateMilliseconds != nil)
    }

    /// Celery may keep its results elsewhere.
    @Test func resultsInAnotherDatabase() throws {
        try insertRunning()
        let elsewhere = try MongoFixture()
        try elsewhere.pool.insert("celery_taskmeta", ["_id": "r1", "status": "SUCCESS", "result": "[1]"])
        let other = try MongoStore(pool: fixture.pool, serverID: fixture.serverID, results: elsewhere.pool)
        #expect(try other.reader.load("running")?.status == .success)
        #expect(try store.reader.load("running")?.status == .started)
    }

    private func insertRunning() throws {
        try fixture.pool.insert(
            "workflow_meta",
            [
                "_id": "running", "created_at": .date(milliseconds: 5), "name": "n", "app_id": "a",
                "_status": "STARTED",
                "steps": [
                    ["name": "s", "task": "t", "task_runs": [["date_start": .date(milliseconds: 7), "task_id": "r1"]]]
                ],
            ])
        try fixture.pool.insert(
            "celery_taskmeta",
            [
                "_id": "r1", "status": "STARTED", "date_done": .null,
                "result": """
                {"name": "copy", "done": 1, "total": 2, "units": "items", "fraction_done": 0.5, \
                "time_remaining_sec": 0.2, "wt_avg_rate": 5.0, "avg_rate": 5.0}
                """,
            ])
    }

    private func insertFinished() throws {
        func run(_ time: Int64, _ id: String) -> BSONValue {
            ["date_start": .date(milliseconds: time), "task_id": .string(id)]
        }
        try fixture.pool.insert(
            "workflow_meta",
            [
                "_id": "old", "created_at": .date(milliseconds: 1_795_416_383_688),
                "steps": [
                    [
                        "name": "inspect", "task": "rhythm.inspect", "queue": "x_q1",
                        "task_runs": [run(1_795_416_383_764, "a")],
                    ],
                    [
                        "name": "hold", "task": "rhythm.slow", "queue": "x_q1", "priority": 5,
                        "kwargs": ["seconds": 4, "workflow_id": "old", "step": "hold", "app_id": "app-1"],
                        "task_runs": [run(1_795_416_384_254, "b"), run(1_795_416_385_821, "c")],
                    ],
                ],
                "name": "archive_batch", "app_id": "app-1", "description": "two steps", "_status": "SUCCESS",
                "updated_at": .date(milliseconds: 1_795_416_390_623), "resume_lock": .null,
            ])
        func result(_ id: String, _ status: String, _ text: String, _ done: String) -> BSONDocument {
            [
                "_id": .string(id), "status": .string(status), "result": .string(text), "traceback": .null,
                "children": [], "date_done": .string(done), "name": "rhythm.slow", "args": ["batch-7"],
                "kwargs": ["workflow_id": "old", "step": "hold", "app_id": "app-1"], "worker": "x1@vm", "retries": 1,
                "queue": "x_q1",
            ]
        }
        try fixture.pool.insert(
            "celery_taskmeta",
            [
                result("a", "SUCCESS", "[\"batch-7\"]", "2026-11-23T06:46:24.199327"),
                result(
                    "b", "REVOKED",
                    "{\"exc_type\": \"TaskRevokedError\", \"exc_message\": [\"terminated\"], \"exc_module\": \"celery.exceptions\"}",
                    "2026-11-23T06:46:24.784212"),
                result("c", "SUCCESS", "[\"batch-7\", {\"n\": NaN}]", "2026-11-23T06:46:29"),
            ])
    }
}
