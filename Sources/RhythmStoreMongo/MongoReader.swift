package import RhythmCore
package import RhythmEngine
import RhythmMongo

/// Reads beside the writers, theirs of other servers included: from any thread, each call from the primary.
///
/// Documents that the Python library wrote are workflows too; their attempts are in another collection, which costs a
/// second round trip. A list takes two at most.
package final class MongoReader: StoreReader {
    let pool: MongoPool
    let results: MongoPool
    let collections: MongoCollections

    init(pool: MongoPool, results: MongoPool, collections: MongoCollections) {
        self.pool = pool
        self.results = results
        self.collections = collections
    }

    package func load(_ id: WorkflowID) throws(StoreError) -> Workflow? {
        guard let document = try document(of: id) else { return nil }
        guard WorkflowDocument.isLegacy(document) else { return try WorkflowDocument.read(document).workflow }
        return LegacyWorkflow.read(document, results: try resultDocuments(of: [document], projection: nil))
    }

    /// Whether the Python library wrote the workflow's document, so that no server drives it.
    ///
    /// - Returns: false if there is no such workflow.
    package func isLegacy(_ id: WorkflowID) throws(StoreError) -> Bool {
        let filter: BSONDocument = [
            "_id": .string(id.rawValue), "rhythm": ["$exists": false], WorkflowDocument.privateMarker: .null,
        ]
        return try find(filter, projection: ["_id": 1], limit: 1).isEmpty == false
    }

    package func ids(
        withPrefix prefix: String, within scope: AppScope, limit: Int
    ) throws(StoreError) -> [WorkflowID] {
        // The database takes 0 for no limit.
        guard limit > 0 else { return [] }
        // A range, not a pattern, so that no character of the prefix has a meaning. Nothing in an id sorts after the
        // end.
        var filter: BSONDocument = [
            "_id": ["$gte": .string(prefix), "$lt": .string(prefix + "\u{10FFFF}")],
            WorkflowDocument.privateMarker: .null,
        ]
        if case .only(let own) = scope {
            filter.append("app_id", ["$in": .array(own.sorted().map { .string($0) })])
        }
        let found = try find(
            filter, projection: ["_id": 1], sort: ["_id": 1], limit: min(limit, Int(Int32.max)))
        return found.compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } }
    }

    package func events(of id: WorkflowID, after version: Int64, limit: Int) throws(StoreError) -> [Event] {
        let found = try find(["_id": .string(id.rawValue)], projection: ["rhythm.events": 1], limit: 1)
        guard let document = found.first else { return [] }
        if WorkflowDocument.isLegacy(document) {
            guard limit > 0, let workflow = try load(id) else { return [] }
            return Array(LegacyHistory.events(of: workflow).filter { $0.version > version }.prefix(limit))
        }
        return try WorkflowDocument.events(document, of: id, after: version, limit: limit)
    }

    package func list(_ query: ListQuery) throws(StoreError) -> ListPage {
        let limit = min(max(1, query.limit), ListQuery.maximumLimit)
        var filter = ListSelection.filter(query.filter)
        if let cursor = query.cursor {
            let behind = ListSelection.behind(cursor, query)
            filter = ["$and": [.document(filter), .document(behind)]]
        }
        var documents = try find(
            filter, projection: WorkflowDocument.summaryFields, sort: ListSelection.order(query), limit: limit + 1)
        let isLast = documents.count <= limit
        documents.removeLast(max(0, documents.count - limit))
        let legacy = documents.filter { WorkflowDocument.isLegacy($0) }
        let results = try resultDocuments(of: legacy, projection: ["status": 1, "date_done": 1])
        var rows: [WorkflowSummary] = []
        rows.reserveCapacity(documents.count)
        for document in documents {
            rows.append(
                WorkflowDocument.isLegacy(document)
                    ? LegacyWorkflow.read(document, results: results).summary
                    : try WorkflowDocument.summary(document))
        }
        guard !isLast, let row = rows.last, let document = documents.last else {
            return ListPage(rows: rows, next: nil)
        }
        let key = query.sort == .createdAt ? row.createdAt : row.updatedAt
        // What the row shows for a date that is missing is not where the document stands in the order.
        let hasDate = document[query.sort.rawValue]?.dateMilliseconds != nil
        return ListPage(rows: rows, next: ListCursor(key: hasDate ? key : ListSelection.noDate, id: row.id))
    }

    package func counts(_ filter: WorkflowFilter) throws(StoreError) -> [WorkflowStatus: Int] {
        let groups = try translating(pool.description) { () throws(MongoError) in
            try pool.aggregate(
                collections.workflows,
                [
                    ["$match": .document(ListSelection.filter(filter))],
                    ["$group": ["_id": "$_status", "count": ["$sum": 1]]],
                ])
        }
        var counts: [WorkflowStatus: Int] = [:]
        for group in groups {
            let word = group["_id"]?.stringValue ?? WorkflowStatus.pending.rawValue
            // The library knows no other words; whatever else stands there is on its way.
            let status = WorkflowStatus(rawValue: word) ?? .started
            counts[status, default: 0] += group["count"]?.int64Value.map { Int($0) } ?? 0
        }
        return counts
    }
}

extension MongoReader {
    /// The document of a workflow; nil if there is none, or if it is one of an attempt.
    func document(of id: WorkflowID) throws(StoreError) -> BSONDocument? {
        // The marker is looked at here: beside `_id` a filter has nothing to choose, but costs time.
        let found = try find(["_id": .string(id.rawValue)], limit: 1).first
        guard let found, found[WorkflowDocument.privateMarker].map(\.isNull) ?? true else { return nil }
        return found
    }

    func find(
        _ filter: BSONDocument, projection: BSONDocument? = nil, sort: BSONDocument? = nil, limit: Int = 0
    ) throws(StoreError) -> [BSONDocument] {
        try translating(pool.description) { () throws(MongoError) in
            try pool.find(collections.workflows, filter: filter, projection: projection, sort: sort, limit: limit)
        }
    }

    /// The result documents of the tasks that documents of the Python library name, by id, in one round trip.
    func resultDocuments(
        of documents: [BSONDocument], projection: BSONDocument?
    ) throws(StoreError) -> [String: BSONDocument] {
        let ids = documents.flatMap { LegacyWorkflow.taskIDs($0) }
        if ids.isEmpty { return [:] }
        let found = try translating(results.description) { () throws(MongoError) in
            try results.find(
                collections.results, filter: ["_id": ["$in": .array(ids.map { .string($0) })]], projection: projection)
        }
        return Dictionary(
            found.compactMap { document in document["_id"]?.stringValue.map { ($0, document) } },
            uniquingKeysWith: { first, _ in first })
    }
}
