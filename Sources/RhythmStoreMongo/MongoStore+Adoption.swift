import RhythmCore
import RhythmEngine
import RhythmMongo

/// How a workflow of the Python library becomes ours, in two collections and yet at one moment.
///
/// 1. The record is stored as a draft, which no reader takes for a workflow.
/// 2. The library's document is marked as a projection, with the number of the draft's write, if it still is as it was
///    read. This decides: before it the workflow is the library's, after it ours.
/// 3. The record stops being a draft.
///
/// Whoever finds a draft looks for the mark: if it is there the third step is done, else the draft is of no use. So it
/// does not matter where a server is killed, nor when a late write arrives.
extension MongoStore {
    /// An adoption before its first step.
    struct Draft {
        let workflow: Workflow
        let stamp: LegacyStamp
        let document: BSONDocument
        let writeID: Int64
        let size: Int
    }

    /// - Throws: ``StoreError`` `full` if the record is too large for a document.
    func draft(of change: WorkflowChange, _ stamp: LegacyStamp) throws(StoreError) -> Draft {
        let writeID = Int64.random(in: .min ... .max)
        let document = WorkflowDocument.make(
            change, writer: writer, writeID: writeID, eventsKept: eventsKept, isAdopted: true)
        let size = document.encodedSize
        guard size <= documentLimit else { throw tooLarge(change.workflow.id, size) }
        return Draft(workflow: change.workflow, stamp: stamp, document: document, writeID: writeID, size: size)
    }

    /// - Returns: whether it was adopted; if not, the document is no longer what was read.
    func adopt(_ draft: Draft) throws(StoreError) -> Bool {
        let workflow = draft.workflow
        let id = workflow.id
        let writeID = draft.writeID
        known[id] = nil
        guard try store(draft.document, of: id) else { return false }
        let filter = try translating(pool.description) { () throws(MongoError) in
            try BSONDocument(bytes: draft.stamp.bytes)
        }
        var fields = ProjectionDocument.fields(workflow, revision: 1, keepsSteps: true)
        var mark = ProjectionDocument.mark(1)
        mark.append("draft", .int64(writeID))
        fields[ProjectionDocument.marker] = .document(mark)
        let marked = try translating(pool.description) { () throws(MongoError) in
            try pool.update(collections.library, filter: filter, update: ["$set": .document(fields)])
        }
        // What was sent may have been done before its answer was lost, and then have been sent again by the driver.
        let isOurs = marked.matched == 1 ? true : try isMarked(id, writeID)
        guard isOurs else {
            try drop(draftOf: id, writeID)
            return false
        }
        try accept(draftOf: id, writeID)
        var outcome = stored(workflow, by: writer, revision: 2, size: draft.size)
        outcome.isAdopted = true
        outcome.mayHaveRow = true
        known[id] = outcome
        afterwork.note(workflow, revision: 2, isAdopted: true)
        return true
    }

    /// Whether a record is a draft still. If it need not be any more, it becomes a workflow or vanishes.
    func isDraft(_ document: BSONDocument) throws(StoreError) -> Bool {
        guard document["open"]?.int64Value == WorkflowDocument.Openness.draft.rawValue,
            let id = document["_id"]?.stringValue.map({ WorkflowID($0) }),
            let writeID = document["write_id"]?.int64Value
        else { return false }
        guard try isMarked(id, writeID) else {
            try drop(draftOf: id, writeID)
            return true
        }
        try accept(draftOf: id, writeID)
        return false
    }

    /// In the place of another draft, if there is one.
    private func store(_ draft: BSONDocument, of id: WorkflowID) throws(StoreError) -> Bool {
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(
                collections.workflows,
                [
                    .replace(
                        filter: ["_id": .string(id.rawValue), "open": WorkflowDocument.Openness.draft.bson],
                        with: draft, upsert: true)
                ], ordered: true)
        }
        guard let refusal = result.refusals.first else { return true }
        if refusal.error.kind == .duplicateKey { return false }
        throw StoreError(refusal.error, at: pool.description)
    }

    private func isMarked(_ id: WorkflowID, _ writeID: Int64) throws(StoreError) -> Bool {
        try translating(pool.description) { () throws(MongoError) in
            try pool.findOne(
                collections.library, filter: ["_id": .string(id.rawValue), "rhythm.draft": .int64(writeID)],
                projection: ["_id": 1]) != nil
        }
    }

    private func accept(draftOf id: WorkflowID, _ writeID: Int64) throws(StoreError) {
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.workflows, filter: Self.draft(id, writeID),
                update: [
                    "$set": ["open": WorkflowDocument.Openness.behindRow.bson], "$inc": ["revision": .int64(1)],
                ])
        }
    }

    private func drop(draftOf id: WorkflowID, _ writeID: Int64) throws(StoreError) {
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.delete(collections.workflows, filter: Self.draft(id, writeID))
        }
    }

    private static func draft(_ id: WorkflowID, _ writeID: Int64) -> BSONDocument {
        [
            "_id": .string(id.rawValue), "open": WorkflowDocument.Openness.draft.bson,
            "write_id": .int64(writeID),
        ]
    }
}
