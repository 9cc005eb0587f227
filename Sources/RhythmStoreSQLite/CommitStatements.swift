import GRDB
import RhythmCore
import RhythmEngine

/// The statements that store a batch, prepared once for the writing connection.
///
/// Used only inside a write of that connection, so by one thread at a time.
final class CommitStatements {
    private let insertWorkflow, updateWorkflow, advanceWorkflow, insertSpec, insertLabel, upsertAttempt: Statement
    private let insertEvent, trimEvents, deleteWorkflow, selectKey: Statement
    private let eventsKept: Int64
    /// Rows of workflows that are likely to change again; only ever a copy of what is stored.
    private var rows: [WorkflowID: (key: Int64, standing: WorkflowRow.Standing)] = [:]
    /// Clients start many workflows with the same steps: their text is made once in a row.
    private var lastSteps: (specs: [StepSpec], text: String) = ([], "[]")

    init(_ db: Database, eventsKept: Int) throws {
        func prepared(_ sql: String) throws -> Statement {
            try db.makeStatement(sql: sql).takesPositionalArguments()
        }
        insertWorkflow = try prepared(WorkflowRow.insert)
        updateWorkflow = try prepared(WorkflowRow.update)
        advanceWorkflow = try prepared(WorkflowRow.advance)
        insertSpec = try prepared(WorkflowRow.insertSpec)
        insertLabel = try prepared("INSERT INTO labels (key, value, workflow) VALUES (?, ?, ?)")
        upsertAttempt = try prepared(AttemptRow.upsert)
        insertEvent = try prepared(EventRow.insert)
        trimEvents = try prepared(EventRow.trim)
        deleteWorkflow = try prepared("DELETE FROM workflows WHERE id = ?")
        selectKey = try prepared("SELECT key FROM workflows WHERE id = ?")
        self.eventsKept = Int64(eventsKept)
    }

    /// Everything of a batch, inside a transaction of the caller's.
    func store(_ batch: CommitBatch, in db: Database) throws {
        for change in batch.changes {
            let key = change.isNew ? try insert(change.workflow, in: db) : try update(change, in: db)
            try storeAttempts(of: change, key: key)
            try storeEvents(of: change, key: key)
        }
        for id in batch.deletions {
            rows[id] = nil
            try deleteWorkflow.run { $0.bind(id.rawValue) }
        }
    }

    /// Forgets what was only stored by a transaction that has failed.
    func transactionFailed() { rows = [:] }

    private func insert(_ workflow: Workflow, in db: Database) throws -> Int64 {
        do {
            try insertWorkflow.run { WorkflowRow.bindInsert(workflow, to: &$0) }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
            throw StoreError(
                .conflict,
                "workflow \(workflow.id) is stored already, or another one with request id '\(workflow.requestID)'")
        }
        let key = db.lastInsertedRowID
        if lastSteps.specs.count != workflow.steps.count
            || !zip(lastSteps.specs, workflow.steps).allSatisfy({ $0 == $1.spec })
        {
            let specs = workflow.steps.map(\.spec)
            lastSteps = (specs, StepSpecsCoding.text(specs))
        }
        try insertSpec.run { WorkflowRow.bindSpec(workflow, key: key, steps: lastSteps.text, to: &$0) }
        for (name, value) in workflow.labels {
            try insertLabel.run {
                $0.bind(name)
                $0.bind(value)
                $0.bind(key)
            }
        }
        remember(key, WorkflowRow.Standing(workflow), of: workflow)
        return key
    }

    private func update(_ change: WorkflowChange, in db: Database) throws -> Int64 {
        let workflow = change.workflow
        let row = rows[workflow.id]
        guard let key = try row?.key ?? storedKey(of: workflow.id) else {
            throw StoreError(.conflict, "workflow \(workflow.id) is to be changed but is not stored")
        }
        let base = workflow.version - Int64(change.events.count)
        let standing = WorkflowRow.Standing(workflow)
        if row?.standing == standing {
            try advanceWorkflow.run { WorkflowRow.bindUpdate(workflow, nil, key: key, from: base, to: &$0) }
        } else {
            try updateWorkflow.run { WorkflowRow.bindUpdate(workflow, standing, key: key, from: base, to: &$0) }
        }
        guard db.changesCount == 1 else {
            throw StoreError(.conflict, "workflow \(workflow.id) is not stored with version \(base) any more")
        }
        remember(key, standing, of: workflow)
        return key
    }

    private func remember(_ key: Int64, _ standing: WorkflowRow.Standing, of workflow: Workflow) {
        rows[workflow.id] = workflow.isSettled ? nil : (key, standing)
    }

    private func storedKey(of id: WorkflowID) throws -> Int64? {
        var key: Int64?
        try selectKey.forEachRow(of: "workflows", { $0.bind(id.rawValue) }, row: { key = try $0.int64() })
        return key
    }

    private func storeAttempts(of change: WorkflowChange, key: Int64) throws {
        for position in change.touched {
            let attempt = change.workflow[position]
            precondition(attempt.number == position.attempt + 1, "attempt \(attempt.id) at \(position)")
            try upsertAttempt.run { AttemptRow.bind(attempt, key: key, step: position.step, to: &$0) }
        }
    }

    private func storeEvents(of change: WorkflowChange, key: Int64) throws {
        for event in change.events {
            try insertEvent.run { EventRow.bind(event, key: key, to: &$0) }
        }
        let last = change.workflow.version - eventsKept
        guard last > 0, !change.events.isEmpty else { return }
        try trimEvents.run {
            $0.bind(key)
            $0.bind(last)
        }
    }
}
