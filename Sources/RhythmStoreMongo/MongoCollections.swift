import RhythmEngine
import RhythmMongo

/// The collections of a store and the indexes they need.
package struct MongoCollections: Sendable, Hashable {
    /// Workflows; the name that the Python library gives it.
    package var workflows = "workflow_meta"
    /// Celery's result documents, of which the Python library's workflows are read.
    package var results = "celery_taskmeta"
    /// The servers that share the database, and the form of what they store.
    package var servers = "rhythm_servers"

    package init() {}

    static let requestIndex = "rhythm_request_id"

    /// Lists begin with what a filter may ask for and go on with their order, see ``ListSelection``.
    static let workflowIndexes: [MongoIndex] = {
        let created: [BSONDocument.Element] = [.init("created_at", 1), .init("rhythm.created_us", 1), .init("_id", 1)]
        func ordered(_ name: String, by field: String) -> MongoIndex {
            MongoIndex(name, keys: BSONDocument([.init(field, 1)] + created))
        }
        return [
            // Sparse and not partial: not every server uses a partial index for a plain comparison.
            MongoIndex(requestIndex, keys: ["rhythm.request_id": 1], isUnique: true, isSparse: true),
            MongoIndex(
                "rhythm_unsettled", keys: ["rhythm.writer": 1], partialFilter: ["rhythm.settled": false]),
            MongoIndex("rhythm_created", keys: BSONDocument(created)),
            MongoIndex("rhythm_updated", keys: ["updated_at": 1, "rhythm.updated_us": 1, "_id": 1]),
            ordered("rhythm_status", by: "_status"), ordered("rhythm_app", by: "app_id"),
            ordered("rhythm_name", by: "name"), ordered("rhythm_label", by: "rhythm.label_pairs"),
        ]
    }()

    /// Makes the indexes that are missing. A user without the right to make some does no harm as long as none is
    /// missing.
    func prepare(_ pool: MongoPool) throws(StoreError) {
        let present = try translating(pool.description) { () throws(MongoError) in try pool.indexNames(workflows) }
        let missing = Self.workflowIndexes.filter { !present.contains($0.name) }
        if missing.isEmpty { return }
        do throws(MongoError) {
            try pool.createIndexes(workflows, missing)
        } catch {
            let names = missing.map(\.name).joined(separator: ", ")
            var trouble = StoreError(error, at: pool.description)
            trouble.message =
                "\(pool.description): the indexes \(names) of \(workflows) are missing and cannot be made; "
                + "let the server's user make them (role readWrite), or make them beforehand: \(error)"
            throw trouble
        }
    }
}
