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
        var conditions: [BSONValue] = [
            .document(ListSelection.filter(filter)),
            ["rhythm": ["$exists": false], "_status": ["$ne": "SUCCESS"]],
        ]
        if case .only(let own) = scope {
            conditions.append(["app_id": ["$in": .array(own.sorted().map { .string($0) })]])
        }
        let found = try find(
            ["$and": .array(conditions)], projection: ["_id": 1], sort: ["created_at": 1, "_id": 1],
            limit: max(1, limit))
        return found.compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } }
    }

    package func markHeld(_ record: LegacyRecord) throws(StoreError) -> Bool {
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.workflows, filter: try BSONDocument(bytes: record.stamp.bytes),
                update: ["$set": ["_status": .string(WorkflowStatus.revoked.rawValue)]])
        }
        return result.matched == 1
    }

    private func legacyDocuments(_ ids: [WorkflowID]) throws(StoreError) -> [BSONDocument] {
        if ids.isEmpty { return [] }
        return try find([
            "_id": ["$in": .array(ids.map { .string($0.rawValue) })], "rhythm": ["$exists": false],
            WorkflowDocument.privateMarker: .null,
        ])
    }

    /// The result documents of the attempts that the documents name, and of those that name one of the documents: a
    /// search through the whole collection, unless somebody has made an index for it.
    private func allResults(of documents: [BSONDocument]) throws(StoreError) -> [String: BSONDocument] {
        let tasks = documents.flatMap { LegacyWorkflow.taskIDs($0) }
        let filter: BSONDocument = [
            "$or": [
                ["_id": ["$in": .array(tasks.map { .string($0) })]],
                ["kwargs.workflow_id": ["$in": .array(documents.compactMap { $0["_id"] })]],
            ]
        ]
        let found = try translating(results.description) { () throws(MongoError) in
            try results.find(collections.results, filter: filter)
        }
        return Dictionary(
            found.compactMap { document in document["_id"]?.stringValue.map { ($0, document) } },
            uniquingKeysWith: { first, _ in first })
    }
}
