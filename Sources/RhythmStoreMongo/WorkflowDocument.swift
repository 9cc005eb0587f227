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
/// - `steps`, `requests`: folded (see FoldedDocument.swift), like each of `attempts`, by name (``AttemptDocument``), and of
///   `events`, the latest ones by version (``EventDocument``).
enum WorkflowDocument {
    /// 2: `steps`, `requests`, attempts and events are folded, events by version.
    static let schema: Int64 = 2

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
            "steps": BSONValue.array(workflow.steps.map { .document(StepDocument.makeExact($0.spec)) }).folded,
            "steps_total": .exact(workflow.steps.count),
            "label_pairs": .array(
                workflow.labels.map { labelPair($0.key, $0.value) }.sorted().map { .string($0) }),
        ]
        // Absent rather than empty: the unique index holds only those that are there.
        if !workflow.requestID.isEmpty { exact.append("request_id", .string(workflow.requestID)) }
        exact.elements += changing(workflow).map { .init(String($0.key.dropFirst(7)), $0.value) }
        var attempts = BSONDocument()
        for (index, step) in workflow.steps.enumerated() {
            for attempt in step.attempts {
                attempts.append(
                    AttemptDocument.name(step: index, number: attempt.number),
                    BSONValue.document(AttemptDocument.make(attempt, step: index)).folded)
            }
        }
        exact.append("attempts", .document(attempts))
        exact.append("events", .document(BSONDocument(change.events.suffix(eventsKept).map(EventDocument.makeElement))))
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
            .init("rhythm.settled", .bool(workflow.isSettled)), .init("rhythm.steps_done", .exact(pending)),
            .init(
                "rhythm.pending_step", .string(pending < workflow.steps.count ? workflow.steps[pending].spec.name : "")),
            .init("rhythm.control", .string(ControlWord(workflow.control).rawValue)),
            .init("rhythm.resume_from", resumeFrom),
            .init("rhythm.resume_args", resumeArgs), .init("rhythm.deletes", .bool(workflow.deletesWhenSettled)),
            .init("rhythm.updated_us", .exact(workflow.updatedAt)),
            .init("rhythm.started_us", workflow.startedAt.map { .exact($0) } ?? .null),
            .init("rhythm.ended_us", workflow.endedAt.map { .exact($0) } ?? .null),
            .init(
                "rhythm.requests",
                workflow.requests.isEmpty
                    ? .null : BSONValue.array(workflow.requests.map { .document(RequestDocument.make($0)) }).folded),
        ]
    }

    /// The fields that writes change, by their paths, but for attempts and events.
    static func mutableFields(_ workflow: Workflow, writer: String) -> BSONDocument {
        BSONDocument(
            [
                .init("updated_at", .date(workflow.updatedAt)), .init("_status", .string(workflow.status.rawValue)),
                .init("version", .int64(workflow.version)), .init("started_at", .date(workflow.startedAt)),
                .init("ended_at", .date(workflow.endedAt)), .init("rhythm.writer", .string(writer)),
            ] + changing(workflow))
    }

    /// The same fields as a document has them.
    static func mutableFields(in document: BSONDocument, like fields: BSONDocument) -> BSONDocument {
        let inner = document["rhythm"]?.documentValue ?? [:]
        return BSONDocument(
            fields.elements.compactMap { field in
                let value =
                    field.key.hasPrefix("rhythm.") ? inner[String(field.key.dropFirst(7))] : document[field.key]
                return value.map { .init(field.key, $0) }
            })
    }

    /// The update that brings a stored workflow to what the change says.
    ///
    /// - Parameters:
    ///   - fields: what ``mutableFields(_:writer:)`` gives for it.
    ///   - stored: the same as they are stored, as far as that is known: these are not written again.
    ///   - events: all events to keep, the new ones included; nil to add the new ones to what is stored.
    static func update(
        _ change: WorkflowChange, _ fields: BSONDocument, stored: BSONDocument, revision: Int64, writeID: Int64,
        eventsKept: Int, events: BSONDocument? = nil
    ) -> BSONDocument {
        let workflow = change.workflow
        var set: BSONDocument = ["rhythm.revision": .int64(revision), "rhythm.write_id": .int64(writeID)]
        // Both have them in the same order, if at all.
        set.elements +=
            stored.count == fields.count
            ? zip(fields.elements, stored.elements).filter { $0 != $1 }.map(\.0) : fields.elements
        for step in Set(change.touched.map(\.step)).sorted() {
            set.append("steps.\(step).task_runs", StepDocument.taskRuns(of: workflow.steps[step]))
        }
        for position in change.touched {
            let attempt = workflow[position]
            precondition(attempt.number == position.attempt + 1, "attempt \(attempt.id) at \(position)")
            set.append(
                "rhythm.attempts." + AttemptDocument.name(step: position.step, number: attempt.number),
                BSONValue.document(AttemptDocument.make(attempt, step: position.step)).folded)
        }
        var dropped = BSONDocument()
        if let events {
            set.append("rhythm.events", .document(events))
        } else {
            for event in change.events.suffix(eventsKept) {
                let element = EventDocument.makeElement(event)
                set.append("rhythm.events." + element.key, element.value)
            }
            // Every version has one event, and only the latest are kept.
            for event in change.events where event.version > eventsKept {
                dropped.append("rhythm.events." + EventDocument.name(event.version - Int64(eventsKept)), "")
            }
        }
        var update: BSONDocument = ["$set": .document(set)]
        if !dropped.isEmpty { update.append("$unset", .document(dropped)) }
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
