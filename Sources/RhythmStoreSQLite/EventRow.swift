import RhythmCore
import RhythmEngine

/// An event as a row of `events`.
enum EventRow {
    static let insert = """
        INSERT INTO events (workflow, version, at, kind, status, steps_done, step, task_id, attempt, detail)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """

    static let trim = "DELETE FROM events WHERE workflow = ? AND version <= ?"

    static let select = """
        SELECT e.version, e.at, e.kind, e.status, e.steps_done, e.step, e.task_id, e.attempt, e.detail
        FROM events e WHERE e.workflow = (SELECT key FROM workflows WHERE id = ?) AND e.version > ?
        ORDER BY e.version LIMIT ?
        """

    static func bind(_ event: Event, key: Int64, to binder: inout ArgumentBinder) {
        binder.bind(key)
        binder.bind(event.version)
        binder.bind(event.at.microseconds)
        binder.bind(event.kind.rawValue)
        binder.bind(event.status.rawValue)
        binder.bind(event.stepsDone)
        binder.bind(event.step)
        binder.bind(event.taskID?.rawValue)
        binder.bind(event.attempt)
        binder.bind(event.detail)
    }

    static func read(_ row: inout ColumnReader, of id: WorkflowID) throws(StoreError) -> Event {
        let version = try row.int64()
        row.id = "version \(version) of workflow \(id)"
        return Event(
            workflowID: id, version: version, at: try row.timestamp(), kind: try row.word(),
            status: try row.word(), stepsDone: try row.int(), step: try row.text(),
            taskID: try row.textIfAny().map { TaskID($0) }, attempt: try row.int(), detail: try row.text())
    }
}
