extension WorkflowSpec {
    /// The application of a workflow file that names none.
    public static let defaultAppID = "default"

    /// Reads a workflow file that was taken apart by any parser.
    ///
    /// The keys are those of the wire: `id`, `name`, `app_id`, `description`, `labels`, `args`, `kwargs`, and `steps`,
    /// each with `name`, `task`, `queue`, `priority`, `kwargs`, `timeout`, `start_timeout`, `max_lost`, `inject` (`all`,
    /// `none` or a list of names) and `retry` (`max_attempts`, `backoff`, `factor`, `max_backoff`). Durations are seconds, or texts such as `"90s"`, `"15m"`, `"2h"`. Limits are not
    /// checked here, see ``validate()``.
    /// - Throws: INVALID_ARGUMENT with the path of the first key at fault.
    public init(decoding value: JSONValue) throws(RhythmError) {
        let reader = try ObjectReader(value, path: "", what: "a workflow", known: Self.keys)
        let steps = try reader.array("steps", hint: "write '- name: ...' for each step")
        guard let steps else {
            throw Self.invalid("steps", "MISSING", "missing; a workflow needs at least one step with name and task")
        }
        var specs: [StepSpec] = []
        for (index, step) in steps.enumerated() {
            specs.append(try StepSpec(decoding: step, path: "steps[\(index)]"))
        }
        self.init(
            id: try reader.string("id").map { WorkflowID($0) },
            name: try reader.requiredString("name", example: "archive"),
            appID: try reader.string("app_id") ?? Self.defaultAppID,
            description: try reader.string("description") ?? "",
            labels: try Self.labels(reader),
            args: try reader.array("args", hint: "write [\"x\"] for one argument").map { JSON(.array($0)) }
                ?? .emptyArray,
            kwargs: try reader.object("kwargs") ?? .emptyObject,
            steps: specs)
    }

    private static let keys = ["id", "name", "app_id", "description", "labels", "args", "kwargs", "steps"]

    private static func labels(_ reader: ObjectReader) throws(RhythmError) -> [String: String] {
        guard let value = reader.value("labels") else { return [:] }
        guard case .object(let members) = value else {
            throw invalid("labels", "WRONG_TYPE", "\(JSON(value).excerpt) is \(value.kind), not an object with keys")
        }
        let labels = try ObjectReader(value, path: "labels", what: "labels", known: members.map(\.name))
        var found: [String: String] = [:]
        for member in members { found[member.name] = try labels.string(member.name) ?? "" }
        return found
    }
}

extension StepSpec {
    private static let keys = [
        "name", "task", "queue", "priority", "kwargs", "timeout", "start_timeout", "retry", "max_lost", "inject",
    ]

    init(decoding value: JSONValue, path: String) throws(RhythmError) {
        let reader = try ObjectReader(value, path: path, what: "a step", known: Self.keys)
        self.init(
            name: try reader.requiredString("name", example: "inspect"),
            task: try reader.requiredString("task", example: "tasks.inspect"),
            queue: try reader.string("queue"),
            priority: try reader.integer("priority"),
            kwargs: try reader.object("kwargs") ?? .emptyObject,
            timeout: try reader.duration("timeout"), startTimeout: try reader.duration("start_timeout"),
            retry: try RetryPolicy(decoding: reader.value("retry"), path: reader.path("retry")),
            maxLost: try reader.integer("max_lost") ?? Self.defaultMaxLost,
            inject: try Injection(decoding: reader.value("inject"), path: reader.path("inject")) ?? .all)
    }
}

extension Injection {
    init?(decoding value: JSONValue?, path: String) throws(RhythmError) {
        let known = Self.allNames.joined(separator: ", ")
        switch value {
        case nil: return nil
        case .string("all"): self = .all
        case .string("none"): self = []
        case .array(let elements):
            self = []
            for (index, element) in elements.enumerated() {
                guard let one = element.stringValue.flatMap({ Injection(names: [$0]) }) else {
                    let near = element.stringValue?.nearest(in: Self.allNames).map { "; did you mean '\($0)'?" }
                    throw WorkflowSpec.invalid(
                        "\(path)[\(index)]", "UNKNOWN_NAME",
                        "\(JSON(element).excerpt) is none of \(known)\(near ?? "")")
                }
                formUnion(one)
            }
        case let value?:
            throw WorkflowSpec.invalid(
                path, "WRONG_TYPE", "\(JSON(value).excerpt) is not none, all, or a list out of \(known)")
        }
    }
}

extension RetryPolicy {
    private static let keys = ["max_attempts", "backoff", "factor", "max_backoff"]

    init?(decoding value: JSONValue?, path: String) throws(RhythmError) {
        guard let value else { return nil }
        let reader = try ObjectReader(value, path: path, what: "a retry policy", known: Self.keys)
        guard let maxAttempts = try reader.integer("max_attempts") else {
            throw WorkflowSpec.invalid(
                reader.path("max_attempts"), "MISSING", "missing; how many attempts in all, the first included")
        }
        self.init(maxAttempts: maxAttempts)
        if let backoff = try reader.duration("backoff") { self.backoff = backoff }
        if let factor = try reader.double("factor") { self.factor = factor }
        if let maxBackoff = try reader.duration("max_backoff") { self.maxBackoff = maxBackoff }
    }
}
