import RhythmCore
import RhythmMongo

/// What lists show of a settled workflow, as a document of `rhythm_lists`, where all the indexes of lists are.
///
/// A record is written with every transition, and would pay for each of those indexes every time. So it has none of
/// them while something happens to it: lists look through the open ones (``WorkflowDocument/Openness``), which are few,
/// and find all others by their rows. A row is written some time after its workflow has settled, and only then the
/// record stops being open, if it is still what the row was made of: so a record that is not open has a row that says
/// the same, whenever anybody is killed. Where a record is open its row, if there is one, does not count.
enum RowDocument {
    static func make(_ workflow: Workflow, revision: Int64) -> BSONDocument {
        let fields = WorkflowDocument.mutableFields(workflow, writer: "")
        var row: BSONDocument = [
            "_id": .string(workflow.id.rawValue), "schema": .int64(WorkflowDocument.schema),
            "revision": .int64(revision), "name": .string(workflow.name), "app_id": .string(workflow.appID),
            "pairs": .array(
                workflow.labels.map { WorkflowDocument.labelPair($0.key, $0.value) }.sorted().map { .string($0) }),
            "created_us": .exact(workflow.createdAt),
        ]
        for key in ["status", "updated_us", "version", "state"] { row.append(key, fields[key] ?? .null) }
        return row
    }
}
