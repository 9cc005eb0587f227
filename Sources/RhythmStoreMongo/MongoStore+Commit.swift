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
        /// As it will be; nil after a deletion.
        var workflow: Workflow?
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
        var drafts: [Draft] = []
        let taken = try takenIDs(of: batch)
        for change in batch.changes {
            if let stamp = change.adopts {
                drafts.append(try draft(of: change, stamp))
            } else if !taken.contains(change.workflow.id), let part = try part(of: change) {
                parts.append(part)
            } else {
                refused.append(change.workflow.id)
            }
        }
        let deletions = try deletions(of: batch)
        parts += deletions.parts
        refused += deletions.refused
        let missed = try send(parts)
        refused += missed
        // Somebody may have written anew what was removed while the records were still there.
        afterwork.removeAgain(deletions.parts.map(\.id).filter { !missed.contains($0) })
        for draft in drafts {
            do throws(StoreError) {
                if try !adopt(draft) { refused.append(draft.workflow.id) }
            } catch {
                var trouble = error
                // The others are stored, and of this one more may be than it looks.
                trouble.outcomeUnknown = true
                throw trouble
            }
        }
        return refused
    }

    /// Of the workflows to be made those whose ids documents of the Python library have. An id that was made up here is
    /// looked for only if somebody has asked for it before.
    private func takenIDs(of batch: CommitBatch) throws(StoreError) -> Set<WorkflowID> {
        let doubtful = batch.changes.filter { change in
            change.isNew && (taken.contains(change.workflow.id) || !change.workflow.id.looksRandom)
        }
        if doubtful.isEmpty { return [] }
        return Set(try mongoReader.legacyIDs(doubtful.map(\.workflow.id)))
    }

    /// The writes that delete records. What was made of them is deleted before: while a record is there, whatever is
    /// missing is made again. And before that the records are opened, so that whoever killed this server in between
    /// leaves none without its row; that also tells which of them are still what they were when they were read.
    ///
    /// - Returns: and those that are not.
    private func deletions(of batch: CommitBatch) throws(StoreError) -> (parts: [Part], refused: [WorkflowID]) {
        // It was looked for, and what is not there, or is the Python library's, is none of ours.
        let sought = batch.deletions.compactMap { id in known[id].map { (id: id, revision: $0.revision) } }
        if sought.isEmpty { return ([], []) }
        let writeID = Int64.random(in: .min ... .max)
        let open: BSONDocument = ["open": WorkflowDocument.Openness.behindRow.bson, "write_id": .int64(writeID)]
        let opening = sought.map { id, revision in
            MongoWrite.update(
                filter: Self.filter(id, revision),
                update: ["$set": .document(open), "$inc": ["revision": .int64(1)]])
        }
        for (id, _) in sought { known[id] = nil }
        let opened = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(collections.workflows, opening, ordered: false)
        }
        var ids = sought.map(\.id)
        var changed: [WorkflowID] = []
        if opened.matched < ids.count {
            let found = try mongoReader.find(
                ["_id": ["$in": .array(ids.map { .string($0.rawValue) })]], projection: ["write_id": 1])
            let stored = Dictionary(
                found.map { ($0["_id"]?.stringValue ?? "", $0["write_id"]?.int64Value) },
                uniquingKeysWith: { first, _ in first })
            changed = ids.filter { id in stored[id.rawValue].map { $0 != writeID } ?? false }
            ids.removeAll { changed.contains($0) }
        }
        if ids.isEmpty { return ([], changed) }
        try afterwork.remove(ids)
        let parts = ids.map { id in
            let filter: BSONDocument = ["_id": .string(id.rawValue), "write_id": .int64(writeID)]
            return Part(id: id, write: .delete(filter: filter), outcome: nil)
        }
        return (parts, changed)
    }

    private static func filter(_ id: WorkflowID, _ revision: Int64) -> BSONDocument {
        ["_id": .string(id.rawValue), "revision": .int64(revision)]
    }

    /// Reads what a write must name of workflows that were not read before, or were forgotten.
    private func readUnknown(_ batch: CommitBatch) throws(StoreError) {
        let changed = batch.changes.filter { !$0.isNew && $0.adopts == nil }.map(\.workflow.id)
        let unknown = (changed + batch.deletions).filter { known[$0] == nil }
        if unknown.isEmpty { return }
        let documents = try mongoReader.find(["_id": ["$in": .array(unknown.map { .string($0.rawValue) })]])
        for document in documents {
            if let record = try settled(document) { _ = try remember(record) }
        }
    }

    /// The write of a change; nil if the workflow to be changed is not there, or not at the version it was made from.
    ///
    /// - Throws: ``StoreError`` `full` if the record is too large for a document, even without its older events.
    private func part(of change: WorkflowChange) throws(StoreError) -> Part? {
        let workflow = change.workflow
        let writeID = Int64.random(in: .min ... .max)
        let writer = change.isLeft ? Self.nobody : writer
        if change.isNew {
            let document = WorkflowDocument.make(
                change, writer: writer, writeID: writeID, eventsKept: eventsKept)
            let size = document.encodedSize
            guard size <= documentLimit else { throw tooLarge(workflow.id, size) }
            let outcome = stored(workflow, by: writer, revision: 1, size: size)
            return Part(id: workflow.id, write: .insert(document), outcome: outcome, workflow: workflow)
        }
        // Every write counts the revision up: naming it names the version too.
        guard let base = known[workflow.id], base.version == workflow.version - Int64(change.events.count) else {
            return nil
        }
        var outcome = stored(workflow, by: writer, revision: base.revision + 1, size: 0)
        outcome.mayHaveRow = outcome.mayHaveRow || base.mayHaveRow
        outcome.isAdopted = base.isAdopted
        let fields = WorkflowDocument.mutableFields(workflow, writer: writer)
        func makeUpdate(_ events: BSONDocument?) -> BSONDocument {
            WorkflowDocument.update(
                change, fields, stored: base.fields, revision: base.revision + 1, writeID: writeID,
                mayHaveRow: base.mayHaveRow, eventsKept: eventsKept, events: events)
        }
        var update = makeUpdate(nil)
        outcome.size = base.size + update.encodedSize
        if outcome.size > documentLimit {
            guard let document = try mongoReader.document(of: workflow.id) else { return nil }
            (update, outcome.size) = try fitting(change, document, makeUpdate)
        }
        return Part(
            id: workflow.id, write: .update(filter: Self.filter(workflow.id, base.revision), update: update),
            outcome: outcome, workflow: workflow, writeID: writeID)
    }

    /// What is known of a workflow that this server has stored.
    func stored(_ workflow: Workflow, by writer: String, revision: Int64, size: Int) -> KnownWorkflow {
        KnownWorkflow(
            revision: revision, version: workflow.version, writer: writer, size: size,
            isSettled: workflow.isSettled, mayHaveRow: workflow.isSettled, isAdopted: false,
            fields: workflow.isSettled ? [:] : WorkflowDocument.mutableFields(workflow, writer: writer))
    }

    /// The update with as many of the stored events as there is room for, and the size of what comes of it.
    private func fitting(
        _ change: WorkflowChange, _ document: BSONDocument, _ makeUpdate: (BSONDocument?) -> BSONDocument
    ) throws(StoreError) -> (update: BSONDocument, size: Int) {
        let stored = document["events"]?.documentValue ?? [:]
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

    func tooLarge(_ id: WorkflowID, _ size: Int) -> StoreError {
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
                guard let workflow = part.workflow, let outcome = part.outcome else { continue }
                afterwork.note(workflow, revision: outcome.revision, isAdopted: outcome.isAdopted)
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
                projection: ["write_id": 1])
        } catch {
            for part in parts { known[part.id] = nil }
            var trouble = error
            trouble.outcomeUnknown = true
            throw trouble
        }
        var stored: [WorkflowID: BSONDocument] = [:]
        for document in found {
            guard let id = document["_id"]?.stringValue else { continue }
            stored[WorkflowID(id)] = document
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
