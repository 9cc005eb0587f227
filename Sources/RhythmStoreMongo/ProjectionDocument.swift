import RhythmCore
import RhythmMongo

/// A workflow as a document of `workflow_meta`, for readers that know the Python library's form: field for field what
/// the library stores, with `version`, `started_at`, `ended_at` and `labels` added. Derived from the record, and never
/// read back.
///
/// By the sub-document `rhythm` (`schema`, and `at`, the record's revision that it was made of) everybody can tell it
/// from a document of the library. `resume_lock` is set for ever: the library's own resume declines then, so that a
/// click in an application that still has the library does not run a step beside ours.
enum ProjectionDocument {
    static let marker = "rhythm"
    /// Of documents that the library owns.
    static let isLegacy: BSONDocument = ["rhythm.schema": .null, WorkflowDocument.privateMarker: .null]

    static func isLegacy(_ document: BSONDocument) -> Bool {
        document[marker]?.documentValue?["schema"] == nil && document[WorkflowDocument.privateMarker] == nil
    }

    /// All fields but the id.
    ///
    /// - Parameter keepsSteps: The document was the library's, and what else it has in its steps stays.
    static func fields(_ workflow: Workflow, revision: Int64, keepsSteps: Bool = false) -> BSONDocument {
        var document: BSONDocument = ["created_at": .date(workflow.createdAt), "updated_at": .date(workflow.updatedAt)]
        if keepsSteps {
            for index in workflow.steps.indices {
                let runs = ShownRuns.make(workflow, step: index)
                if !runs.isEmpty { document.append("steps.\(index).task_runs", .array(runs)) }
            }
        } else {
            document.append(
                "steps", .array(workflow.steps.indices.map { .document(StepDocument.makeShown(workflow, step: $0)) }))
            document.append("name", .string(workflow.name))
            document.append("app_id", .string(workflow.appID))
            document.append("description", .string(workflow.description))
        }
        let labels = workflow.labels.sorted { $0.key < $1.key }.map { BSONDocument.Element($0.key, .string($0.value)) }
        document.elements += [
            .init("_status", .string(workflow.status.rawValue)), .init("resume_lock", .date(workflow.createdAt)),
            .init("version", .int64(workflow.version)), .init("started_at", .date(workflow.startedAt)),
            .init("ended_at", .date(workflow.endedAt)), .init("labels", .document(BSONDocument(labels))),
            .init(marker, .document(mark(revision))),
        ]
        return document
    }

    static func mark(_ revision: Int64) -> BSONDocument {
        ["schema": .int64(WorkflowDocument.schema), "at": .int64(revision)]
    }

    /// The write of it, which neither goes back behind a newer one nor touches a document of the library's. Where there
    /// is such a one it is refused as a duplicate.
    /// - Parameter mends: Somebody else wrote to it, so it is written whole, even if it lost its mark.
    static func write(_ workflow: Workflow, revision: Int64, isAdopted: Bool, mends: Bool) -> MongoWrite {
        let keepsSteps = isAdopted && !mends
        var fields = fields(workflow, revision: revision, keepsSteps: keepsSteps)
        if BSONValue.document(fields).encodedSize > sizeLimit { fields["steps"] = withoutKwargs(fields["steps"]) }
        let at: BSONValue = mends ? ["$not": ["$gt": .int64(revision)]] : ["$lte": .int64(revision)]
        let filter: BSONDocument = ["_id": .string(workflow.id.rawValue), "rhythm.at": at]
        // Nothing else in it means anything, and to replace it is cheaper for the database than to set all of its fields.
        return keepsSteps
            ? .update(filter: filter, update: ["$set": .document(fields)])
            : .replace(filter: filter, with: fields, upsert: true)
    }

    /// Numbers take more room here than in the record, which has them as text.
    private static let sizeLimit = 15 << 20

    private static func withoutKwargs(_ steps: BSONValue?) -> BSONValue? {
        (steps?.arrayValue).map { steps in
            .array(
                steps.map { step in
                    guard var step = step.documentValue else { return step }
                    step["kwargs"] = nil
                    return .document(step)
                })
        }
    }
}
