import RhythmCore
import RhythmEngine
import RhythmMongo

/// A workflow as a document of `rhythm_workflows`: the exact record, which nobody but servers of ours writes.
///
/// What is asked for is plain; what is only read as a whole is folded (see FoldedDocument.swift). A transition sets few
/// fields, and the collection has few indexes: databases take a whole document apart to change it, and some of them
/// write every index anew whatever was changed.
///
/// - `schema`: the form of all this, ``schema``.
/// - `revision`: grows by one with every write. A write names the revision that it was made from.
/// - `writer`: the server that follows the workflow's attempts.
/// - `write_id`: a number of the latest write of a record and of no other.
/// - `settled`: a copy of what ``Workflow`` derives.
/// - `open`: there unless lists find the workflow by its row (``RowDocument``); see ``Openness``.
/// - `name`, `app_id`, `pairs` (the labels, see ``labelPair(_:_:)``), `request`, `created_us`: never change.
/// - `status`, `updated_us`, `version`: of the latest write.
/// - `fixed`: what else never changes, folded: description, arguments and steps.
/// - `state`: what else changes and a row of a list shows, folded; `requests`: commands that came with an id, folded.
/// - `attempts`, `events`: each folded, by name (``AttemptDocument``) and by version (``EventDocument``).
/// - `adopted`: only of workflows that began as the Python library's.
enum WorkflowDocument {
    /// 3: in a collection of its own. 2, which is converted (``FirstForm``), was a part of a document of `workflow_meta`.
    static let schema: Int64 = 3

    /// The field of documents of `workflow_meta` that are no workflows but belong to an attempt; readers leave them out.
    static let privateMarker = "rhythm_private"

    /// What lists have to look for among the records themselves. In a sparse index: most records are not in it.
    enum Openness: Int64 {
        /// It has no row, and lists find the record.
        case noRow = 1
        /// There may be a row that is behind: the record counts.
        case behindRow = 2
        /// Not a workflow yet: an adoption has begun to store it, see MongoStore+Adoption.swift.
        case draft = 3

        var bson: BSONValue { .int32(Int32(rawValue)) }
    }

    /// The records that lists look for.
    static let isOpen: BSONValue = ["$in": [1, 2]]

    /// Of a key and a value, such that no other two make the same text.
    static func labelPair(_ key: String, _ value: String) -> String { "\(key.utf8.count):\(key)\(value)" }

    /// The key and the value of a pair; nil if it is none.
    static func label(ofPair pair: String) -> (key: String, value: String)? {
        guard let colon = pair.utf8.firstIndex(of: UInt8(ascii: ":")), let length = Int(pair[..<colon]), length >= 0
        else { return nil }
        let rest = Array(pair.utf8[pair.utf8.index(after: colon)...])
        guard rest.count >= length else { return nil }
        return (String(decoding: rest[..<length], as: UTF8.self), String(decoding: rest[length...], as: UTF8.self))
    }

    /// The document of a workflow that is not stored yet.
    static func make(
        _ change: WorkflowChange, writer: String, writeID: Int64, eventsKept: Int, isAdopted: Bool = false
    ) -> BSONDocument {
        let workflow = change.workflow
        let open: Openness = isAdopted ? .draft : workflow.isSettled ? .behindRow : .noRow
        var document: BSONDocument = [
            "_id": .string(workflow.id.rawValue), "schema": .int64(schema), "revision": .int64(1),
            "write_id": .int64(writeID), "open": open.bson,
            "name": .string(workflow.name), "app_id": .string(workflow.appID),
            "pairs": .array(workflow.labels.map { labelPair($0.key, $0.value) }.sorted().map { .string($0) }),
            "created_us": .exact(workflow.createdAt),
        ]
        // Absent rather than empty: the unique index holds only those that are there.
        if !workflow.requestID.isEmpty { document.append("request", .string(workflow.requestID)) }
        if isAdopted { document.append("adopted", true) }
        document.elements += mutableFields(workflow, writer: writer).elements
        document.append("fixed", fixed(workflow))
        var attempts = BSONDocument()
        for (index, step) in workflow.steps.enumerated() {
            for attempt in step.attempts {
                attempts.append(
                    AttemptDocument.name(step: index, number: attempt.number),
                    BSONValue.document(AttemptDocument.make(attempt, step: index)).folded)
            }
        }
        document.append("attempts", .document(attempts))
        document.append(
            "events", .document(BSONDocument(change.events.suffix(eventsKept).map(EventDocument.makeElement))))
        return document
    }

    private static func fixed(_ workflow: Workflow) -> BSONValue {
        let document: BSONDocument = [
            "description": .string(workflow.description), "args": .string(workflow.args.text),
            "kwargs": .string(workflow.kwargs.text),
            "steps": .array(workflow.steps.map { .document(StepDocument.makeExact($0.spec)) }),
        ]
        return BSONValue.document(document).folded
    }

    /// What changes and is only read as a whole.
    private static func state(_ workflow: Workflow) -> BSONValue {
        let pending = workflow.pendingIndex
        var state: BSONDocument = [
            "control": .string(ControlWord(workflow.control).rawValue), "steps_done": .exact(pending),
            "steps_total": .exact(workflow.steps.count),
        ]
        if pending < workflow.steps.count { state.append("pending_step", .string(workflow.steps[pending].spec.name)) }
        if case .resuming(let plan) = workflow.control {
            state.add("resume_from", plan.from.map { .exact($0) })
            state.add("resume_args", plan.args?.text)
        }
        if workflow.deletesWhenSettled { state.append("deletes", true) }
        state.add("started_us", workflow.startedAt)
        state.add("ended_us", workflow.endedAt)
        return BSONValue.document(state).folded
    }

    /// The fields that writes change, but for attempts and events.
    static func mutableFields(_ workflow: Workflow, writer: String) -> BSONDocument {
        [
            "writer": .string(writer), "settled": .bool(workflow.isSettled),
            "status": .string(workflow.status.rawValue), "updated_us": .exact(workflow.updatedAt),
            "version": .int64(workflow.version), "state": state(workflow),
            "requests": workflow.requests.isEmpty
                ? .null : BSONValue.array(workflow.requests.map { .document(RequestDocument.make($0)) }).folded,
        ]
    }

    /// The same fields as a document has them.
    static func mutableFields(in document: BSONDocument, like fields: BSONDocument) -> BSONDocument {
        BSONDocument(fields.elements.compactMap { field in document[field.key].map { .init(field.key, $0) } })
    }

    /// The update that brings a stored workflow to what the change says.
    ///
    /// - Parameters:
    ///   - fields: what ``mutableFields(_:writer:)`` gives for it.
    ///   - stored: the same as they are stored, as far as that is known: these are not written again.
    ///   - mayHaveRow: whether it was settled before, so that there may be a row of it.
    ///   - events: all events to keep, the new ones included; nil to add the new ones to what is stored.
    static func update(
        _ change: WorkflowChange, _ fields: BSONDocument, stored: BSONDocument, revision: Int64, writeID: Int64,
        mayHaveRow: Bool, eventsKept: Int, events: BSONDocument? = nil
    ) -> BSONDocument {
        let workflow = change.workflow
        var set: BSONDocument = ["revision": .int64(revision), "write_id": .int64(writeID)]
        // From now on the record counts, until its row says the same.
        if mayHaveRow || workflow.isSettled { set.append("open", Openness.behindRow.bson) }
        // Both have them in the same order, if at all.
        set.elements +=
            stored.count == fields.count
            ? zip(fields.elements, stored.elements).filter { $0 != $1 }.map(\.0) : fields.elements
        for position in change.touched {
            let attempt = workflow[position]
            precondition(attempt.number == position.attempt + 1, "attempt \(attempt.id) at \(position)")
            set.append(
                "attempts." + AttemptDocument.name(step: position.step, number: attempt.number),
                BSONValue.document(AttemptDocument.make(attempt, step: position.step)).folded)
        }
        var dropped = BSONDocument()
        if let events {
            set.append("events", .document(events))
        } else {
            for event in change.events.suffix(eventsKept) {
                let element = EventDocument.makeElement(event)
                set.append("events." + element.key, element.value)
            }
            // Every version has one event, and only the latest are kept.
            for event in change.events where event.version > eventsKept {
                dropped.append("events." + EventDocument.name(event.version - Int64(eventsKept)), "")
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
