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
        /// Deleted; what was made of them may have been written anew meanwhile.
        var gone: Set<WorkflowID> = []
        /// Somebody was told that these cannot be written as they are.
        var refused: Set<String> = []
        /// What is to be written to Celery's results.
        var standIns: [MongoWrite] = []
        /// They did not answer soon the last time: nobody waits for them.
        var resultsAreSlow = false
        /// Somebody was told that Celery's results cannot be written to.
        var toldOfResults = false
        /// Up to this id projections were caught up with; nil if there is no need to.
        var caughtUp: String?
        /// When to look at projections next, and when for records that were left open.
        var checkDue = ContinuousClock.now
        var leftDue = ContinuousClock.now + Afterwork.leftInterval

        /// Nothing more is to be written of these.
        mutating func forget(_ ids: [WorkflowID]) {
            for id in ids {
                works[id] = nil
                unread.remove(id)
                mends.remove(id)
                watched.forget(id)
            }
        }
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
    /// How long a projection waits for the results that it names, and whoever wants all to be written.
    static let resultsPatience = DispatchTimeInterval.milliseconds(300)
    private static let longResultsPatience = DispatchTimeInterval.seconds(2)
    /// Of how many workflows it is known that they were told of.
    static let refusedKept = 1_000

    let pool: MongoPool
    /// Where Celery's result documents are.
    let results: MongoPool
    let collections: MongoCollections
    let serverID: String
    let projects: Bool
    let state = Mutex(State())
    let logger = Logger(label: "rhythm.store")
    private let queue = DispatchQueue(label: "rhythm.store.afterwork", qos: .utility)
    /// Another database may keep the results, and be silent.
    let resultsQueue = DispatchQueue(label: "rhythm.store.results", qos: .utility)
    let resultsWork = DispatchGroup()

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

    /// Deletes what was made of records that are about to be deleted. On the caller's thread, which must not wait for
    /// what is being written at this moment: what that brings back, ``removeAgain(_:)`` deletes.
    func remove(_ ids: [WorkflowID]) throws(StoreError) {
        state.withLock { $0.forget(ids) }
        try delete(ids)
    }

    /// The records are deleted. What was written of them meanwhile, here or by another server, goes too: soon, and
    /// behind whatever is being written.
    func removeAgain(_ ids: [WorkflowID]) {
        if ids.isEmpty { return }
        state.withLock { state in
            state.forget(ids)
            state.gone.formUnion(ids)
            schedule(&state)
        }
    }

    private func delete(_ ids: [WorkflowID]) throws(StoreError) {
        let list = BSONValue.array(ids.map { .string($0.rawValue) })
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

    /// - Returns: whether it could.
    private func removeGone() -> Bool {
        while true {
            let ids = state.withLock { state -> [WorkflowID] in
                let ids = Array(state.gone.prefix(Self.batch))
                state.gone.subtract(ids)
                return ids
            }
            if ids.isEmpty { return true }
            do throws(StoreError) {
                // Somebody may have started another one of the same id.
                let present = try present(ids)
                let gone = ids.filter { !present.contains($0) }
                if gone.isEmpty { continue }
                try delete(gone)
                state.withLock { $0.forget(gone) }
            } catch {
                state.withLock { $0.gone.formUnion(ids) }
                logger.debug("what was made of deleted workflows is still there: \(error)")
                return false
            }
        }
    }

    /// Writes what is left, if the database lets it, and nothing more after that.
    func finish() {
        queue.sync {
            flush(all: true)
            state.withLock { $0.isFinished = true }
        }
        _ = resultsWork.wait(timeout: .now() + Self.longResultsPatience)
    }

    /// Writes everything that was noted before, unless the database was away a moment ago: then it would only be waited
    /// for.
    func settle() {
        queue.sync {
            if state.withLock({ !$0.isInTrouble }) { _ = flush(all: true) }
        }
        _ = resultsWork.wait(timeout: .now() + Self.longResultsPatience)
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
            let isIdle = state.works.isEmpty && state.unread.isEmpty && state.gone.isEmpty && state.watched.isEmpty
            if isDone && isIdle && state.caughtUp == nil { return }
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
        return removeGone()
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
}
