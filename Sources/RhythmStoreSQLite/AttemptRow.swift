import RhythmCore
import RhythmEngine

/// An attempt as a row of `attempts`.
enum AttemptRow {
    /// Columns that never change, then those that do.
    private static let fixed = ["workflow", "step", "number", "id", "retry", "args", "kwargs", "created_at"]
    private static let changing = [
        "status", "not_before", "dispatched_at", "queued_at", "waiting", "started_at", "ended_at", "result",
        "failure_type",
        "failure_message", "failure_module", "failure_traceback", "failure_retriable", "worker", "queue", "retries",
        "revocation_reason", "revocation_at", "superseded", "late_status", "late_at", "late_detail", "progress_name",
        "progress_units", "progress_done", "progress_total", "progress_first_at", "progress_updated_at",
        "progress_first_done", "progress_weighted_sum", "progress_weight", "progress_reported",
    ]

    /// Stores a new attempt or what has changed of one; its inputs are written once.
    static let upsert = """
        INSERT INTO attempts (\((fixed + changing).joined(separator: ", ")))
        VALUES (\((fixed + changing).map { _ in "?" }.joined(separator: ", ")))
        ON CONFLICT (workflow, step, number) DO UPDATE SET
        \(changing.map { "\($0) = excluded.\($0)" }.joined(separator: ", "))
        """

    /// The columns that ``read(_:)`` reads, from `attempts a`.
    static let columns = (fixed + changing).map { "a.\($0)" }.joined(separator: ", ")

    static func bind(_ attempt: Attempt, key: Int64, step: Int, to binder: inout ArgumentBinder) {
        binder.bind(key)
        binder.bind(step)
        binder.bind(attempt.number)
        binder.bind(attempt.id.rawValue)
        binder.bind(attempt.retry)
        binder.bind(attempt.args.text)
        binder.bind(attempt.kwargs.text)
        binder.bind(attempt.createdAt.microseconds)

        binder.bind(attempt.status.rawValue)
        binder.bind(attempt.notBefore?.microseconds)
        binder.bind(attempt.dispatchedAt?.microseconds)
        binder.bind(attempt.queuedAt?.microseconds)
        binder.bind(attempt.waiting)
        binder.bind(attempt.startedAt?.microseconds)
        binder.bind(attempt.endedAt?.microseconds)
        binder.bind(attempt.result?.text)
        binder.bind(attempt.failure?.type)
        binder.bind(attempt.failure?.message)
        binder.bind(attempt.failure?.module)
        binder.bind(attempt.failure?.traceback)
        if let failure = attempt.failure { binder.bind(failure.isRetriable) } else { binder.bindNull() }
        binder.bind(attempt.worker)
        binder.bind(attempt.queue)
        binder.bind(attempt.retries)
        binder.bind(attempt.revocation?.reason.rawValue)
        binder.bind(attempt.revocation?.requestedAt.microseconds)
        binder.bind(attempt.superseded)
        binder.bind(attempt.lateReport?.status.rawValue)
        binder.bind(attempt.lateReport?.at.microseconds)
        binder.bind(attempt.lateReport?.detail)
        bind(attempt.progress?.state, to: &binder)
    }

    private static func bind(_ progress: Progress.State?, to binder: inout ArgumentBinder) {
        binder.bind(progress?.name)
        binder.bind(progress?.units)
        binder.bind(progress?.done)
        binder.bind(progress?.total)
        binder.bind(progress?.firstAt.microseconds)
        binder.bind(progress?.updatedAt.microseconds)
        binder.bind(progress?.firstDone)
        binder.bind(progress?.weightedSum)
        binder.bind(progress?.weight)
        binder.bind(progress?.reported?.text)
    }

    /// The key of the attempt's workflow, the index of its step, and the attempt.
    static func read(
        _ row: inout ColumnReader
    ) throws(StoreError) -> (workflow: Int64, step: Int, attempt: Attempt) {
        let key = try row.int64()
        let step = try row.int()
        let number = try row.int()
        row.id = "attempt \(number) of step \(step) of the workflow with key \(key)"
        let id = try row.text()
        row.id = id
        var attempt = Attempt(
            restoring: TaskID(id), number: number, retry: try row.int(), args: try row.json(),
            kwargs: try row.json(), createdAt: try row.timestamp())
        attempt.status = try row.word()
        attempt.notBefore = row.timestampIfAny()
        attempt.dispatchedAt = row.timestampIfAny()
        attempt.queuedAt = row.timestampIfAny()
        attempt.waiting = try row.textIfAny()
        attempt.startedAt = row.timestampIfAny()
        attempt.endedAt = row.timestampIfAny()
        attempt.result = try row.jsonIfAny()
        attempt.failure = try readFailure(&row)
        attempt.worker = try row.textIfAny()
        attempt.queue = try row.textIfAny()
        attempt.retries = try row.int()
        let reason = try row.wordIfAny(Revocation.Reason.self)
        let requestedAt = row.timestampIfAny()
        if let reason {
            guard let requestedAt else { throw row.corrupt("is missing") }
            attempt.revocation = Revocation(reason: reason, requestedAt: requestedAt)
        }
        attempt.superseded = try row.bool()
        let lateStatus = try row.wordIfAny(TaskStatus.self)
        let lateAt = row.timestampIfAny()
        let detail = try row.textIfAny()
        if let lateStatus {
            guard let lateAt, let detail else { throw row.corrupt("is missing, or the time before it") }
            attempt.lateReport = LateReport(status: lateStatus, at: lateAt, detail: detail)
        }
        attempt.progress = try readProgress(&row)
        return (key, step, attempt)
    }

    private static func readFailure(_ row: inout ColumnReader) throws(StoreError) -> Failure? {
        let type = try row.textIfAny()
        let message = try row.textIfAny()
        let module = try row.textIfAny()
        let traceback = try row.textIfAny()
        let retriable = row.int64IfAny()
        guard let type else { return nil }
        guard let message, let module, let traceback, let retriable else {
            throw row.corrupt("or another column of the failure is missing")
        }
        return Failure(
            type: type, message: message, module: module, traceback: traceback, isRetriable: retriable != 0)
    }

    private static func readProgress(_ row: inout ColumnReader) throws(StoreError) -> Progress? {
        // Without a name there is no progress, and the other columns, the last of the row, are empty.
        guard let name = try row.textIfAny() else { return nil }
        return Progress(
            restoring: Progress.State(
                name: name, units: try row.text(), done: try row.double(), total: row.doubleIfAny(),
                firstAt: try row.timestamp(), updatedAt: try row.timestamp(), firstDone: try row.double(),
                weightedSum: try row.double(), weight: try row.double(), reported: try row.jsonIfAny()))
    }
}
