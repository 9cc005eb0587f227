import GRDB
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

@testable import RhythmStoreSQLite

/// That queries use the index they were made for, and that rows go with their workflow.
@Suite(.timeLimit(.minutes(2))) struct SQLiteSchemaTests {
    let fixture: SQLiteFixture

    init() throws { fixture = try SQLiteFixture() }

    /// Every filter, both sorts, first and later pages: searches only, and by creation nothing is sorted but the merge
    /// of the statuses' pages.
    @Test(arguments: ListQuery.Sort.allCases) func listsUseIndexes(_ sort: ListQuery.Sort) throws {
        let store = try fixture.openSQLite()
        let cursor = ListCursor(key: Timestamp(microseconds: 5), id: "x")
        for filter in Self.filters {
            for cursor in [nil, cursor] {
                for ascending in [true, false] {
                    let query = ListQuery(filter: filter, sort: sort, ascending: ascending, cursor: cursor)
                    for isFew in [true, false] {
                        let statement = ListStatement(list: query, limit: 51, isFew: isFew)
                        try expectSearches(store, statement, "\(query)")
                    }
                }
            }
        }
    }

    @Test func countsUseIndexes() throws {
        let store = try fixture.openSQLite()
        for filter in Self.filters {
            try expectSearches(store, ListStatement(counts: filter), "\(filter)")
            if filter.ids != nil { continue }
            let probe = try plan(store, ListStatement(probe: filter, most: 9))
            #expect(probe.contains { $0.hasPrefix("SEARCH ") && $0.contains(" USING ") }, "\(filter): \(probe)")
            #expect(!probe.contains { $0.hasPrefix("SCAN workflows") || $0.hasPrefix("SCAN l") }, "\(probe)")
        }
    }

    /// A page by creation is read from the index in its order: inside a status nothing is sorted.
    @Test func pagesAreReadInOrder() throws {
        let store = try fixture.openSQLite()
        let filters = [
            WorkflowFilter(statuses: [.failure]), WorkflowFilter(statuses: [.failure], appID: "a"),
            WorkflowFilter(statuses: [.failure], name: "n", createdFrom: Timestamp(microseconds: 1)),
        ]
        for filter in filters {
            let plan = try plan(store, ListStatement(list: ListQuery(filter: filter), limit: 51))
            // One sorts the page of a single status again, over at most a page of rows; none sorts workflows.
            #expect(!plan.contains { $0.contains("TEMP B-TREE") && $0.contains("workflows") }, "\(plan)")
            #expect(plan.contains { $0.hasPrefix("SEARCH workflows USING") }, "\(plan)")
        }
    }

    @Test func unsettledUseTheirIndex() throws {
        let store = try fixture.openSQLite()
        for sql in [SQLiteReader.unsettledWorkflows, SQLiteReader.unsettledAttempts] {
            let plan = try plan(store, sql, arguments: 0)
            #expect(plan.first?.contains("workflows_unsettled") == true, "\(plan)")
            #expect(plan.dropFirst().allSatisfy { $0.hasPrefix("SEARCH ") }, "\(plan)")
        }
        let plan = try plan(store, EventRow.select, arguments: 3)
        #expect(plan.allSatisfy { $0.hasPrefix("SEARCH ") || $0.hasPrefix("SCALAR") }, "\(plan)")
    }

    @Test func requestsAndDeletionsUseIndexes() throws {
        let store = try fixture.openSQLite()
        let request = "SELECT id FROM workflows WHERE request_id = ? AND request_id <> ''"
        #expect(try plan(store, request, arguments: 1).allSatisfy { $0.contains("workflows_request") })
        for table in ["specs", "labels", "attempts", "events"] {
            let plan = try plan(store, "DELETE FROM \(table) WHERE workflow = ?", arguments: 1)
            #expect(plan.allSatisfy { $0.hasPrefix("SEARCH ") }, "\(plan)")
        }
    }

    /// Lists look for columns that are only written when they change: they say what the record does, also after a commit
    /// that failed.
    @Test func whatListsLookForIsTrue() throws {
        let store = try fixture.openSQLite()
        var samples = WorkflowSamples(.unseeded())
        var seen: Set<WorkflowStatus> = []
        for _ in 0..<30 {
            for change in samples.history(length: 60) {
                let workflow = change.workflow
                if !change.isNew, samples.random.once(in: 4) {
                    // What follows in its batch cannot be stored, so nothing of it is.
                    var missing = change
                    missing.workflow.version += 1
                    #expect(throws: StoreError.self) { try store.commit(CommitBatch(changes: [change, missing])) }
                }
                try store.commit(CommitBatch(changes: [change]))
                let row = try #require(
                    try store.pool.read { db in
                        try Row.fetchOne(
                            db, sql: "SELECT status, settled FROM workflows WHERE id = ?",
                            arguments: [workflow.id.rawValue])
                    })
                let stored = WorkflowStatus(rawValue: row["status"])
                #expect(stored == workflow.status, "seed \(samples.random.seed)")
                #expect(row["settled"] == workflow.isSettled, "seed \(samples.random.seed)")
                seen.insert(workflow.status)
            }
        }
        #expect(seen.count >= 4, "\(seen), seed \(samples.random.seed)")
    }

    @Test func deletionsLeaveNoRow() throws {
        let store = try fixture.openSQLite()
        var samples = WorkflowSamples(.unseeded())
        for _ in 0..<20 {
            var spec = samples.spec()
            spec.labels["a"] = "b"
            for change in samples.history(spec, length: 20) { try store.commit(CommitBatch(changes: [change])) }
        }
        try store.commit(CommitBatch(deletions: try store.reader.ids(withPrefix: "", limit: .max)))
        for table in ["workflows", "specs", "labels", "attempts", "events"] {
            let count = try store.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") }
            #expect(count == 0, "\(table)")
        }
    }

    /// The oldest events go; a reader sees by the first version that some are missing.
    @Test func keepsTheLatestEvents() throws {
        let fixture = try SQLiteFixture(eventsKept: 5)
        let store = try fixture.openSQLite()
        var samples = WorkflowSamples(.unseeded())
        var longest: Int64 = 0
        // Some lives end early (cancelled, or deleted): as many as it takes, but not for ever.
        for _ in 0..<200 where longest < 40 {
            for change in samples.history(length: 200).prefix(60) {
                let workflow = change.workflow
                try store.commit(CommitBatch(changes: [change]))
                let events = try store.reader.events(of: workflow.id, after: 0, limit: 100)
                let first = max(1, workflow.version - 4)
                #expect(events.map(\.version) == Array(first...workflow.version), "seed \(samples.random.seed)")
                #expect(try store.load(workflow.id) == workflow)
                longest = max(longest, workflow.version)
            }
        }
        #expect(longest >= 40)
    }

    private static let filters: [WorkflowFilter] = {
        var filters: [WorkflowFilter] = []
        for statuses in [[], [.failure], [.success, .failure]] as [Set<WorkflowStatus>] {
            for appID in [nil, "a"] {
                for name in [nil, "n"] {
                    for ids in [nil, ["x"]] as [[WorkflowID]?] {
                        for labels in [[:], ["k": "v"], ["k": "v", "l": ""]] as [[String: String]] {
                            for from in [nil, Timestamp(microseconds: 1)] {
                                filters.append(
                                    WorkflowFilter(
                                        statuses: statuses, appID: appID, name: name, ids: ids, labels: labels,
                                        createdFrom: from, createdBefore: from))
                            }
                        }
                    }
                }
            }
        }
        return filters
    }()

    private func expectSearches(_ store: SQLiteStore, _ statement: ListStatement, _ what: String) throws {
        let plan = try plan(store, statement)
        #expect(plan.contains { $0.hasPrefix("SEARCH workflows USING") }, "\(what): \(plan)")
        #expect(!plan.contains { $0.hasPrefix("SCAN workflows") || $0.hasPrefix("SCAN w") }, "\(what): \(plan)")
        #expect(!plan.contains { $0.hasPrefix("SCAN labels") || $0.hasPrefix("SCAN l") }, "\(what): \(plan)")
    }

    private func plan(_ store: SQLiteStore, _ statement: ListStatement) throws -> [String] {
        try plan(store, statement.sql, arguments: statement.arguments.count)
    }

    private func plan(_ store: SQLiteStore, _ sql: String, arguments: Int) throws -> [String] {
        try store.pool.writeWithoutTransaction { db in
            try Row.fetchAll(
                db, sql: "EXPLAIN QUERY PLAN \(sql)",
                arguments: StatementArguments(Array(repeating: 1, count: arguments))
            ).map { $0["detail"] }
        }
    }
}
