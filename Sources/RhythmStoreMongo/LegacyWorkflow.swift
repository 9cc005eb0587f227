import RhythmCore
import RhythmEngine
import RhythmMongo

/// A workflow of the Python library `sca-rhythm` as one of ours, for readers only.
///
/// The library keeps what its tasks did in Celery's result documents, one for each task run; the status follows from
/// them. Whatever is missing or of an odd type is passed over: half of a record is worth more than an error.
enum LegacyWorkflow {
    /// The ids of the tasks that a document names.
    static func taskIDs(_ document: BSONDocument) -> [String] {
        steps(document).flatMap { runs($0).compactMap { $0["task_id"]?.stringValue } }
    }

    /// The workflow of a document and the result documents of its tasks by id.
    static func read(_ document: BSONDocument, results: [String: BSONDocument]) -> Workflow {
        let id = WorkflowID(document["_id"]?.stringValue ?? "")
        let appID = document["app_id"]?.stringValue ?? ""
        let specs = steps(document).map { spec($0, workflow: id, appID: appID) }
        let created = time(document["created_at"])
        let fallback = created ?? Timestamp(microseconds: 0)
        let read = zip(steps(document), specs).map { readAttempts($0, $1, results: results, begun: fallback) }
        let attempts = completed(read, by: document["_status"]?.stringValue) { results[$0.id.rawValue] != nil }
        let first = attempts.first?.first
        var workflow = Workflow(
            id: id,
            spec: WorkflowSpec(
                name: document["name"]?.stringValue ?? "", appID: appID,
                description: document["description"]?.stringValue ?? "",
                // The library stores them nowhere else.
                args: first?.args ?? .emptyArray, steps: specs),
            createdAt: created ?? first?.startedAt ?? Timestamp(microseconds: 0))
        for (index, attempts) in attempts.enumerated() {
            workflow.steps[index].attempts = attempts
            guard let handed = workflow.handOver(toStep: index) else { continue }
            for (number, attempt) in attempts.enumerated() where !hasArgs(results[attempt.id.rawValue]) {
                workflow.steps[index].attempts[number] = attempt.with(args: handed)
            }
        }
        workflow.updatedAt = time(document["updated_at"]) ?? workflow.createdAt
        let all = attempts.joined()
        workflow.startedAt = all.compactMap(\.startedAt).min()
        if workflow.status.isDone { workflow.endedAt = all.compactMap(\.endedAt).max() ?? workflow.updatedAt }
        workflow.version = LegacyHistory.version(of: workflow)
        return workflow
    }

    /// Whether a task's arguments were stored: only with `result_extended`.
    static func hasArgs(_ result: BSONDocument?) -> Bool { result?["args"]?.arrayValue != nil }

    static func steps(_ document: BSONDocument) -> [BSONDocument] {
        (document["steps"]?.arrayValue ?? []).compactMap(\.documentValue)
    }

    static func runs(_ step: BSONDocument) -> [BSONDocument] {
        (step["task_runs"]?.arrayValue ?? []).compactMap(\.documentValue)
    }

    private static func spec(_ step: BSONDocument, workflow: WorkflowID, appID: String) -> StepSpec {
        StepSpec(
            name: step["name"]?.stringValue ?? "", task: step["task"]?.stringValue ?? "",
            queue: step["queue"]?.stringValue, priority: step["priority"]?.int64Value.map { Int($0) },
            kwargs: kwargs(step["kwargs"]))
    }

    /// Keyword arguments without those that the library adds to every step that it sends.
    private static func kwargs(_ value: BSONValue?) -> JSON {
        guard var document = value?.documentValue else { return .emptyObject }
        document.elements.removeAll { ["workflow_id", "step", "app_id"].contains($0.key) }
        if document.isEmpty { return .emptyObject }
        return (try? JSON(parsing: BSONValue.document(document).jsonText)) ?? .emptyObject
    }

    private static func readAttempts(
        _ step: BSONDocument, _ spec: StepSpec, results: [String: BSONDocument], begun fallback: Timestamp
    ) -> [Attempt] {
        let runs = runs(step)
        return runs.enumerated().map { index, run in
            let id = run["task_id"]?.stringValue ?? ""
            let result = results[id]
            let began = time(run["date_start"]) ?? fallback
            var attempt = Attempt(
                restoring: TaskID(id), number: index + 1, retry: 0, args: args(result?["args"]),
                // Workers store what they were given only with `result_extended`; the step says it as well.
                kwargs: result?["kwargs"]?.documentValue == nil ? spec.kwargs : kwargs(result?["kwargs"]),
                createdAt: began)
            attempt.dispatchedAt = began
            attempt.startedAt = began
            attempt.queue = spec.queue
            attempt.superseded = index < runs.count - 1
            if let result { take(result, into: &attempt) }
            return attempt
        }
    }

    /// Celery forgets results after a day, unless it is told otherwise; how the workflow ended its own document still
    /// says. A failure only if none is there that is older: what is missing is not forgotten then, but has yet to come.
    private static func completed(
        _ steps: [[Attempt]], by stored: String?, isKnown: (Attempt) -> Bool
    ) -> [[Attempt]] {
        guard let word = stored.flatMap({ WorkflowStatus(rawValue: $0) }), LegacySelection.certain.contains(word),
            let last = steps.lastIndex(where: { !$0.isEmpty })
        else { return steps }
        let forgotten = Failure(type: "ResultForgotten", message: "its result is not stored any more", module: "rhythm")
        let isToCome = steps.joined().dropLast().contains(where: isKnown)
        return steps.enumerated().map { index, attempts in
            attempts.map { attempt in
                if isKnown(attempt) { return attempt }
                var attempt = attempt
                let decides = index == last && !attempt.superseded && word == .failure
                if decides && isToCome { return attempt }
                if decides || attempt.superseded {
                    attempt.status = .failure
                    attempt.failure = forgotten
                } else {
                    attempt.status = .success
                    attempt.result = .null
                }
                return attempt
            }
        }
    }

    private static func args(_ value: BSONValue?) -> JSON {
        guard let value, value.arrayValue != nil else { return .emptyArray }
        return (try? JSON(parsing: value.jsonText)) ?? .emptyArray
    }

    private static func take(_ result: BSONDocument, into attempt: inout Attempt) {
        let word = result["status"]?.stringValue ?? ""
        // A task may report any word of its own while it runs.
        attempt.status = TaskStatus(rawValue: word) ?? (word.isEmpty ? .pending : .started)
        attempt.worker = result["worker"]?.stringValue
        attempt.queue = result["queue"]?.stringValue ?? attempt.queue
        attempt.retries = result["retries"]?.int64Value.map { Int($0) } ?? 0
        if attempt.status.isEnd { attempt.endedAt = time(result["date_done"]) }
        let json = result["result"].flatMap(json)
        switch attempt.status {
        case .success: attempt.result = json ?? .null
        case .failure, .revoked, .retry:
            attempt.failure = failure(json, traceback: result["traceback"]?.stringValue ?? "")
        case .started: attempt.progress = progress(json, at: attempt.startedAt ?? attempt.createdAt)
        case .pending: break
        }
    }

    /// A result as JSON: its text, or what else was stored in a readable form.
    private static func json(_ value: BSONValue) -> JSON? {
        guard let text = value.stringValue else {
            return value.isNull ? nil : try? JSON(parsing: value.jsonText)
        }
        return (try? JSON(parsing: text)) ?? .string(text)
    }

    private static func failure(_ json: JSON?, traceback: String) -> Failure? {
        guard let value = json?.value else { return nil }
        let message: String
        switch value["exc_message"] {
        case .array(let parts)?:
            message = parts.map { $0.stringValue ?? $0.compactText }.joined(separator: ", ")
        case .string(let text)?: message = text
        case let other?: message = other.compactText
        case nil: message = json?.text ?? ""
        }
        return Failure(
            type: value["exc_type"]?.stringValue ?? "", message: message,
            module: value["exc_module"]?.stringValue ?? "", traceback: traceback)
    }

    /// What a task reports while it runs. Only the library's rate is known, not what it was made of.
    private static func progress(_ json: JSON?, at time: Timestamp) -> Progress? {
        guard let value = json?.value,
            let report = ProgressReport(reported: value, passing: ["pid", "hostname"], at: time)
        else { return nil }
        var state = Progress(report).state
        if let rate = value["wt_avg_rate"]?.doubleValue, rate.isFinite, report.isCounted {
            state.weightedSum = rate
            state.weight = 1
        }
        return Progress(restoring: state)
    }

    /// A date, or the text that Celery up to 5.3.1 stores, which has no offset and means UTC.
    static func time(_ value: BSONValue?) -> Timestamp? {
        switch value {
        case .date(let milliseconds)?: Timestamp(milliseconds: milliseconds)
        case .string(let text)?: Timestamp(iso8601: text)
        default: nil
        }
    }
}

extension Attempt {
    /// The same attempt with the arguments that it must have had.
    fileprivate func with(args: JSON) -> Attempt {
        var copy = Attempt(
            restoring: id, number: number, retry: retry, args: args, kwargs: kwargs, createdAt: createdAt)
        copy.status = status
        copy.dispatchedAt = dispatchedAt
        copy.startedAt = startedAt
        copy.endedAt = endedAt
        copy.result = result
        copy.failure = failure
        copy.worker = worker
        copy.queue = queue
        copy.retries = retries
        copy.progress = progress
        copy.superseded = superseded
        return copy
    }
}
