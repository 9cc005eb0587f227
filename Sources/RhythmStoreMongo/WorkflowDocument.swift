import RhythmCore
import RhythmEngine
import RhythmMongo

/// A workflow as a document of `workflow_meta`.
///
/// Its top level is what the Python library `sca-rhythm` stores, field for field, so that the library's readers can
/// stay, with `version`, `started_at`, `ended_at` and `labels` added. All of that is for others: a record is read back
/// from the sub-document `rhythm` alone, which holds it exactly (JSON as its text, times in whole microseconds):
///
/// - `schema`: the form of all this, ``schema``.
/// - `revision`: grows by one with every write. A write names the revision that it was made from.
/// - `writer`: the server that follows the workflow's attempts.
/// - `write_id`: a number of the latest write of a record and of no other.
/// - `settled`, `steps_total`, `steps_done`, `pending_step`: copies of what ``Workflow`` derives, for lists.
/// - `label_pairs`: the labels in a form that one index serves, see ``labelPair(_:_:)``.
/// - `attempts`: by name, see ``AttemptDocument``; `events`: the latest ones, oldest first.
enum WorkflowDocument {
    static let schema: Int64 = 1

    /// The field of documents that are no workflows but belong to an attempt; readers leave them out.
    static let privateMarker = "rhythm_private"

    /// Of a key and a value, such that no other two make the same text.
    static func labelPair(_ key: String, _ value: String) -> String { "\(key.utf8.count):\(key)\(value)" }

    /// The document of a new workflow.
    static func make(
        _ change: WorkflowChange, writer: String, writeID: Int64, eventsKept: Int
    ) -> BSONDocument {
        let workflow = change.workflow
        var document: BSONDocument = [
            "_id": .string(workflow.id.rawValue), "created_at": .date(workflow.createdAt),
            "updated_at": .date(workflow.updatedAt),
            "steps": .array(workflow.steps.map { .document(StepDocument.makeShown($0)) }),
            "name": .string(workflow.name), "app_id": .string(workflow.appID),
            "description": .string(workflow.description), "_status": .string(workflow.status.rawValue),
            // The library's field for a lock that the server does not need.
            "resume_lock": .null, "version": .int64(workflow.version), "started_at": .date(workflow.startedAt),
            "ended_at": .date(workflow.endedAt),
            "labels": .document(
                BSONDocument(workflow.labels.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })),
        ]
        document.append(
            "rhythm", .document(exact(change, writer: writer, writeID: writeID, eventsKept: eventsKept)))
        return document
    }

    /// The update that makes a document of the Python library ours. All that is in it and that we do not write stays.
    static func adoption(
        _ change: WorkflowChange, writer: String, writeID: Int64, eventsKept: Int
    ) -> BSONDocument {
        let workflow = change.workflow
        var set: BSONDocument = [
            "updated_at": .date(workflow.updatedAt), "_status": .string(workflow.status.rawValue),
            "resume_lock": .null, "version": .int64(workflow.version), "started_at": .date(workflow.startedAt),
            "ended_at": .date(workflow.endedAt), "labels": [:],
        ]
        for (index, step) in workflow.steps.enumerated() where !step.attempts.isEmpty {
            set.append("steps.\(index).task_runs", StepDocument.taskRuns(of: step))
        }
        set.append(
            "rhythm", .document(exact(change, writer: writer, writeID: writeID, eventsKept: eventsKept)))
        return ["$set": .document(set)]
    }

    /// The subdocument `rhythm` of a workflow's first write.
    private static func exact(
        _ change: WorkflowChange, writer: String, writeID: Int64, eventsKept: Int
    ) -> BSONDocument {
        let workflow = change.workflow
        var exact: BSONDocument = [
            "schema": .int64(schema), "revision": .int64(1), "writer": .string(writer), "write_id": .int64(writeID),
            "created_us": .exact(workflow.createdAt), "args": .string(workflow.args.text),
            "kwargs": .string(workflow.kwargs.text),
            "steps": .array(workflow.steps.map { .document(StepDocument.makeExact($0.spec)) }),
            "steps_total": .exact(workflow.steps.count),
            "label_pairs": .array(
                workflow.labels.map { labelPair($0.key, $0.value) }.sorted().map { .string($0) }),
        ]
        // Absent rather than empty: the unique index holds only those that are there.
        if !workflow.requestID.isEmpty { exact.append("request_id", .string(workflow.requestID)) }
        exact.elements += changing(workflow)
        var attempts = BSONDocument()
        for (index, step) in workflow.steps.enumerated() {
            for attempt in step.attempts {
                attempts.append(
                    AttemptDocument.name(step: index, number: attempt.number),
                    .document(AttemptDocument.make(attempt, step: index)))
            }
        }
        exact.append("attempts", .document(attempts))
        exact.append("events", .array(change.events.suffix(eventsKept).map { .document(EventDocument.make($0)) }))
        return exact
    }

    /// What of `rhythm` changes with a workflow.
    private static func changing(_ workflow: Workflow) -> [BSONDocument.Element] {
        let pending = workflow.pendingIndex
        var resumeFrom = BSONValue.null
        var resumeArgs = BSONValue.null
        if case .resuming(let plan) = workflow.control {
            resumeFrom = plan.from.map { .exact($0) } ?? .null
            resumeArgs = plan.args.map { .string($0.text) } ?? .null
        }
        return [
            .init("settled", .bool(workflow.isSettled)), .init("steps_done", .exact(pending)),
            .init("pending_step", .string(pending < workflow.steps.count ? workflow.steps[pending].spec.name : "")),
            .init("control", .string(ControlWord(workflow.control).rawValue)), .init("resume_from", resumeFrom),
            .init("resume_args", resumeArgs), .init("deletes", .bool(workflow.deletesWhenSettled)),
            .init("updated_us", .exact(workflow.updatedAt)),
            .init("started_us", workflow.startedAt.map { .exact($0) } ?? .null),
            .init("ended_us", workflow.endedAt.map { .exact($0) } ?? .null),
            .init("requests", .array(workflow.requests.map { .document(RequestDocument.make($0)) })),
        ]
    }

    /// The update that brings a stored workflow to what the change says.
    ///
    /// - Parameter events: all events to keep, the new ones included; nil to add the new ones to what is stored.
    static func update(
        _ change: WorkflowChange, revision: Int64, writer: String, writeID: Int64, eventsKept: Int,
        events: [BSONValue]? = nil
    ) -> BSONDocument {
        let workflow = change.workflow
        var set: BSONDocument = [
            "updated_at": .date(workflow.updatedAt), "_status": .string(workflow.status.rawValue),
            "version": .int64(workflow.version), "started_at": .date(workflow.startedAt),
            "ended_at": .date(workflow.endedAt), "rhythm.revision": .int64(revision),
            "rhythm.writer": .string(writer), "rhythm.write_id": .int64(writeID),
        ]
        set.elements += changing(workflow).map { .init("rhythm." + $0.key, $0.value) }
        for step in Set(change.touched.map(\.step)).sorted() {
            set.append("steps.\(step).task_runs", StepDocument.taskRuns(of: workflow.steps[step]))
        }
        for position in change.touched {
            let attempt = workflow[position]
            precondition(attempt.number == position.attempt + 1, "attempt \(attempt.id) at \(position)")
            set.append(
                "rhythm.attempts." + AttemptDocument.name(step: position.step, number: attempt.number),
                .document(AttemptDocument.make(attempt, step: position.step)))
        }
        var update = BSONDocument()
        if let events { set.append("rhythm.events", .array(events)) }
        update.append("$set", .document(set))
        if events == nil, !change.events.isEmpty {
            update.append(
                "$push",
                [
                    "rhythm.events": [
                        "$each": .array(change.events.map { .document(EventDocument.make($0)) }),
                        "$slice": .exact(-eventsKept),
                    ]
                ])
        }
        return update
    }
}

/// The word for a ``Control``; a resume's plan has fields of its own.
enum ControlWord: String {
    case running, pausing, paused, resuming, cancelled

    init(_ control: Control) {
        switch control {
        case .running: self = .running
        case .pausing: self = .pausing
        case .paused: self = .paused
        case .resuming: self = .resuming
        case .cancelled: self = .cancelled
        }
    }

    func control(_ plan: ResumePlan) -> Control {
        switch self {
        case .running: .running
        case .pausing: .pausing
        case .paused: .paused
        case .resuming: .resuming(plan)
        case .cancelled: .cancelled
        }
    }
}
