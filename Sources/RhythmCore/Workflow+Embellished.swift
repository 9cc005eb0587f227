extension Workflow {
    /// The workflow as one JSON object, for programs that read the output of the command line.
    ///
    /// Every key of the object that the Python library `sca-rhythm` returns from `get_embellished_workflow` is here
    /// with the same value, so its readers can stay, but for `resume_lock`, which is not set here, and the `_id` of an
    /// attempt that waits to be sent, which readers of the database do not see; `labels`, `args`, `kwargs`, `version`, `started_at`, `ended_at`, `paused` and `cancelled` are added, and to each step `not_begun`,
    /// the attempts that the library does not know of. Dates are ISO 8601 in UTC with a `Z`.
    /// - Parameter previousTaskRuns: also give the attempts before the last one of each step.
    public func embellished(previousTaskRuns: Bool = false) -> JSONValue {
        .object([
            .init("id", .string(id.rawValue)),
            .init("name", .string(name)),
            .init("app_id", .string(appID)),
            .init("description", .string(description)),
            .init("created_at", .string(createdAt.iso8601)),
            .init("updated_at", .string(updatedAt.iso8601)),
            .init("status", .string(status.rawValue)),
            .init("steps_done", .integer(pendingIndex)),
            .init("total_steps", .integer(steps.count)),
            .init("steps", .array(steps.indices.map { embellished($0, previousTaskRuns: previousTaskRuns) })),
            // The library's field for a lock that the server does not need; readers expect the key.
            .init("resume_lock", .null),
            .init("labels", .object(labels.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })),
            .init("args", args.value),
            .init("kwargs", kwargs.value),
            .init("version", .integer(version)),
            .init("started_at", .optional(startedAt?.iso8601)),
            .init("ended_at", .optional(endedAt?.iso8601)),
            .init("paused", .bool(isPaused)),
            .init("cancelled", .bool(isCancelled)),
            .init("quiesced", .bool(isQuiesced)),
        ])
    }

    private func embellished(_ index: Int, previousTaskRuns: Bool) -> JSONValue {
        let step = steps[index]
        var members: [JSONValue.Member] = [
            .init("name", .string(step.spec.name)),
            .init("task", .string(step.spec.task)),
            .init("status", .string(step.status.rawValue)),
        ]
        let runs = taskRuns(ofStep: index)
        let last = runs.last.flatMap { $0.isKnown ? $0.attempt : nil }
        members.append(.init("last_task_run", last.map { embellished($0, of: step) } ?? .null))
        if previousTaskRuns {
            let earlier = runs.dropLast().compactMap(\.attempt)
            members.append(.init("prev_task_runs", .array(earlier.map { embellished($0, of: step) })))
        }
        let known = Set(runs.filter(\.isKnown).compactMap { $0.attempt?.id })
        let others = step.attempts.filter { !known.contains($0.id) && (previousTaskRuns || !$0.superseded) }
        members.append(.init("not_begun", .array(others.map { embellished($0, of: step) })))
        return .object(members)
    }

    /// An attempt in the shape of a result document of Celery.
    private func embellished(_ attempt: Attempt, of step: Step) -> JSONValue {
        let result: JSONValue =
            if let failure = attempt.failure {
                failure.embellished
            } else if attempt.status == .started, let progress = attempt.progress {
                // While a task runs, Celery keeps there what it reports.
                progress.embellished
            } else {
                attempt.result?.value ?? .null
            }
        let traceback = attempt.failure?.traceback ?? ""
        return .object([
            .init("_id", .string(attempt.id.rawValue)),
            .init("status", .string(attempt.shownStatus.rawValue)),
            .init("result", result),
            .init("traceback", traceback.isEmpty ? .null : .string(traceback)),
            .init("children", .array([])),
            .init("date_done", .optional(attempt.endedAt?.iso8601)),
            .init("name", .string(step.spec.task)),
            .init("args", attempt.args.value),
            .init(
                "kwargs",
                step.spec.inject.added(to: attempt.kwargs, workflowID: id, step: step.spec.name, appID: appID)),
            .init("worker", .optional(attempt.worker)),
            .init("retries", .integer(attempt.retries)),
            .init("queue", .optional(attempt.queue)),
            .init("date_start", .optional(attempt.startedAt?.iso8601)),
            .init("progress", attempt.progress?.embellished ?? .null),
            .init("attempt", .integer(attempt.number)),
        ])
    }
}

extension Failure {
    /// The failure in the shape of Celery's failure documents.
    public var embellished: JSONValue {
        .object([
            .init("exc_type", .string(type)),
            .init("exc_message", .array([.string(message)])),
            .init("exc_module", .string(module)),
        ])
    }
}

extension Progress {
    /// The progress in the shape that the Python library's tasks report; what is unknown is null, and what a task reports
    /// besides stands behind.
    public var embellished: JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { .plain($0) } ?? .null }
        let shown: [JSONValue.Member] = [
            .init("name", .string(name)),
            .init("done", isCounted ? .plain(done) : .null),
            .init("total", number(total)),
            .init("units", .string(units)),
            .init("fraction_done", number(fractionDone)),
            .init("time_remaining_sec", number(timeRemaining)),
            .init("wt_avg_rate", number(weightedRate)),
            .init("avg_rate", number(averageRate)),
        ]
        let names = Set(shown.map(\.name))
        return .object(shown + own.filter { !names.contains($0.name) })
    }
}

extension JSONValue {
    /// A float that is written without a fraction if it has none.
    public static func plain(_ value: Double) -> JSONValue {
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return .integer(whole) }
        return .float(value)
    }
}
