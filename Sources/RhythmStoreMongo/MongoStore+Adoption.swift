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
/// Whoever finds a draft looks for the mark: if it is there the third step is done. If not, the draft is left alone
/// while the server that made it lives; else the library's document is told that this draft is void, so that its mark
/// can come no more, and then the draft goes. So it does not matter where a server is killed or falls asleep, nor when a
/// late write arrives.
extension MongoStore {
    /// An adoption before its first step.
    struct Draft {
        let workflow: Workflow
        let stamp: LegacyStamp
        let document: BSONDocument
        let writeID: Int64
        let size: Int
    }

    /// The steps of an adoption that have been done.
    enum AdoptionStep: Sendable, CaseIterable { case stored, marked }

    /// The number of a draft that is not to become the record of the library's document which has it.
    private static let void = "rhythm_void"

    /// - Throws: ``StoreError`` `full` if the record is too large for a document.
    func draft(of change: WorkflowChange, _ stamp: LegacyStamp) throws(StoreError) -> Draft {
        let writeID = Int64.random(in: .min ... .max)
        // Also of one that takes on no work: by it others see whether somebody is at it.
        let document = WorkflowDocument.make(
            change, writer: serverID, writeID: writeID, eventsKept: eventsKept, isAdopted: true)
        let size = document.encodedSize
        guard size <= documentLimit else { throw tooLarge(change.workflow.id, size) }
        return Draft(workflow: change.workflow, stamp: stamp, document: document, writeID: writeID, size: size)
    }

    /// - Returns: whether it was adopted; if not, the document is no longer what was read, or somebody else is at it.
    func adopt(_ draft: Draft) throws(StoreError) -> Bool {
        let workflow = draft.workflow
        let id = workflow.id
        known[id] = nil
        guard try store(draft.document, of: id) else { return false }
        try adoptionHasCome(.stored)
        guard try mark(draft) else {
            try remove(draftOf: id, draft.writeID)
            return false
        }
        try adoptionHasCome(.marked)
        guard try accept(draft) else {
            if let document = try mongoReader.document(of: id) { _ = try remember(document) }
            return true
        }
        var outcome = stored(workflow, by: writer, revision: 2, size: draft.size)
        outcome.isAdopted = true
        outcome.mayHaveRow = true
        known[id] = outcome
        afterwork.note(workflow, revision: 2, isAdopted: true)
        return true
    }

    /// The second step.
    ///
    /// - Returns: false if the library's document is no longer what was read.
    private func mark(_ draft: Draft) throws(StoreError) -> Bool {
        var filter = try translating(pool.description) { () throws(MongoError) in
            try BSONDocument(bytes: draft.stamp.bytes)
        }
        filter.append(Self.void, ["$ne": .int64(draft.writeID)])
        var fields = ProjectionDocument.fields(draft.workflow, revision: 1, keepsSteps: true)
        var mark = ProjectionDocument.mark(1)
        mark.append("draft", .int64(draft.writeID))
        fields[ProjectionDocument.marker] = .document(mark)
        let marked = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.library, filter: filter,
                update: ["$set": .document(fields), "$unset": [Self.void: ""]])
        }
        // What was sent may have been done before its answer was lost, and then have been sent again by the driver.
        return marked.matched == 1 ? true : try isMarked(draft.workflow.id, draft.writeID)
    }

    /// The third step of this server's own draft.
    ///
    /// - Returns: whether the record is as this server made it. If not, somebody else has done this step first, and more
    ///   perhaps: the record has to be read again.
    private func accept(_ draft: Draft) throws(StoreError) -> Bool {
        let id = draft.workflow.id
        if try accept(draftOf: id, draft.writeID, writer: writer) { return true }
        if try mongoReader.document(of: id) == nil {
            // Deleted since, and its projection before it; or taken for one of no use, though that should not be.
            guard try isMarked(id, draft.writeID) else { return false }
            var record = draft.document
            record["open"] = WorkflowDocument.Openness.behindRow.bson
            record["revision"] = .int64(2)
            record["writer"] = .string(writer)
            return try insert(record)
        }
        // Whoever did the step has left this server as the one that follows it.
        if !takesWork {
            _ = try translating(pool.description) { () throws(MongoError) in
                try pool.update(
                    collections.workflows,
                    filter: [
                        "_id": .string(id.rawValue), "write_id": .int64(draft.writeID), "writer": .string(serverID),
                    ], update: ["$set": ["writer": .string(writer)], "$inc": ["revision": .int64(1)]])
            }
        }
        return false
    }

    /// What a document of a record says by now; nil if it is a draft still, or was one of no use. If it need not be one
    /// any more, it becomes a workflow or vanishes.
    func settled(_ document: BSONDocument) throws(StoreError) -> BSONDocument? {
        guard document["open"]?.int64Value == WorkflowDocument.Openness.draft.rawValue,
            let id = document["_id"]?.stringValue.map({ WorkflowID($0) }),
            let writeID = document["write_id"]?.int64Value
        else { return document }
        if try !isMarked(id, writeID) {
            let maker = document["writer"]?.stringValue ?? ""
            // This server is at none: it does one thing at a time.
            if maker != serverID, try leases.liveServers().contains(maker) { return nil }
            guard try !drop(draftOf: id, writeID) else { return nil }
        } else {
            _ = try accept(draftOf: id, writeID, writer: nil)
        }
        guard let now = try mongoReader.document(of: id),
            now["open"]?.int64Value != WorkflowDocument.Openness.draft.rawValue
        else { return nil }
        return now
    }

    /// In the place of another draft, if there is one that nobody is at.
    private func store(_ draft: BSONDocument, of id: WorkflowID) throws(StoreError) -> Bool {
        if try insert(draft) { return true }
        guard let found = try mongoReader.document(of: id) else { return try insert(draft) }
        guard try settled(found) == nil else { return false }
        return try insert(draft)
    }

    /// - Returns: false if there is one of this id.
    private func insert(_ record: BSONDocument) throws(StoreError) -> Bool {
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(collections.workflows, [.insert(record)], ordered: true)
        }
        guard let refusal = result.refusals.first else { return true }
        guard refusal.error.kind == .duplicateKey else { throw StoreError(refusal.error, at: pool.description) }
        // What was sent may have been done before its answer was lost, and then have been sent again by the driver.
        let stored = try mongoReader.find(
            ["_id": record["_id"] ?? .null, "write_id": record["write_id"] ?? .null], projection: ["_id": 1])
        return !stored.isEmpty
    }

    private func isMarked(_ id: WorkflowID, _ writeID: Int64) throws(StoreError) -> Bool {
        try translating(pool.description) { () throws(MongoError) in
            try pool.findOne(
                collections.library, filter: ["_id": .string(id.rawValue), "rhythm.draft": .int64(writeID)],
                projection: ["_id": 1]) != nil
        }
    }

    /// - Parameter writer: Who follows it; nil for whoever made the draft.
    /// - Returns: false if it is no draft any more.
    private func accept(draftOf id: WorkflowID, _ writeID: Int64, writer: String?) throws(StoreError) -> Bool {
        var fields: BSONDocument = ["open": WorkflowDocument.Openness.behindRow.bson]
        if let writer { fields.append("writer", .string(writer)) }
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.workflows, filter: Self.draft(id, writeID),
                update: ["$set": .document(fields), "$inc": ["revision": .int64(1)]])
        }
        return result.matched == 1
    }

    /// The mark may be on its way, or whoever is to set it asleep: first it is made impossible.
    ///
    /// - Returns: false if it was there before; then the draft has become a workflow.
    private func drop(draftOf id: WorkflowID, _ writeID: Int64) throws(StoreError) -> Bool {
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.library,
                filter: ["_id": .string(id.rawValue), ProjectionDocument.marker: ["$exists": false]],
                update: ["$set": [Self.void: .int64(writeID)]])
        }
        if try isMarked(id, writeID) {
            _ = try accept(draftOf: id, writeID, writer: nil)
            return false
        }
        try remove(draftOf: id, writeID)
        return true
    }

    private func remove(draftOf id: WorkflowID, _ writeID: Int64) throws(StoreError) {
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
