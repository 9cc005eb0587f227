import RhythmCore
import RhythmEngine
import RhythmMongo

@testable import RhythmStoreMongo

/// Documents as the version before wrote them.
enum FirstFormFixture {
    static func document(_ workflow: Workflow, _ events: [Event], writer: String, revision: Int64) -> BSONDocument {
        var document: BSONDocument = ["_id": .string(workflow.id.rawValue)]
        document.elements += ProjectionDocument.fields(workflow, revision: revision).elements
        document["resume_lock"] = .null
        document["rhythm"] = .document(exact(workflow, events, writer: writer, revision: revision))
        return document
    }

    private static func exact(
        _ workflow: Workflow, _ events: [Event], writer: String, revision: Int64
    ) -> BSONDocument {
        let pending = workflow.pendingIndex
        var resumeFrom = BSONValue.null
        var resumeArgs = BSONValue.null
        if case .resuming(let plan) = workflow.control {
            resumeFrom = plan.from.map { .exact($0) } ?? .null
            resumeArgs = plan.args.map { .string($0.text) } ?? .null
        }
        var attempts = BSONDocument()
        for (index, step) in workflow.steps.enumerated() {
            for attempt in step.attempts {
                attempts.append(
                    AttemptDocument.name(step: index, number: attempt.number),
                    BSONValue.document(AttemptDocument.make(attempt, step: index)).folded)
            }
        }
        var exact: BSONDocument = [
            "schema": .int64(2), "revision": .int64(revision), "writer": .string(writer), "write_id": .int64(7),
            "created_us": .exact(workflow.createdAt), "args": .string(workflow.args.text),
            "kwargs": .string(workflow.kwargs.text),
            "steps": BSONValue.array(workflow.steps.map { .document(StepDocument.makeExact($0.spec)) }).folded,
            "steps_total": .exact(workflow.steps.count), "settled": .bool(workflow.isSettled),
            "steps_done": .exact(pending), "pending_step": "",
            "label_pairs": .array(
                workflow.labels.map { .string(WorkflowDocument.labelPair($0.key, $0.value)) }),
            "control": .string(ControlWord(workflow.control).rawValue), "resume_from": resumeFrom,
            "resume_args": resumeArgs, "deletes": .bool(workflow.deletesWhenSettled),
            "updated_us": .exact(workflow.updatedAt),
            "started_us": workflow.startedAt.map { .exact($0) } ?? .null,
            "ended_us": workflow.endedAt.map { .exact($0) } ?? .null,
            "requests": workflow.requests.isEmpty
                ? .null : BSONValue.array(workflow.requests.map { .document(RequestDocument.make($0)) }).folded,
            "attempts": .document(attempts), "events": .document(BSONDocument(events.map(EventDocument.makeElement))),
        ]
        if !workflow.requestID.isEmpty { exact.append("request_id", .string(workflow.requestID)) }
        return exact
    }

    /// The indexes that it had.
    static let indexes: [MongoIndex] = {
        let created: [BSONDocument.Element] = [.init("created_at", 1), .init("rhythm.created_us", 1), .init("_id", 1)]
        func ordered(_ name: String, by field: String) -> MongoIndex {
            MongoIndex(name, keys: BSONDocument([.init(field, 1)] + created))
        }
        return [
            MongoIndex("rhythm_request_id", keys: ["rhythm.request_id": 1], isUnique: true, isSparse: true),
            MongoIndex("rhythm_unsettled", keys: ["rhythm.writer": 1], partialFilter: ["rhythm.settled": false]),
            MongoIndex("rhythm_created", keys: BSONDocument(created)),
            MongoIndex("rhythm_updated", keys: ["updated_at": 1, "rhythm.updated_us": 1, "_id": 1]),
            ordered("rhythm_status", by: "_status"), ordered("rhythm_app", by: "app_id"),
            ordered("rhythm_name", by: "name"), ordered("rhythm_label", by: "rhythm.label_pairs"),
        ]
    }()
}
