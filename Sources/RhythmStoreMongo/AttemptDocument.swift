import RhythmCore
import RhythmEngine
import RhythmMongo

/// An attempt as a folded document in `attempts`, under a name made of its step and number.
enum AttemptDocument {
    /// The name of an attempt; by it a write reaches one attempt without touching the others.
    static func name(step: Int, number: Int) -> String { "s\(step)a\(number)" }

    static func make(_ attempt: Attempt, step: Int) -> BSONDocument {
        var document: BSONDocument = [
            "step": .exact(step), "number": .exact(attempt.number), "id": .string(attempt.id.rawValue),
            "retry": .exact(attempt.retry), "args": .string(attempt.args.text), "kwargs": .string(attempt.kwargs.text),
            "created_us": .exact(attempt.createdAt), "status": .string(attempt.status.rawValue),
            "retries": .exact(attempt.retries), "superseded": .bool(attempt.superseded),
        ]
        document.add("not_before_us", attempt.notBefore)
        document.add("dispatched_us", attempt.dispatchedAt)
        document.add("queued_us", attempt.queuedAt)
        document.add("waiting", attempt.waiting)
        document.add("started_us", attempt.startedAt)
        document.add("ended_us", attempt.endedAt)
        document.add("result", attempt.result?.text)
        document.add("failure", attempt.failure.map { .document(make($0)) })
        document.add("worker", attempt.worker)
        document.add("queue", attempt.queue)
        if let revocation = attempt.revocation {
            document.append(
                "revocation",
                ["reason": .string(revocation.reason.rawValue), "at_us": .exact(revocation.requestedAt)])
        }
        if let late = attempt.lateReport {
            document.append(
                "late",
                ["status": .string(late.status.rawValue), "at_us": .exact(late.at), "detail": .string(late.detail)])
        }
        document.add("progress", attempt.progress.map { .document(make($0.state)) })
        return document
    }

    private static func make(_ failure: Failure) -> BSONDocument {
        [
            "type": .string(failure.type), "message": .string(failure.message), "module": .string(failure.module),
            "traceback": .string(failure.traceback), "retriable": .bool(failure.isRetriable),
        ]
    }

    private static func make(_ progress: Progress.State) -> BSONDocument {
        var document: BSONDocument = [
            "name": .string(progress.name), "units": .string(progress.units), "done": .double(progress.done),
            "first_us": .exact(progress.firstAt), "updated_us": .exact(progress.updatedAt),
            "first_done": .double(progress.firstDone), "weighted_sum": .double(progress.weightedSum),
            "weight": .double(progress.weight),
        ]
        document.add("total", progress.total.map { .double($0) })
        document.add("reported", progress.reported.map { .string($0.text) })
        return document
    }

    static func read(_ fields: Fields) throws(StoreError) -> (step: Int, attempt: Attempt) {
        var attempt = Attempt(
            restoring: TaskID(try fields.text("id")), number: try fields.int("number"),
            retry: try fields.int("retry"), args: try fields.json("args"), kwargs: try fields.json("kwargs"),
            createdAt: try fields.timestamp("created_us"))
        attempt.status = try fields.word("status")
        attempt.retries = try fields.int("retries")
        attempt.superseded = try fields.bool("superseded")
        attempt.notBefore = try fields.timestampIfAny("not_before_us")
        attempt.dispatchedAt = try fields.timestampIfAny("dispatched_us")
        attempt.queuedAt = try fields.timestampIfAny("queued_us")
        attempt.waiting = try fields.textIfAny("waiting")
        attempt.startedAt = try fields.timestampIfAny("started_us")
        attempt.endedAt = try fields.timestampIfAny("ended_us")
        attempt.result = try fields.jsonIfAny("result")
        if let failure = try fields.fieldsIfAny("failure") { attempt.failure = try readFailure(failure) }
        attempt.worker = try fields.textIfAny("worker")
        attempt.queue = try fields.textIfAny("queue")
        if let revocation = try fields.fieldsIfAny("revocation") {
            attempt.revocation = Revocation(
                reason: try revocation.word("reason"), requestedAt: try revocation.timestamp("at_us"))
        }
        if let late = try fields.fieldsIfAny("late") {
            attempt.lateReport = LateReport(
                status: try late.word("status"), at: try late.timestamp("at_us"), detail: try late.text("detail"))
        }
        if let progress = try fields.fieldsIfAny("progress") { attempt.progress = try readProgress(progress) }
        return (try fields.int("step"), attempt)
    }

    private static func readFailure(_ fields: Fields) throws(StoreError) -> Failure {
        Failure(
            type: try fields.text("type"), message: try fields.text("message"), module: try fields.text("module"),
            traceback: try fields.text("traceback"), isRetriable: try fields.bool("retriable"))
    }

    private static func readProgress(_ fields: Fields) throws(StoreError) -> Progress {
        var total: Double?
        if let value = fields.document["total"], !value.isNull { total = try fields.double("total") }
        return Progress(
            restoring: Progress.State(
                name: try fields.text("name"), units: try fields.text("units"), done: try fields.double("done"),
                total: total, firstAt: try fields.timestamp("first_us"), updatedAt: try fields.timestamp("updated_us"),
                firstDone: try fields.double("first_done"), weightedSum: try fields.double("weighted_sum"),
                weight: try fields.double("weight"), reported: try fields.jsonIfAny("reported")))
    }
}
