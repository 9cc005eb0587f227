import Logging
import RhythmCore
import RhythmEngine
import RhythmMongo
import Synchronization

/// A database whose servers wrote no projections for a while gets them when they do again: of every workflow, some at a
/// time, beside everything else.
extension Afterwork {
    private static let form: BSONDocument = ["_id": ":schema"]
    private static let catchUpBatch = 200

    /// Notes whether there are projections of all workflows from now on.
    func begin() throws(StoreError) {
        try translating(pool.description) { () throws(MongoError) in
            guard projects else {
                try pool.update(collections.servers, filter: Self.form, update: ["$set": ["projected": false]])
                return
            }
            guard try isMarkedIncomplete() else { return }
            state.withLock { state in
                state.caughtUp = ""
                schedule(&state)
            }
        }
    }

    /// Whether workflows may have no projection because there were none for a while.
    func areIncomplete() throws(StoreError) -> Bool {
        try translating(pool.description) { () throws(MongoError) in try isMarkedIncomplete() }
    }

    private func isMarkedIncomplete() throws(MongoError) -> Bool {
        try pool.findOne(collections.servers, filter: Self.form)?["projected"]?.boolValue == false
    }

    /// The next ones. On the queue.
    func catchUp() {
        guard let last = state.withLock({ $0.caughtUp }) else { return }
        do throws(MongoError) {
            let next = try pool.find(
                collections.workflows, filter: ["_id": ["$gt": .string(last)]], projection: ["_id": 1],
                sort: ["_id": 1], limit: Self.catchUpBatch)
            let ids = next.compactMap { $0["_id"]?.stringValue }
            if ids.isEmpty {
                try pool.update(collections.servers, filter: Self.form, update: ["$unset": ["projected": ""]])
            }
            state.withLock { $0.caughtUp = ids.last }
            read(ids.map { WorkflowID($0) })
        } catch {
            logger.debug("projections were not caught up with: \(error)")
        }
    }
}
