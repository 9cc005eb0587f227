import GRDB
import RhythmCore
import RhythmEngine

/// Reads beside the writer: every call takes a connection of the pool and sees one committed state.
final class SQLiteReader: StoreReader {
    private let pool: DatabasePool
    private let path: String
    private let fewMatches: Int
    private let gate = ReadGate()

    /// `fewMatches`: so many matches of a filter are looked up and sorted without a second thought.
    init(pool: DatabasePool, path: String, fewMatches: Int) {
        self.pool = pool
        self.path = path
        self.fewMatches = fewMatches
    }

    func load(_ id: WorkflowID) throws(StoreError) -> Workflow? {
        try read { db in
            try Self.workflows(
                db,
                workflows: """
                    SELECT \(WorkflowRow.columns) FROM workflows w CROSS JOIN specs s ON s.workflow = w.key
                    WHERE w.id = ?
                    """,
                attempts: """
                    SELECT \(AttemptRow.columns) FROM workflows w CROSS JOIN attempts a ON a.workflow = w.key
                    WHERE w.id = ? ORDER BY a.step, a.number
                    """
            ) { $0.bind(id.rawValue) }.first
        }
    }

    /// Two ordered queries and a merge. The partial index names the unsettled ones in the order of their keys.
    static let unsettledWorkflows = """
        SELECT \(WorkflowRow.columns) FROM workflows w INDEXED BY workflows_unsettled
        CROSS JOIN specs s ON s.workflow = w.key WHERE w.settled = 0 ORDER BY w.key
        """
    static let unsettledAttempts = """
        SELECT \(AttemptRow.columns) FROM workflows w INDEXED BY workflows_unsettled
        CROSS JOIN attempts a ON a.workflow = w.key WHERE w.settled = 0 ORDER BY w.key, a.step, a.number
        """

    func loadUnsettled() throws(StoreError) -> [Workflow] {
        try read { db in
            try Self.workflows(db, workflows: Self.unsettledWorkflows, attempts: Self.unsettledAttempts) { _ in }
        }
    }

    func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        try read { db in
            var found: WorkflowID?
            // The second condition is what the partial index asks for.
            let sql = "SELECT id FROM workflows WHERE request_id = ? AND request_id <> ''"
            try Self.statement(db, sql).forEachRow(
                of: "workflows", { $0.bind(requestID) },
                row: { row in
                    found = WorkflowID(try row.text())
                })
            return found
        }
    }

    func ids(withPrefix prefix: String, within scope: AppScope, limit: Int) throws(StoreError) -> [WorkflowID] {
        var condition = ""
        var appIDs: String?
        if case .only(let own) = scope {
            condition = "AND +app_id IN (SELECT value FROM json_each(?)) "
            appIDs = JSONValue.array(own.sorted().map { .string($0) }).compactText
        }
        // A range, not LIKE, so that no character of the prefix has a meaning. Nothing in an id sorts after the end.
        let sql = "SELECT id FROM workflows WHERE id >= ? AND id < ? \(condition)ORDER BY id LIMIT ?"
        let bind = { (binder: inout ArgumentBinder) in
            binder.bind(prefix)
            binder.bind(prefix + "\u{10FFFF}")
            if let appIDs { binder.bind(appIDs) }
            binder.bind(max(0, limit))
        }
        return try read { db in
            var ids: [WorkflowID] = []
            try Self.statement(db, sql).forEachRow(of: "workflows", bind) { row in
                ids.append(WorkflowID(try row.text()))
            }
            return ids
        }
    }

    func events(of id: WorkflowID, after version: Int64, limit: Int) throws(StoreError) -> [Event] {
        try read { db in
            var events: [Event] = []
            let bind = { (binder: inout ArgumentBinder) in
                binder.bind(id.rawValue)
                binder.bind(version)
                binder.bind(max(0, limit))
            }
            try Self.statement(db, EventRow.select).forEachRow(of: "events", bind) { row in
                events.append(try EventRow.read(&row, of: id))
            }
            return events
        }
    }

    func list(_ query: ListQuery) throws(StoreError) -> ListPage {
        let limit = min(max(1, query.limit), ListQuery.maximumLimit)
        var rows = try read { db in
            var isFew = false
            if ListStatement.needsProbe(query) {
                let probe = ListStatement(probe: query.filter, most: fewMatches)
                try Self.statement(db, probe.sql).forEachRow(of: "workflows", { probe.bind(to: &$0) }) { row in
                    isFew = try row.int() < fewMatches
                }
            }
            let statement = ListStatement(list: query, limit: limit + 1, isFew: isFew)
            var rows: [WorkflowSummary] = []
            try Self.statement(db, statement.sql).forEachRow(of: "workflows", { statement.bind(to: &$0) }) { row in
                rows.append(try WorkflowSummary(reading: &row))
            }
            return rows
        }
        guard rows.count > limit else { return ListPage(rows: rows, next: nil) }
        rows.removeLast(rows.count - limit)
        let next = rows.last.map {
            ListCursor(key: query.sort == .createdAt ? $0.createdAt : $0.updatedAt, id: $0.id)
        }
        return ListPage(rows: rows, next: next)
    }

    func counts(_ filter: WorkflowFilter) throws(StoreError) -> [WorkflowStatus: Int] {
        let statement = ListStatement(counts: filter)
        return try read { db in
            var counts: [WorkflowStatus: Int] = [:]
            try Self.statement(db, statement.sql).forEachRow(of: "workflows", { statement.bind(to: &$0) }) { row in
                counts[try row.word()] = try row.int()
            }
            return counts
        }
    }
}

extension SQLiteReader {
    private func read<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        guard gate.enter() else { throw StoreError(.unavailable, "\(path) was closed") }
        defer { gate.leave() }
        return try translating(path) { try pool.read(body) }
    }

    /// Reads that are under way end first; all later ones throw `unavailable`.
    func close() { gate.close() }

    /// From the connection's cache, or made.
    private static func statement(_ db: Database, _ sql: String) throws -> Statement {
        try db.cachedStatement(sql: sql).takesPositionalArguments()
    }

    /// Runs two queries with the same order of workflows and puts the attempts into their steps.
    private static func workflows(
        _ db: Database, workflows: String, attempts: String, _ bind: (inout ArgumentBinder) -> Void
    ) throws -> [Workflow] {
        var keys: [Int64] = []
        var found: [Workflow] = []
        var latest: (text: String, steps: [StepSpec]) = ("", [])
        try statement(db, workflows).forEachRow(of: "workflows", bind) { row in
            let (key, workflow) = try WorkflowRow.read(&row, latest: &latest)
            keys.append(key)
            found.append(workflow)
        }
        var index = 0
        try statement(db, attempts).forEachRow(of: "attempts", bind) { row in
            let (key, step, attempt) = try AttemptRow.read(&row)
            while index < keys.count, keys[index] != key { index += 1 }
            guard index < keys.count, found[index].steps.indices.contains(step) else {
                throw row.corrupt("(and the others) belong to no step of a stored workflow")
            }
            guard attempt.number == found[index].steps[step].attempts.count + 1 else {
                throw row.corrupt("attempts before number \(attempt.number) of step \(step) are missing")
            }
            found[index].steps[step].attempts.append(attempt)
        }
        return found
    }
}

extension ListStatement {
    func bind(to binder: inout ArgumentBinder) {
        for argument in arguments {
            switch argument {
            case .text(let text): binder.bind(text)
            case .integer(let number): binder.bind(number)
            }
        }
    }
}

extension WorkflowSummary {
    /// Reads the columns of ``ListStatement/columns``.
    init(reading row: inout ColumnReader) throws(StoreError) {
        let id = try row.text()
        row.id = id
        let name = try row.text()
        let appID = try row.text()
        guard let labels = LabelsCoding.labels(try row.json()) else { throw row.corrupt("holds no labels") }
        let status: WorkflowStatus = try row.word()
        let control: ControlWord = try row.word()
        self.init(
            id: WorkflowID(id), name: name, appID: appID, labels: labels, status: status,
            isPaused: control == .paused || control == .pausing, isCancelled: control == .cancelled,
            stepsDone: try row.int(), totalSteps: try row.int(), pendingStep: try row.text(),
            version: try row.int64(), createdAt: try row.timestamp(), updatedAt: try row.timestamp(),
            startedAt: row.timestampIfAny(), endedAt: row.timestampIfAny())
    }
}
