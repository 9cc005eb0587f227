import CRhythmProto
import RhythmCore

extension WorkflowSpec: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__WorkflowSpec>) throws(FieldError) {
        self.init(
            id: try optionalText(c.pointee.workflow_id, "workflow_id").map { WorkflowID($0) },
            name: try text(c.pointee.name, "name"),
            appID: try text(c.pointee.app_id, "app_id"),
            description: try text(c.pointee.description, "description"),
            labels: try RhythmWire.labels(c.pointee.n_labels, c.pointee.labels),
            args: try jsonArray(c.pointee.args, "args"),
            kwargs: try jsonObject(c.pointee.kwargs, "kwargs"),
            steps: try list(c.pointee.n_steps, c.pointee.steps, "steps"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__WorkflowSpec> {
        let c = arena.make(rhythm__workflow_spec__init)
        c.pointee.workflow_id = arena.text(id?.rawValue)
        c.pointee.name = arena.text(name)
        c.pointee.app_id = arena.text(appID)
        c.pointee.description = arena.text(description)
        (c.pointee.n_labels, c.pointee.labels) = arena.labels(labels)
        c.pointee.args = arena.text(args.text)
        c.pointee.kwargs = arena.text(kwargs.text)
        (c.pointee.n_steps, c.pointee.steps) = arena.list(steps)
        return c
    }
}

extension StepSpec: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__StepSpec>) throws(FieldError) {
        self.init(
            name: try text(c.pointee.name, "name"),
            task: try text(c.pointee.task, "task"),
            queue: try optionalText(c.pointee.queue, "queue"),
            priority: c.pointee.optional_priority_case == RHYTHM__STEP_SPEC__OPTIONAL_PRIORITY_PRIORITY
                ? Int(c.pointee.priority) : nil,
            kwargs: try jsonObject(c.pointee.kwargs, "kwargs"),
            timeout: c.pointee.timeout_ms == 0 ? nil : .milliseconds(c.pointee.timeout_ms),
            startTimeout: c.pointee.start_timeout_ms == 0 ? nil : .milliseconds(c.pointee.start_timeout_ms),
            retry: try nested(c.pointee.retry, "retry"),
            maxLost: c.pointee.optional_max_lost_case == RHYTHM__STEP_SPEC__OPTIONAL_MAX_LOST_MAX_LOST
                ? Int(c.pointee.max_lost) : Self.defaultMaxLost,
            inject: try nested(c.pointee.inject, "inject") ?? .all)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__StepSpec> {
        let c = arena.make(rhythm__step_spec__init)
        c.pointee.name = arena.text(name)
        c.pointee.task = arena.text(task)
        c.pointee.queue = arena.text(queue)
        if let priority {
            c.pointee.optional_priority_case = RHYTHM__STEP_SPEC__OPTIONAL_PRIORITY_PRIORITY
            c.pointee.priority = Int32(clamping: priority)
        }
        c.pointee.kwargs = arena.text(kwargs.text)
        c.pointee.timeout_ms = timeout?.wireMilliseconds ?? 0
        c.pointee.start_timeout_ms = startTimeout?.wireMilliseconds ?? 0
        c.pointee.retry = retry?.write(in: arena)
        if maxLost != Self.defaultMaxLost {
            c.pointee.optional_max_lost_case = RHYTHM__STEP_SPEC__OPTIONAL_MAX_LOST_MAX_LOST
            c.pointee.max_lost = Int32(clamping: maxLost)
        }
        if inject != .all { c.pointee.inject = inject.write(in: arena) }
        return c
    }
}

extension Injection: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Inject>) throws(FieldError) {
        self = []
        for (index, name) in try texts(c.pointee.n_names, c.pointee.names, "names").enumerated() {
            guard let one = Injection(names: [name]) else {
                throw .value("names[\(index)]", "one of \(Self.allNames.joined(separator: ", "))")
            }
            formUnion(one)
        }
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Inject> {
        let c = arena.make(rhythm__inject__init)
        (c.pointee.n_names, c.pointee.names) = arena.texts(names)
        return c
    }
}

extension RetryPolicy: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__RetryPolicy>) throws(FieldError) {
        self.init(maxAttempts: Int(c.pointee.max_attempts))
        if c.pointee.optional_backoff_case == RHYTHM__RETRY_POLICY__OPTIONAL_BACKOFF_BACKOFF_MS {
            backoff = .milliseconds(c.pointee.backoff_ms)
        }
        if c.pointee.optional_factor_case == RHYTHM__RETRY_POLICY__OPTIONAL_FACTOR_FACTOR {
            factor = try finite(c.pointee.factor, "factor")
        }
        if c.pointee.optional_max_backoff_case == RHYTHM__RETRY_POLICY__OPTIONAL_MAX_BACKOFF_MAX_BACKOFF_MS {
            maxBackoff = .milliseconds(c.pointee.max_backoff_ms)
        }
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__RetryPolicy> {
        let c = arena.make(rhythm__retry_policy__init)
        c.pointee.max_attempts = Int32(clamping: maxAttempts)
        c.pointee.optional_backoff_case = RHYTHM__RETRY_POLICY__OPTIONAL_BACKOFF_BACKOFF_MS
        c.pointee.backoff_ms = backoff.wireMilliseconds
        c.pointee.optional_factor_case = RHYTHM__RETRY_POLICY__OPTIONAL_FACTOR_FACTOR
        c.pointee.factor = factor
        c.pointee.optional_max_backoff_case = RHYTHM__RETRY_POLICY__OPTIONAL_MAX_BACKOFF_MAX_BACKOFF_MS
        c.pointee.max_backoff_ms = maxBackoff.wireMilliseconds
        return c
    }
}
