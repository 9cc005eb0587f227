import Glibc
import Logging
import RhythmCore
import RhythmEngine
import RhythmMongo

/// Brings a database from the form before (``FirstForm``) to this one, when a server starts.
///
/// The number of the form is raised first, so that no server of the version before begins any more; one that still
/// lives makes this refuse. One server converts, the others wait for it: it counts up a beat, and if that stands still
/// another goes on. Of each workflow the row is written, then the record, then the document in `workflow_meta` becomes a
/// projection, which is what tells that it is done: so it may end at any write, and be begun again.
struct Conversion {
    let pool: MongoPool
    let collections: MongoCollections
    let leases: ServerLeases
    /// How long the beat of another must stand still.
    var patience = Duration.seconds(10)
    var batch = 50
    /// Told before each write, by tests that end it there.
    var willWrite: () throws(StoreError) -> Void = {}

    private let token = RandomUUID.make()
    private let logger = Logger(label: "rhythm.store")
    private static let formID: BSONValue = ":schema"

    init(pool: MongoPool, collections: MongoCollections, leases: ServerLeases) {
        self.pool = pool
        self.collections = collections
        self.leases = leases
    }

    /// Returns when there is nothing (any more) to be converted.
    ///
    /// - Throws: ``StoreError`` `inUse` while a server of the version before lives.
    func run() throws(StoreError) {
        var seen: (by: String, beat: Int64, since: ContinuousClock.Instant)?
        while let form = try form() {
            let number = form["number"]?.int64Value
            if number == FirstForm.schema {
                try begin()
            } else if number != WorkflowDocument.schema {
                return
            }
            guard let converting = (try self.form())?["converting"]?.documentValue,
                let by = converting["by"]?.stringValue, let beat = converting["beat"]?.int64Value
            else {
                // Another one may have given it back, because a server of the version before lives.
                if number == FirstForm.schema { continue }
                return
            }
            if by == token {
                if try convert() { return }
                continue
            }
            if let known = seen, known.by == by, known.beat == beat {
                if ContinuousClock.now - known.since > patience { try takeOver(by, beat) }
            } else {
                if seen == nil { logger.notice("waiting for another server, which converts \(pool.description)") }
                seen = (by, beat, .now)
            }
            usleep(100_000)
        }
    }

    // MARK: Whose it is

    private func form() throws(StoreError) -> BSONDocument? {
        try translating(pool.description) { () throws(MongoError) in
            try pool.findOne(collections.servers, filter: ["_id": Self.formID])
        }
    }

    private func begin() throws(StoreError) {
        try refuseIfUsed()
        let begun = try change(
            ["number": .int64(FirstForm.schema)],
            [
                "$set": [
                    "number": .int64(WorkflowDocument.schema),
                    "converting": ["by": .string(token), "beat": .int64(0)],
                ]
            ])
        guard begun else { return }
        // One that began at the same moment has looked at the number before it was raised, and is seen now.
        do throws(StoreError) { try refuseIfUsed() } catch {
            _ = try change(
                ["converting.by": .string(token)],
                ["$set": ["number": .int64(FirstForm.schema)], "$unset": ["converting": ""]])
            throw error
        }
    }

    private func refuseIfUsed() throws(StoreError) {
        // Those of the version before did not say which life of theirs it is.
        let old = try leases.census().living.filter { $0["incarnation"] == nil }
        guard let other = old.compactMap({ $0["_id"]?.stringValue }).min() else { return }
        throw StoreError(
            .inUse,
            "\(pool.description) is used by server '\(other)' of an older version; stop all servers of that version, "
                + "then start this one, which converts what is stored. Nothing was changed")
    }

    private func takeOver(_ by: String, _ beat: Int64) throws(StoreError) {
        let taken = try change(
            ["converting.by": .string(by), "converting.beat": .int64(beat)],
            ["$set": ["converting": ["by": .string(token), "beat": .int64(0)]]])
        if taken { logger.notice("going on with the conversion of \(pool.description), which another server left") }
    }

    private func change(_ condition: BSONDocument, _ update: BSONDocument) throws(StoreError) -> Bool {
        try willWrite()
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.servers, filter: BSONDocument([.init("_id", Self.formID)] + condition.elements),
                update: update)
        }
        return result.matched == 1
    }

    // MARK: Converting

    /// - Returns: false if another server has taken over meanwhile.
    private func convert() throws(StoreError) -> Bool {
        let total = try translating(pool.description) { () throws(MongoError) in
            try pool.count(collections.library, filter: Self.unconverted)
        }
        var done = 0
        var unreadable = 0
        logger.notice("converting \(total) workflows of \(pool.description) to the form of this version")
        var last = ""
        while true {
            guard try change(["converting.by": .string(token)], ["$inc": ["converting.beat": .int64(1)]]) else {
                return false
            }
            let filter = BSONDocument(Self.unconverted.elements + [.init("_id", ["$gt": .string(last)])])
            let documents = try translating(pool.description) { () throws(MongoError) in
                try pool.find(collections.library, filter: filter, sort: ["_id": 1], limit: batch)
            }
            guard let end = documents.last?["_id"]?.stringValue else { break }
            last = end
            let converted = try convert(documents)
            unreadable += documents.count - converted
            done += converted
            if (done / batch) % 20 == 0 { logger.notice("converted \(done) of \(total) workflows") }
        }
        try dropIndexes()
        let finished = try change(
            ["converting.by": .string(token)],
            ["$set": ["store_id": .string(RandomUUID.make())], "$unset": ["converting": ""]])
        logger.notice("converted \(done) of \(total) workflows; \(unreadable) could not be read and stay as they are")
        return finished
    }

    private static let unconverted: BSONDocument = ["rhythm.schema": .int64(FirstForm.schema)]

    /// - Returns: how many could be read.
    private func convert(_ documents: [BSONDocument]) throws(StoreError) -> Int {
        var rows: [MongoWrite] = []
        var records: [MongoWrite] = []
        var marks: [MongoWrite] = []
        for document in documents {
            let stored: StoredWorkflow
            let events: [Event]
            do throws(StoreError) { (stored, events) = try FirstForm.read(document) } catch {
                logger.error("a workflow is not converted: \(error)")
                continue
            }
            let workflow = stored.workflow
            let revision = stored.revision
            let change = WorkflowChange(workflow: workflow, isNew: true, touched: [], events: events)
            var record = WorkflowDocument.make(
                change, writer: stored.writer, writeID: .random(in: .min ... .max), eventsKept: .max)
            record["revision"] = .int64(revision)
            if workflow.isSettled {
                record["open"] = nil
                rows.append(
                    // Not over a newer one: a server that has converted it may have gone on with it.
                    .replace(
                        filter: ["_id": .string(workflow.id.rawValue), "revision": ["$lte": .int64(revision)]],
                        with: RowDocument.make(workflow, revision: revision), upsert: true))
            }
            records.append(.insert(record))
            let fields = ProjectionDocument.fields(workflow, revision: revision, keepsSteps: true)
            marks.append(
                .update(
                    filter: BSONDocument([.init("_id", .string(workflow.id.rawValue))] + Self.unconverted.elements),
                    update: ["$set": .document(fields)]))
        }
        try write(collections.lists, rows)
        try write(collections.workflows, records)
        try write(collections.library, marks)
        return records.count
    }

    /// What is there already was written before this was interrupted.
    private func write(_ collection: String, _ writes: [MongoWrite]) throws(StoreError) {
        if writes.isEmpty { return }
        try willWrite()
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(collection, writes, ordered: false)
        }
        for refusal in result.refusals where refusal.error.kind != .duplicateKey {
            throw StoreError(refusal.error, at: pool.description)
        }
    }

    /// Nothing needs them any more, and each makes every write dearer. One that stays does no harm.
    private func dropIndexes() throws(StoreError) {
        let present = try translating(pool.description) { () throws(MongoError) in
            try pool.indexNames(collections.library)
        }
        for name in FirstForm.indexes where present.contains(name) {
            try willWrite()
            do throws(MongoError) {
                try pool.writeCommand(["dropIndexes": .string(collections.library), "index": .string(name)])
            } catch {
                logger.warning("index \(name) of \(collections.library) is of no use and was not dropped: \(error)")
            }
        }
    }
}
