import Logging
import RhythmCore
import RhythmEngine
import RhythmMongo
import Synchronization

/// Looks whether projections are still what was written: applications that have the Python library may write to them.
/// What they write means nothing, and is written over, but somebody should know.
extension Afterwork {
    /// How many are looked at in one read.
    private static let checkBatch = 200

    /// A workflow that was read: somebody who died may not have come to write what it says.
    func check(_ workflow: Workflow, revision: Int64, isAdopted: Bool) {
        guard projects else { return }
        state.withLock { state in
            state.watched.expect(Work(workflow: workflow, revision: revision, isAdopted: isAdopted))
            schedule(&state)
        }
    }

    /// Looks at the next ones and has those written again that are not as they should be. On the queue.
    func lookAtProjections() {
        let expected = state.withLock { $0.watched.next(Self.checkBatch) }
        if expected.isEmpty { return }
        let found: [WorkflowID: BSONDocument]
        do throws(StoreError) { found = try projections(expected.keys.sorted()) } catch {
            logger.debug("projections were not looked at: \(error)")
            return
        }
        var missing: [WorkflowID] = []
        for (id, expected) in expected.sorted(by: { $0.key < $1.key }) {
            let finding = WatchedProjections.judge(found[id], expected)
            if finding == .deleted { missing.append(id) } else { act(on: finding, id) }
        }
        guard !missing.isEmpty, let present = try? present(missing) else { return }
        for id in missing {
            // Another server may have deleted the workflow.
            if present.contains(id) { act(on: .deleted, id) } else { state.withLock { $0.watched.forget(id) } }
        }
    }

    /// Compares the settled workflows that changed last, and has those written again that are not as they should be.
    ///
    /// - Returns: whether that could be; not while projections that were not written for a while are made, here or by
    ///   another server: what is missing is nobody's fault then.
    func examine(limit: Int) throws(StoreError) -> Bool {
        if state.withLock({ $0.caughtUp != nil }) { return false }
        if try areIncomplete() { return false }
        let rows = try translating(pool.description) { () throws(MongoError) in
            try pool.find(
                collections.lists, projection: ["revision": 1, "status": 1, "updated_us": 1],
                sort: ["updated_us": -1, "_id": -1], limit: limit)
        }
        var expected: [WorkflowID: WatchedProjections.Expected] = [:]
        for row in rows {
            guard let id = row["_id"]?.stringValue, let revision = row["revision"]?.int64Value,
                let status = row["status"]?.stringValue.flatMap({ WorkflowStatus(rawValue: $0) }),
                let updated = row["updated_us"]?.int64Value
            else { continue }
            expected[WorkflowID(id)] = WatchedProjections.Expected(
                revision: revision, status: status, updatedAt: Timestamp(microseconds: updated), isSettled: true,
                isSure: true, since: .now)
        }
        let ids = expected.keys.sorted()
        for start in stride(from: 0, to: ids.count, by: Self.checkBatch) {
            let some = Array(ids[start..<min(start + Self.checkBatch, ids.count)])
            let found = try projections(some)
            let odd = some.filter { id in
                expected[id].map { WatchedProjections.judge(found[id], $0) != .asExpected } ?? false
            }
            if odd.isEmpty { continue }
            // Those that have changed since are none of this.
            let settled = try translating(pool.description) { () throws(MongoError) in
                try pool.find(
                    collections.workflows,
                    filter: ["_id": ["$in": .array(odd.map { .string($0.rawValue) })], "open": .null],
                    projection: ["_id": 1])
            }
            for id in settled.compactMap({ $0["_id"]?.stringValue.map { WorkflowID($0) } }) {
                guard let expected = expected[id] else { continue }
                act(on: WatchedProjections.judge(found[id], expected), id)
            }
        }
        return true
    }

    /// Workflows to whose documents somebody else wrote, since this server started.
    var foreignWrites: [WorkflowID] { state.withLock { $0.foreign.counts.keys.sorted() } }

    private func projections(_ ids: [WorkflowID]) throws(StoreError) -> [WorkflowID: BSONDocument] {
        let documents = try translating(pool.description) { () throws(MongoError) in
            try pool.find(
                collections.library, filter: ["_id": ["$in": .array(ids.map { .string($0.rawValue) })]],
                projection: WatchedProjections.fields)
        }
        return Dictionary(
            documents.compactMap { document in document["_id"]?.stringValue.map { (WorkflowID($0), document) } },
            uniquingKeysWith: { first, _ in first })
    }

    /// Those of the workflows that have a record.
    func present(_ ids: [WorkflowID]) throws(StoreError) -> Set<WorkflowID> {
        let filter: BSONDocument = ["_id": ["$in": .array(ids.map { .string($0.rawValue) })]]
        let found = try translating(pool.description) { () throws(MongoError) in
            try pool.find(collections.workflows, filter: filter, projection: ["_id": 1])
        }
        return Set(found.compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } })
    }

    private func act(on finding: WatchedProjections.Finding, _ id: WorkflowID) {
        switch finding {
        case .asExpected:
            state.withLock { $0.watched.sawAsExpected(id) }
        case .newer:
            state.withLock { $0.watched.forget(id) }
        case .behind:
            write(again: id, mends: false)
        case .deleted:
            write(again: id, mends: true)
            tell(id, "deleted the document of workflow \(id) in \(collections.library)")
        case .changed(let status):
            write(again: id, mends: true)
            tell(id, "wrote to the document of workflow \(id) in \(collections.library) (status \(status))")
        }
    }

    private func write(again id: WorkflowID, mends: Bool) {
        state.withLock { state in
            if mends { state.mends.insert(id) }
            if state.works[id] == nil { state.unread.insert(id) }
            schedule(&state)
        }
    }

    /// Says it once a workflow.
    private func tell(_ id: WorkflowID, _ what: String) {
        let isNew = state.withLock { state in
            if state.foreign.count >= ForeignWrites.kept { state.foreign = ForeignWrites() }
            return state.foreign.note(id)
        }
        guard isNew else { return }
        logger.warning(
            """
            somebody else, such as an application with the original library, \(what); \
            it is written again and nothing else changes: workflows of this server are paused, resumed and deleted \
            here only
            """)
    }
}

/// Workflows to whose documents somebody else wrote, and how often that was seen.
struct ForeignWrites {
    static let kept = 1_000

    private(set) var counts: [WorkflowID: Int] = [:]

    var count: Int { counts.count }

    /// - Returns: whether it was the first time.
    mutating func note(_ id: WorkflowID) -> Bool {
        counts[id, default: 0] += 1
        return counts[id] == 1
    }
}
