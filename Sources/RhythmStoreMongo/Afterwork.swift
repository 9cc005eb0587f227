import Dispatch
import Logging
import RhythmCore
import RhythmEngine
import RhythmMongo
import Synchronization

/// What follows from a record and is written behind it: the document that the Python library's readers see
/// (``ProjectionDocument``), and the row of a settled workflow (``RowDocument``).
///
/// A workflow is written at most once in an interval, in its latest state, together with others, on a queue of its own
/// and without waiting for a journal. None of it can get lost: until all of it is written the record stays open, and
/// whoever finds an open record that nobody works on begins anew (``read(_:)``). The database's journal keeps the order
/// of writes, so what is lost with it is lost from the end.
///
/// It also looks whether projections are still what was written (Afterwork+Checks.swift).
final class Afterwork: Sendable {
    /// The state of one workflow that is to be written.
    struct Work {
        var workflow: Workflow
        var revision: Int64
        var isAdopted: Bool
        /// Not to be written before: until then it may change again.
        var due = ContinuousClock.now
    }

    struct State {
        var works: [WorkflowID: Work] = [:]
        /// To be read, then written.
        var unread: Set<WorkflowID> = []
        var isScheduled = false
        var isFinished = false
        /// The latest trouble was told.
        var isInTrouble = false
        var watched = WatchedProjections()
        /// Projections that somebody else has written to.
        var mends: Set<WorkflowID> = []
        var foreign = ForeignWrites()
        /// Somebody was told that Celery's results cannot be written to.
        var toldOfResults = false
        /// Up to this id projections were caught up with; nil if there is no need to.
        var caughtUp: String?
        /// When to look at projections next, and when for records that were left open.
        var checkDue = ContinuousClock.now
        var leftDue = ContinuousClock.now + Afterwork.leftInterval
    }

    /// How long a state may change before it is written. Together with ``interval`` well under the second within which
    /// readers of projections see it.
    private static let delay = Duration.milliseconds(500)
    static let interval = DispatchTimeInterval.milliseconds(300)
    /// How often some projections are looked at; less often where that takes long.
    private static let checkInterval = Duration.seconds(2)
    /// No more than this share of the time, as its inverse.
    private static let checkShare = 100
    /// How often it is looked whether records of this server were left open.
    private static let leftInterval = Duration.seconds(60)
    private static let retryInterval = DispatchTimeInterval.seconds(1)
    /// How many workflows are written at once.
    private static let batch = 200

    let pool: MongoPool
    /// Where Celery's result documents are.
    let results: MongoPool
    let collections: MongoCollections
    let serverID: String
    let projects: Bool
    let state = Mutex(State())
    let logger = Logger(label: "rhythm.store")
    private let queue = DispatchQueue(label: "rhythm.store.afterwork", qos: .utility)

    init(pool: MongoPool, results: MongoPool, collections: MongoCollections, serverID: String, projects: Bool) {
        self.serverID = serverID
        self.pool = pool
        self.results = results
        self.collections = collections
        self.projects = projects
    }

    /// A record was stored.
    func note(_ workflow: Workflow, revision: Int64, isAdopted: Bool) {
        state.withLock { state in
            let known = state.works[workflow.id]
            if let known, known.revision > revision { return }
            state.works[workflow.id] = Work(
                workflow: workflow, revision: revision, isAdopted: isAdopted,
                due: known?.due ?? .now + Self.delay)
            schedule(&state)
        }
    }

    /// Records that are there, of which it is not known what else is written.
    func read(_ ids: [WorkflowID]) {
        if ids.isEmpty { return }
        state.withLock { state in
            state.unread.formUnion(ids.filter { state.works[$0] == nil })
            schedule(&state)
        }
    }

    /// Deletes what was made of records that are about to be deleted. Nothing of it is written after that.
    func remove(_ ids: [WorkflowID]) throws(StoreError) {
        let list = BSONValue.array(ids.map { .string($0.rawValue) })
        let removed = queue.sync { () -> Result<Void, StoreError> in
            state.withLock { state in
                for id in ids {
                    state.works[id] = nil
                    state.unread.remove(id)
                    state.watched.forget(id)
                }
            }
            return Result { () throws(StoreError) in
                try translating(pool.description) { () throws(MongoError) in
                    _ = try pool.bulkWrite(
                        collections.lists, [.delete(filter: ["_id": ["$in": list]], many: true)], ordered: true,
                        isDerived: true)
                    _ = try pool.bulkWrite(
                        collections.library,
                        [
                            .delete(
                                filter: ["_id": ["$in": list], "rhythm.schema": .int64(WorkflowDocument.schema)],
                                many: true)
                        ], ordered: true, isDerived: true)
                }
            }
        }
        try removed.get()
    }

    /// Writes what is left, if the database lets it, and nothing more after that.
    func finish() {
        queue.sync {
            flush(all: true)
            state.withLock { $0.isFinished = true }
        }
    }

    /// Writes everything that was noted before, unless the database was away a moment ago: then it would only be waited
    /// for.
    func settle() {
        queue.sync {
            if state.withLock({ !$0.isInTrouble }) { _ = flush(all: true) }
        }
    }

    func schedule(_ state: inout State, after interval: DispatchTimeInterval = Afterwork.interval) {
        if state.isScheduled || state.isFinished { return }
        state.isScheduled = true
        queue.asyncAfter(deadline: .now() + interval) { [weak self] in self?.turn() }
    }

    private func turn() {
        state.withLock { $0.isScheduled = false }
        let isDone = flush()
        if isDone {
            look()
            catchUp()
        }
        state.withLock { state in
            if isDone && state.works.isEmpty && state.unread.isEmpty && state.watched.isEmpty && state.caughtUp == nil {
                return
            }
            schedule(&state, after: isDone ? Self.interval : Self.retryInterval)
        }
    }

    /// What is due from time to time.
    private func look() {
        let now = ContinuousClock.now
        let (checks, looksForLeft) = state.withLock { state in
            let due = (state.checkDue <= now, state.leftDue <= now)
            if due.1 { state.leftDue = now + Self.leftInterval }
            return due
        }
        if checks {
            lookAtProjections()
            let pause = max(Self.checkInterval, now.duration(to: .now) * Self.checkShare)
            state.withLock { $0.checkDue = now + pause }
        }
        guard looksForLeft else { return }
        let left = try? pool.find(
            collections.workflows,
            filter: [
                "open": WorkflowDocument.Openness.behindRow.bson, "settled": true, "writer": .string(serverID),
            ], projection: ["_id": 1])
        read((left ?? []).compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } })
    }

    /// Writes what is due when it begins, or all that there is. What comes meanwhile waits for its turn, so that it is
    /// written once, too.
    ///
    /// - Returns: whether it could.
    @discardableResult private func flush(all: Bool = false) -> Bool {
        let now = ContinuousClock.now
        var ids = state.withLock { state -> ArraySlice<WorkflowID> in
            if state.isFinished { return [] }
            let due = state.works.lazy.filter { all || $0.value.due <= now }.map(\.key)
            return Array(state.unread.union(due))[...]
        }
        while !ids.isEmpty {
            let some = ids.prefix(Self.batch)
            ids = ids.dropFirst(Self.batch)
            let (works, unread) = state.withLock { state -> ([Work], [WorkflowID]) in
                let works = some.compactMap { state.works.removeValue(forKey: $0) }
                let unread = some.filter { state.unread.remove($0) != nil }
                return (works, Array(Set(unread).subtracting(works.map(\.workflow.id))))
            }
            do throws(StoreError) {
                try write(works + (try records(unread)))
            } catch {
                keep(works, unread, error)
                return false
            }
            state.withLock { $0.isInTrouble = false }
        }
        return true
    }

    /// Puts back what could not be written.
    private func keep(_ works: [Work], _ unread: [WorkflowID], _ error: StoreError) {
        let isNew = state.withLock { state in
            for work in works where state.works[work.workflow.id].map({ $0.revision < work.revision }) ?? true {
                state.works[work.workflow.id] = work
            }
            state.unread.formUnion(unread)
            // What was written last may be lost with what the database had not written to its journal.
            for id in state.watched.recent { if state.works[id] == nil { state.unread.insert(id) } }
            defer { state.isInTrouble = true }
            return !state.isInTrouble
        }
        if isNew { logger.warning("what follows from records could not be written, and is tried again: \(error)") }
    }

    /// What is stored of these workflows.
    private func records(_ ids: [WorkflowID]) throws(StoreError) -> [Work] {
        if ids.isEmpty { return [] }
        let documents = try translating(pool.description) { () throws(MongoError) in
            try pool.find(
                collections.workflows,
                filter: ["_id": ["$in": .array(ids.map { .string($0.rawValue) })]], projection: ["events": 0])
        }
        return documents.compactMap { document in
            guard document["open"]?.int64Value != WorkflowDocument.Openness.draft.rawValue else { return nil }
            do throws(StoreError) {
                let stored = try WorkflowDocument.read(document)
                return Work(workflow: stored.workflow, revision: stored.revision, isAdopted: stored.isAdopted)
            } catch {
                logger.error("nothing can be made of a record: \(error)")
                return nil
            }
        }
    }

    // MARK: Writing

    private func write(_ works: [Work]) throws(StoreError) {
        if works.isEmpty { return }
        if projects { try project(works) }
        let settled = works.filter(\.workflow.isSettled)
        if settled.isEmpty { return }
        try list(settled)
        let closed = try bulk(
            collections.workflows,
            settled.map { work in
                .update(
                    filter: [
                        "_id": .string(work.workflow.id.rawValue), "revision": .int64(work.revision), "settled": true,
                    ],
                    update: ["$unset": ["open": ""]])
            })
        if closed.matched < settled.count { try clear(settled) }
    }

    /// Writes their rows. Nearly all are new, and to insert is cheaper than to replace what may be there.
    private func list(_ settled: [Work]) throws(StoreError) {
        let rows = settled.map { RowDocument.make($0.workflow, revision: $0.revision) }
        let inserted = try bulk(collections.lists, rows.map { .insert($0) })
        if inserted.refusals.isEmpty { return }
        _ = try bulk(
            collections.lists,
            inserted.refusals.map { refusal in
                // Not over a newer one of another server's.
                .replace(
                    filter: [
                        "_id": .string(settled[refusal.index].workflow.id.rawValue),
                        "revision": ["$lte": .int64(settled[refusal.index].revision)],
                    ],
                    with: rows[refusal.index], upsert: true)
            })
    }

    /// Some records are no longer what these were made of: what belongs to none any more goes.
    private func clear(_ works: [Work]) throws(StoreError) {
        let present = try present(works.map(\.workflow.id))
        let gone = works.filter { !present.contains($0.workflow.id) }
        if gone.isEmpty { return }
        _ = try bulk(
            collections.lists,
            gone.map { .delete(filter: ["_id": .string($0.workflow.id.rawValue), "revision": .int64($0.revision)]) })
        _ = try bulk(
            collections.library,
            gone.map { .delete(filter: ["_id": .string($0.workflow.id.rawValue), "rhythm.at": .int64($0.revision)]) })
        state.withLock { state in for work in gone { state.watched.forget(work.workflow.id) } }
    }

    private func project(_ works: [Work]) throws(StoreError) {
        standIn(for: works)
        let mends = state.withLock { state in
            let mends = state.mends.intersection(works.map(\.workflow.id))
            state.mends.subtract(mends)
            return mends
        }
        let result = try bulk(
            collections.library,
            works.map { work in
                ProjectionDocument.write(
                    work.workflow, revision: work.revision, isAdopted: work.isAdopted,
                    mends: mends.contains(work.workflow.id))
            })
        // A duplicate: there is a newer one, or a document of the library's.
        let refused = Set(result.refusals.map(\.index))
        state.withLock { state in
            for (index, work) in works.enumerated() where !refused.contains(index) { state.watched.expect(work) }
        }
    }

    /// Ends that only this server knows, in Celery's results. Without them readers see another status, and no more than
    /// that: a user who may not write there has all the rest.
    private func standIn(for works: [Work]) {
        let writes = works.compactMap { ShownRuns.standIn(for: $0.workflow) }
        if writes.isEmpty { return }
        var trouble: String?
        do throws(MongoError) {
            let result = try results.bulkWrite(collections.results, writes, ordered: false, isDerived: true)
            // A duplicate says the same already, or is a success.
            trouble = result.refusals.first { $0.error.kind != .duplicateKey }.map { "\($0.error)" }
        } catch { trouble = "\(error)" }
        guard let trouble,
            state.withLock({ state in
                defer { state.toldOfResults = true }
                return !state.toldOfResults
            })
        else { return }
        logger.warning(
            """
            ends that only this server knows could not be written to \(collections.results) of \(results.description), \
            so readers of the original library see another status of such workflows: \(trouble)
            """)
    }

    /// - Throws: ``StoreError`` unless all was done or refused as a duplicate.
    private func bulk(_ collection: String, _ writes: [MongoWrite]) throws(StoreError) -> MongoBulkResult {
        let result = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(collection, writes, ordered: false, isDerived: true)
        }
        for refusal in result.refusals where refusal.error.kind != .duplicateKey {
            throw StoreError(refusal.error, at: pool.description)
        }
        return result
    }
}
