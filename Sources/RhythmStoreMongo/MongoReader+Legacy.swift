package import RhythmCore
package import RhythmEngine
import RhythmMongo

/// Workflows of the Python library, for whoever pauses, resumes or adopts them.
extension MongoReader: LegacyDocuments {
    package func states(_ ids: [WorkflowID]) throws(StoreError) -> [LegacyState] {
        let documents = try legacyDocuments(ids)
        let results = try resultDocuments(of: documents, projection: nil)
        return documents.map { document in
            let workflow = LegacyWorkflow.read(document, results: results)
            return LegacyState(workflow: workflow, history: LegacyHistory.events(of: workflow))
        }
    }

    package func records(_ ids: [WorkflowID]) throws(StoreError) -> [LegacyRecord] {
        let documents = try legacyDocuments(ids)
        if documents.isEmpty { return [] }
        let results = try allResults(of: documents)
        return try documents.map { document throws(StoreError) in
            try LegacyReading(document, results: results, at: pool.description).record()
        }
    }

    package func unfinished(
        _ filter: WorkflowFilter, within scope: AppScope, limit: Int
    ) throws(StoreError) -> [WorkflowID] {
        var conditions: [BSONValue] = [.document(LegacySelection.filter(filter)), ["_status": ["$ne": "SUCCESS"]]]
        if case .only(let own) = scope {
            conditions.append(["app_id": ["$in": .array(own.sorted().map { .string($0) })]])
        }
        let found = try find(
            collections.library, ["$and": .array(conditions)], projection: ["_id": 1],
            sort: ["created_at": 1, "_id": 1], limit: max(1, limit))
        return found.compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } }
    }

    package func markHeld(_ record: LegacyRecord) throws(StoreError) -> Bool {
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.library, filter: try BSONDocument(bytes: record.stamp.bytes),
                update: ["$set": ["_status": .string(WorkflowStatus.revoked.rawValue)]])
        }
        return result.matched == 1
    }

    package func delete(_ record: LegacyRecord) throws(StoreError) -> Bool {
        let deleted = try translating(pool.description) { () throws(MongoError) in
            try pool.delete(collections.library, filter: try BSONDocument(bytes: record.stamp.bytes))
        }
        return deleted == 1
    }

    /// Whether the Python library wrote the workflow's document, so that no server drives it.
    ///
    /// - Returns: false if there is no such workflow.
    package func isLegacy(_ id: WorkflowID) throws(StoreError) -> Bool { try !legacyIDs([id]).isEmpty }

    /// Those of the ids that documents of the library have.
    func legacyIDs(_ ids: [WorkflowID]) throws(StoreError) -> [WorkflowID] {
        try find(collections.library, Self.legacy(ids), projection: ["_id": 1])
            .compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } }
    }

    func legacyDocuments(_ ids: [WorkflowID]) throws(StoreError) -> [BSONDocument] {
        if ids.isEmpty { return [] }
        return try find(collections.library, Self.legacy(ids))
    }

    private static func legacy(_ ids: [WorkflowID]) -> BSONDocument {
        BSONDocument(
            [.init("_id", ["$in": .array(ids.map { .string($0.rawValue) })])] + ProjectionDocument.isLegacy.elements)
    }

    /// The result documents of the tasks that documents of the Python library name, by id, in one round trip.
    func resultDocuments(
        of documents: [BSONDocument], projection: BSONDocument?
    ) throws(StoreError) -> [String: BSONDocument] {
        let ids = documents.flatMap { LegacyWorkflow.taskIDs($0) }
        if ids.isEmpty { return [:] }
        return try results(["_id": ["$in": .array(ids.map { .string($0) })]], projection: projection)
    }

    /// The result documents of the attempts that the documents name, and of those that name one of the documents: a
    /// search through the whole collection, unless somebody has made an index for it.
    private func allResults(of documents: [BSONDocument]) throws(StoreError) -> [String: BSONDocument] {
        let tasks = documents.flatMap { LegacyWorkflow.taskIDs($0) }
        return try results([
            "$or": [
                ["_id": ["$in": .array(tasks.map { .string($0) })]],
                ["kwargs.workflow_id": ["$in": .array(documents.compactMap { $0["_id"] })]],
            ]
        ])
    }

    private func results(
        _ filter: BSONDocument, projection: BSONDocument? = nil
    ) throws(StoreError) -> [String: BSONDocument] {
        let found = try translating(results.description) { () throws(MongoError) in
            try results.find(collections.results, filter: filter, projection: projection)
        }
        return Dictionary(
            found.compactMap { document in document["_id"]?.stringValue.map { ($0, document) } },
            uniquingKeysWith: { first, _ in first })
    }
}

// MARK: In lists

extension MongoReader {
    /// What ``LegacyWorkflow`` needs for a row.
    private static let summaryFields: BSONDocument = [
        "name": 1, "app_id": 1, "description": 1, "_status": 1, "created_at": 1, "updated_at": 1, "steps.name": 1,
        "steps.task": 1, "steps.task_runs": 1,
    ]

    /// How many documents are read at once to find out what their status is.
    private static let statusBatch = 500

    /// Those behind the query's cursor, at most `limit`.
    func legacyEntries(_ query: ListQuery, limit: Int) throws(StoreError) -> [ListEntry] {
        // The library has no labels.
        guard query.filter.labels.isEmpty else { return [] }
        var entries: [ListEntry] = []
        var query = query
        while true {
            // One whose status cannot be told by its document may turn out not to be meant.
            let batch = query.filter.statuses.isEmpty ? limit : max(limit, Self.statusBatch)
            let read = try legacyEntries(of: query, limit: batch)
            entries += read.filter { query.filter.statuses.isEmpty || query.filter.statuses.contains($0.row.status) }
            guard entries.count < limit, read.count == batch, let last = read.last else {
                return Array(entries.prefix(limit))
            }
            query.cursor = last.place
        }
    }

    private func legacyEntries(of query: ListQuery, limit: Int) throws(StoreError) -> [ListEntry] {
        var filter = LegacySelection.filter(query.filter)
        if let cursor = query.cursor {
            filter = ["$and": [.document(filter), .document(LegacySelection.behind(cursor, query))]]
        }
        let documents = try find(
            collections.library, filter, projection: Self.summaryFields, sort: LegacySelection.order(query),
            limit: limit)
        return try zip(documents, rows(of: documents)).map { document, row in
            // What the row shows for a date that is missing is not where the document stands in the order.
            let date = document[query.sort.rawValue]?.dateMilliseconds
            let key = date.map { Timestamp(milliseconds: $0) } ?? LegacySelection.noDate
            return ListEntry(row: row, place: ListCursor(key: key, id: row.id))
        }
    }

    private func rows(of documents: [BSONDocument]) throws(StoreError) -> [WorkflowSummary] {
        let results = try resultDocuments(of: documents, projection: ["status": 1, "date_done": 1])
        return documents.map { document in
            var row = LegacyWorkflow.read(document, results: results).summary
            let word = document["_status"]?.stringValue.flatMap { WorkflowStatus(rawValue: $0) }
            // What Celery has forgotten the document may still know. Lists and counts take it at its word.
            if let word, LegacySelection.certain.contains(word) { row.status = word }
            return row
        }
    }

    func legacyCounts(_ filter: WorkflowFilter) throws(StoreError) -> [WorkflowStatus: Int] {
        guard filter.labels.isEmpty else { return [:] }
        var certain = filter
        certain.statuses = LegacySelection.certain
        if !filter.statuses.isEmpty { certain.statuses.formIntersection(filter.statuses) }
        var match = LegacySelection.filter(filter)
        match["$or"] = nil
        match.append("_status", ["$in": .array(LegacySelection.words(certain.statuses))])
        let groups = try translating(pool.description) { () throws(MongoError) in
            try pool.aggregate(
                collections.library,
                [["$match": .document(match)], ["$group": ["_id": "$_status", "count": ["$sum": 1]]]])
        }
        var counts: [WorkflowStatus: Int] = [:]
        for group in groups {
            guard let status = group["_id"]?.stringValue.flatMap({ WorkflowStatus(rawValue: $0) }) else { continue }
            counts[status, default: 0] += group["count"]?.int64Value.map { Int($0) } ?? 0
        }
        match["_status"] = ["$nin": .array(LegacySelection.words(LegacySelection.certain))]
        var last = ""
        while true {
            let batch = try find(
                collections.library, ["$and": [.document(match), ["_id": ["$gt": .string(last)]]]],
                projection: Self.summaryFields, sort: ["_id": 1], limit: Self.statusBatch)
            for row in try rows(of: batch)
            where filter.statuses.isEmpty || filter.statuses.contains(row.status) {
                counts[row.status, default: 0] += 1
            }
            guard batch.count == Self.statusBatch, let id = batch.last?["_id"]?.stringValue else { return counts }
            last = id
        }
    }
}
