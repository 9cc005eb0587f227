import RhythmCore
import RhythmEngine
import RhythmMongo

/// A step in two forms: in the array `steps` as the Python library has it, and folded in the record, exactly as
/// it was asked for.
enum StepDocument {
    /// For the library's readers.
    static func makeShown(_ workflow: Workflow, step index: Int) -> BSONDocument {
        let step = workflow.steps[index]
        var document: BSONDocument = ["name": .string(step.spec.name), "task": .string(step.spec.task)]
        document.add("queue", step.spec.queue)
        document.add("priority", step.spec.priority.map { .int32(Int32(clamping: $0)) })
        if step.spec.kwargs.text != "{}" { document.add("kwargs", step.spec.kwargs.asBSON) }
        let runs = ShownRuns.make(workflow, step: index)
        if !runs.isEmpty { document.append("task_runs", .array(runs)) }
        return document
    }

    static func makeExact(_ step: StepSpec) -> BSONDocument {
        var document: BSONDocument = [
            "name": .string(step.name), "task": .string(step.task), "kwargs": .string(step.kwargs.text),
        ]
        document.add("queue", step.queue)
        document.add("priority", step.priority.map { .exact($0) })
        document.add("timeout", step.timeout.map { .document(make($0)) })
        document.add("start_timeout", step.startTimeout.map { .document(make($0)) })
        if let retry = step.retry {
            document.append(
                "retry",
                [
                    "max_attempts": .exact(retry.maxAttempts), "backoff": .document(make(retry.backoff)),
                    "factor": .double(retry.factor), "max_backoff": .document(make(retry.maxBackoff)),
                ])
        }
        // Left out where they say nothing: records that were stored without them mean the same.
        if step.maxLost != StepSpec.defaultMaxLost { document.append("max_lost", .exact(step.maxLost)) }
        if step.inject != .all {
            document.append("inject", .array(step.inject.names.map { .string($0) }))
        }
        return document
    }

    static func readExact(_ fields: Fields) throws(StoreError) -> StepSpec {
        var step = StepSpec(
            name: try fields.text("name"), task: try fields.text("task"), kwargs: try fields.json("kwargs"))
        step.queue = try fields.textIfAny("queue")
        step.priority = try fields.int64IfAny("priority").map { Int($0) }
        if let timeout = try fields.fieldsIfAny("timeout") { step.timeout = try readDuration(timeout) }
        if let timeout = try fields.fieldsIfAny("start_timeout") { step.startTimeout = try readDuration(timeout) }
        if let retry = try fields.fieldsIfAny("retry") {
            step.retry = RetryPolicy(
                maxAttempts: try retry.int("max_attempts"), backoff: try readDuration(try retry.fields("backoff")),
                factor: try retry.double("factor"), maxBackoff: try readDuration(try retry.fields("max_backoff")))
        }
        if let maxLost = try fields.int64IfAny("max_lost") { step.maxLost = Int(maxLost) }
        if let names = fields.document["inject"] {
            guard let names = names.arrayValue, let inject = Injection(names: names.map { $0.stringValue ?? "" })
            else { throw fields.corrupt("inject") }
            step.inject = inject
        }
        return step
    }

    private static func make(_ duration: Duration) -> BSONDocument {
        ["s": .int64(duration.components.seconds), "as": .int64(duration.components.attoseconds)]
    }

    private static func readDuration(_ fields: Fields) throws(StoreError) -> Duration {
        Duration(secondsComponent: try fields.int64("s"), attosecondsComponent: try fields.int64("as"))
    }
}
