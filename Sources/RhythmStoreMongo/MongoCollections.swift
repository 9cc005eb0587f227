import RhythmEngine
package import RhythmMongo

/// The collections of a store and the indexes they need.
package struct MongoCollections: Sendable, Hashable {
    /// The exact records of our workflows.
    package var workflows = "rhythm_workflows"
    /// What lists show of settled ones.
    package var lists = "rhythm_lists"
    /// The Python library's workflows, ours in its form, and documents of single attempts; the name that the library
    /// gives it.
    package var library = "workflow_meta"
    /// Celery's result documents, of which the Python library's workflows are read.
    package var results: String { resultsName.value }
    /// Its name, which the workers may say later.
    package var resultsName = MongoCollectionName("celery_taskmeta")
    /// The servers that share the database, and the form of what they store.
    package var servers = "rhythm_servers"

    package init() {}

    static let requestIndex = "rhythm_request_id"

    /// As few as there can be: each is paid for with every transition.
    static let workflowIndexes = [
        // Sparse and not partial: not every server uses a partial index for a plain comparison.
        MongoIndex(requestIndex, keys: ["request": 1], isUnique: true, isSparse: true),
        MongoIndex("rhythm_open", keys: ["open": 1], isSparse: true),
    ]

    /// Lists begin with what a filter may ask for and go on with their order, see ``ListSelection``.
    static let listIndexes: [MongoIndex] = {
        let created: [BSONDocument.Element] = [.init("created_us", 1), .init("_id", 1)]
        func ordered(_ name: String, by field: String) -> MongoIndex {
            MongoIndex(name, keys: BSONDocument([.init(field, 1)] + created))
        }
        return [
            MongoIndex("rhythm_created", keys: BSONDocument(created)),
            MongoIndex("rhythm_updated", keys: ["updated_us": 1, "_id": 1]),
            ordered("rhythm_status", by: "status"), ordered("rhythm_app", by: "app_id"),
            ordered("rhythm_name", by: "name"), ordered("rhythm_label", by: "pairs"),
        ]
    }()

    /// By it the library's documents are found among all.
    static let libraryIndexes = [
        MongoIndex("rhythm_legacy", keys: ["rhythm.schema": 1, "created_at": 1, "_id": 1])
    ]

    private var all: [(collection: String, indexes: [MongoIndex])] {
        [(workflows, Self.workflowIndexes), (lists, Self.listIndexes), (library, Self.libraryIndexes)]
    }

    /// Makes the indexes that are missing. A user without the right to make some does no harm as long as none is
    /// missing.
    func prepare(_ pool: MongoPool) throws(StoreError) {
        for (collection, indexes) in all { try prepare(collection, indexes, pool) }
    }

    private func prepare(_ collection: String, _ indexes: [MongoIndex], _ pool: MongoPool) throws(StoreError) {
        let present = try translating(pool.description) { () throws(MongoError) in try pool.indexNames(collection) }
        let missing = indexes.filter { !present.contains($0.name) }
        if missing.isEmpty { return }
        do throws(MongoError) {
            try pool.createIndexes(collection, missing)
        } catch {
            let names = missing.map(\.name).joined(separator: ", ")
            var trouble = StoreError(error, at: pool.description)
            trouble.message =
                "\(pool.description): the indexes \(names) of \(collection) are missing and cannot be made; "
                + "let the server's user make them (role readWrite), or make them beforehand: \(error)"
            throw trouble
        }
    }
}
