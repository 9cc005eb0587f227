package import RhythmCore
package import RhythmEngine
import RhythmMongo

extension MongoStore {
    /// One write of a batch and what it makes of a workflow.
    private struct Part {
        var id: WorkflowID
        var write: MongoWrite
        /// What is known of the workflow if it is stored; nil after a deletion.
        var outcome: KnownWorkflow?
        /// By this the stored document tells whether this very write made it what it is. The revision does not: an
        /// earlier write, whose answer was lost, may have arrived late.
        var writeID: Int64?
    }

    @discardableResult
    package func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID] {
        if batch.isEmpty { return [] }
        if let loss = leases.loss { throw loss }
        try readUnknown(batch)
        var refused: [WorkflowID] = []
        var parts: [Part] = []
        for change in batch.changes {
            if let part = try part(of: change) { parts.append(part) } else { refused.append(change.workflow.id) }
        }
        for id in batch.deletions {
            switch known[id] {
            case let found?:
                let filter: BSONDocument = ["_id": .string(id.rawValue), "rhythm.revision": .int64(found.revision)]
                parts.append(Part(id: id, write: .delete(filter: filter), outcome: nil))
            // It was looked for and is not there; whatever else has this id is none of ours.
            case nil: break
            }
        }
        return refused + (try send(parts))
    }

    /// Reads what a write must name of workflows that were not read before, or were forgotten.
    private func readUnknown(_ batch: CommitBatch) throws(StoreError) {
        let changed = batch.changes.filter { !$0.isNew && $0.adopts == nil }.map(\.workflow.id)
        let unknown = (changed + batch.deletions).filter { known[$0] == nil }
        if unknown.isEmpty { return }
        let documents = try mongoReader.find([
            "_id": ["$in": .array(unknown.map { .string($0.rawValue) })], "rhythm": ["$exists": true],
        ])
        for document in documents { _ = try remember(document) }
    }

    /// The write of a change; nil if the workflow to be changed is not there, or not at the version it was made from.
    ///
    /// - Throws: ``StoreError`` `full` if the record is too large for a document, even without its older events.
    private func part(of change: WorkflowChange) throws(StoreError) -> Part? {
        let workflow = change.workflow
        let writeID = Int64.random(in: .min ... .max)
        if change.isNew {
            let document = WorkflowDocument.make(
                change, writer: writer, writeID: writeID, eventsKept: eventsKept)
            let size = document.encodedSize
            guard size <= documentLimit else { throw tooLarge(workflow.id, size) }
            let outcome = stored(workflow, revision: 1, size: size)
            return Part(id: workflow.id, write: .insert(document), outcome: outcome)
        }
        if let stamp = change.adopts { return try adoption(of: change, stamp, writeID) }
        // Every write counts the revision up: naming it names the version too.
        guard let base = known[workflow.id], base.version == workflow.version - Int64(change.events.count) else {
            return nil
        }
        var outcome = stored(workflow, revision: base.revision + 1, size: 0)
        let fields = WorkflowDocument.mutableFields(workflow, writer: writer)
        func makeUpdate(_ events: BSONDocument?) -> BSONDocument {
            WorkflowDocument.update(
                change, fields, stored: base.fields, revision: base.revision + 1, writeID: writeID,
                eventsKept: eventsKept, events: events)
        }
        var update = makeUpdate(nil)
        outcome.size = base.size + update.encodedSize
        if outcome.size > documentLimit {
            guard let document = try mongoReader.document(of: workflow.id) else { return nil }
            (update, outcome.size) = try fitting(change, document, makeUpdate)
        }
        let filter: BSONDocument = [
            "_id": .string(workflow.id.rawValue), "rhythm.revision": .int64(base.revision),
        ]
        return Part(
            id: workflow.id, write: .update(filter: filter, update: update), outcome: outcome, writeID: writeID)
    }

    /// The write that makes a workflow of the Python library ours, if its document is still what was read.
    private func adoption(
        of change: WorkflowChange, _ stamp: LegacyStamp, _ writeID: Int64
    ) throws(StoreError) -> Part {
        let filter = try translating(pool.description) { () throws(MongoError) in
            try BSONDocument(bytes: stamp.bytes)
        }
        let update = WorkflowDocument.adoption(change, writer: writer, writeID: writeID, eventsKept: eventsKept)
        // The filter holds what stays of the document.
        let size = update.encodedSize + filter.encodedSize
        guard size <= documentLimit else { throw tooLarge(change.workflow.id, size) }
        let outcome = stored(change.workflow, revision: 1, size: size)
        return Part(
            id: change.workflow.id, write: .update(filter: filter, update: update), outcome: outcome, writeID: writeID)
    }

    /// What is known of a workflow that this server has stored.
    private func stored(_ workflow: Workflow, revision: Int64, size: Int) -> KnownWorkflow {
        KnownWorkflow(
            revision: revision, version: workflow.version, writer: writer, size: size,
            isSettled: workflow.isSettled,
            fields: workflow.isSettled ? [:] : WorkflowDocument.mutableFields(workflow, writer: writer))
    }

    /// The update with as many of the stored events as there is room for, and the size of what comes of it.
    private func fitting(
        _ change: WorkflowChange, _ document: BSONDocument, _ makeUpdate: (BSONDocument?) -> BSONDocument
    ) throws(StoreError) -> (update: BSONDocument, size: Int) {
        let stored = document["rhythm"]?.documentValue?["events"]?.documentValue ?? [:]
        let new = BSONDocument(change.events.suffix(eventsKept).map(EventDocument.makeElement))
        // What the update replaces is counted twice: better a few events too many dropped than a write refused.
        let least =
            document.encodedSize - BSONValue.document(stored).encodedSize + makeUpdate(new).encodedSize
        guard least <= documentLimit else { throw tooLarge(change.workflow.id, least) }
        var room = documentLimit - least
        var kept: [BSONDocument.Element] = []
        let newestFirst = stored.elements.sorted { (Int64($0.key) ?? 0) > (Int64($1.key) ?? 0) }
        for element in newestFirst.prefix(max(0, eventsKept - new.count)) {
            // Type, name and NUL beside the text itself.
            room -= element.value.encodedSize + element.key.utf8.count + 2
            if room < 0 { break }
            kept.append(element)
        }
        let update = makeUpdate(BSONDocument(kept.reversed() + new.elements))
        return (update, documentLimit - max(0, room))
    }

    private func tooLarge(_ id: WorkflowID, _ size: Int) -> StoreError {
        StoreError(
            .full,
            "\(pool.description): the record of workflow \(id) would have about \(size) bytes; a document may have "
                + "\(documentLimit). Nothing was stored. Let its tasks return less, or names of files", workflow: id)
    }

    /// Sends the writes and finds out which of them met what they named.
    private func send(_ parts: [Part]) throws(StoreError) -> [WorkflowID] {
        if parts.isEmpty { return [] }
        let result: MongoBulkResult
        do throws(MongoError) {
            result = try pool.bulkWrite(collections.workflows, parts.map(\.write), ordered: false)
        } catch {
            // Read again before anything else is done to them.
            if error.outcomeUnknown { for part in parts { known[part.id] = nil } }
            throw StoreError(error, at: pool.description)
        }
        var taken: Set<Int> = []
        for refusal in result.refusals {
            guard refusal.error.kind == .duplicateKey else {
                for part in parts { known[part.id] = nil }
                var trouble = StoreError(refusal.error, at: pool.description)
                trouble.message += " (workflow \(parts[refusal.index].id))"
                // The others are stored.
                trouble.outcomeUnknown = true
                throw trouble
            }
            taken.insert(refusal.index)
        }
        let missed = try missed(parts, result)
        var refused: [WorkflowID] = []
        for (index, part) in parts.enumerated() {
            if taken.contains(index) || missed.contains(part.id) {
                known[part.id] = nil
                refused.append(part.id)
            } else {
                known[part.id] = part.outcome
            }
        }
        return refused
    }

    /// The workflows whose update or deletion met nothing. The server tells how many there are; if there are any, one
    /// read tells which.
    private func missed(_ parts: [Part], _ result: MongoBulkResult) throws(StoreError) -> Set<WorkflowID> {
        var updates = 0
        var deletions = 0
        var sought: [WorkflowID: Int64?] = [:]
        for part in parts {
            switch part.write {
            case .update: updates += 1
            case .delete: deletions += 1
            case .insert, .replace: continue
            }
            sought[part.id] = .some(part.writeID)
        }
        if result.matched == updates, result.deleted == deletions { return [] }
        let found: [BSONDocument]
        do throws(StoreError) {
            found = try mongoReader.find(
                ["_id": ["$in": .array(sought.keys.map { .string($0.rawValue) })]],
                projection: ["rhythm.write_id": 1])
        } catch {
            for part in parts { known[part.id] = nil }
            var trouble = error
            trouble.outcomeUnknown = true
            throw trouble
        }
        var stored: [WorkflowID: BSONDocument] = [:]
        for document in found {
            guard let id = document["_id"]?.stringValue else { continue }
            stored[WorkflowID(id)] = document["rhythm"]?.documentValue ?? [:]
        }
        var missed: Set<WorkflowID> = []
        for (id, writeID) in sought {
            let now = stored[id]
            let isStored = writeID.map { now?["write_id"]?.int64Value == $0 } ?? (now == nil)
            if !isStored { missed.insert(id) }
        }
        return missed
    }
}
