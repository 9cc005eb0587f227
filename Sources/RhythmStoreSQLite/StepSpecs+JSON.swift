import RhythmCore

/// The steps of a workflow as one JSON text: they are written once and only ever read together.
///
/// JSON inside is kept as a string, byte for byte; durations as their two components, floats in the shortest spelling
/// that reads back as the same number.
enum StepSpecsCoding {
    static func text(_ steps: [StepSpec]) -> String {
        JSONValue.array(steps.map(value)).compactText
    }

    /// Nil if the text is none of ours.
    static func steps(_ json: JSON) -> [StepSpec]? {
        guard let elements = json.value.arrayValue else { return nil }
        var steps: [StepSpec] = []
        steps.reserveCapacity(elements.count)
        for element in elements {
            guard let step = step(element) else { return nil }
            steps.append(step)
        }
        return steps
    }

    private static func value(_ step: StepSpec) -> JSONValue {
        var members: [JSONValue.Member] = [
            .init("name", .string(step.name)), .init("task", .string(step.task)),
            .init("kwargs", .string(step.kwargs.text)),
        ]
        if let queue = step.queue { members.append(.init("queue", .string(queue))) }
        if let priority = step.priority { members.append(.init("priority", .integer(priority))) }
        if let timeout = step.timeout { members.append(.init("timeout", value(timeout))) }
        if let timeout = step.startTimeout { members.append(.init("start_timeout", value(timeout))) }
        if let retry = step.retry {
            members.append(
                .init(
                    "retry",
                    .object([
                        .init("max_attempts", .integer(retry.maxAttempts)), .init("backoff", value(retry.backoff)),
                        .init("factor", .number("\(retry.factor)")), .init("max_backoff", value(retry.maxBackoff)),
                    ])))
        }
        // Left out where they say nothing: records that were stored without them mean the same.
        if step.maxLost != StepSpec.defaultMaxLost { members.append(.init("max_lost", .integer(step.maxLost))) }
        if step.inject != .all {
            members.append(.init("inject", .array(step.inject.names.map { .string($0) })))
        }
        return .object(members)
    }

    private static func step(_ value: JSONValue) -> StepSpec? {
        guard let name = value["name"]?.stringValue, let task = value["task"]?.stringValue,
            let text = value["kwargs"]?.stringValue, let kwargs = try? JSON(parsing: text)
        else { return nil }
        var step = StepSpec(name: name, task: task, kwargs: kwargs)
        step.queue = value["queue"]?.stringValue
        step.priority = value["priority"]?.intValue.map { Int($0) }
        if let timeout = value["timeout"] {
            guard let timeout = duration(timeout) else { return nil }
            step.timeout = timeout
        }
        if let timeout = value["start_timeout"] {
            guard let timeout = duration(timeout) else { return nil }
            step.startTimeout = timeout
        }
        if let retry = value["retry"] {
            guard let maxAttempts = retry["max_attempts"]?.intValue, let factor = retry["factor"]?.doubleValue,
                let backoff = retry["backoff"].flatMap(duration), let most = retry["max_backoff"].flatMap(duration)
            else { return nil }
            step.retry = RetryPolicy(
                maxAttempts: Int(maxAttempts), backoff: backoff, factor: factor, maxBackoff: most)
        }
        if let maxLost = value["max_lost"] {
            guard let maxLost = maxLost.intValue else { return nil }
            step.maxLost = Int(maxLost)
        }
        if let names = value["inject"] {
            guard let names = names.arrayValue, let inject = Injection(names: names.map { $0.stringValue ?? "" })
            else { return nil }
            step.inject = inject
        }
        return step
    }

    private static func value(_ duration: Duration) -> JSONValue {
        .array([.integer(duration.components.seconds), .integer(duration.components.attoseconds)])
    }

    private static func duration(_ value: JSONValue) -> Duration? {
        guard let parts = value.arrayValue, parts.count == 2, let seconds = parts[0].intValue,
            let attoseconds = parts[1].intValue
        else { return nil }
        return Duration(secondsComponent: seconds, attosecondsComponent: attoseconds)
    }
}
