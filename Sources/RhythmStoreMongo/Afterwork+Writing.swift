import Dispatch
import Logging
import RhythmCore
import RhythmEngine
import RhythmMongo
import Synchronization

/// The writes themselves. All of it runs on the queue, but for what goes to Celery's results.
extension Afterwork {
    func write(_ works: [Work]) throws(StoreError) {
        if works.isEmpty { return }
        if projects { try project(works) }
        let listed = try list(works.filter(\.workflow.isSettled))
        if listed.isEmpty { return }
        let closed = try bulk(
            collections.workflows,
            listed.map { work in
                .update(
                    filter: [
                        "_id": .string(work.workflow.id.rawValue), "revision": .int64(work.revision), "settled": true,
                    ],
                    update: ["$unset": ["open": ""]])
            })
        if closed.matched < listed.count { try clear(listed) }
    }

    /// Writes their rows. Nearly all are new, and to insert is cheaper than to replace what may be there.
    ///
    /// - Returns: those that have one now, or a newer one.
    private func list(_ settled: [Work]) throws(StoreError) -> [Work] {
        if settled.isEmpty { return [] }
        let rows = settled.map { RowDocument.make($0.workflow, revision: $0.revision) }
        let inserted = try bulk(collections.lists, rows.map { .insert($0) })
        var refused = inserted.refused
        if !inserted.duplicates.isEmpty {
            let replaced = try bulk(
                collections.lists,
                inserted.duplicates.map { index in
                    // Not over a newer one of another server's.
                    .replace(
                        filter: [
                            "_id": .string(settled[index].workflow.id.rawValue),
                            "revision": ["$lte": .int64(settled[index].revision)],
                        ],
                        with: rows[index], upsert: true)
                })
            for (place, error) in replaced.refused { refused[inserted.duplicates[place]] = error }
        }
        tell(refused, settled, collections.lists)
        return settled.indices.filter { refused[$0] == nil }.map { settled[$0] }
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
        let unwritten = Set(result.duplicates).union(result.refused.keys)
        state.withLock { state in
            for (index, work) in works.enumerated() where !unwritten.contains(index) { state.watched.expect(work) }
            // To look for what is refused would be to write it again for ever.
            for index in result.refused.keys { state.watched.forget(works[index].workflow.id) }
        }
        tell(result.refused, works, collections.library)
        // Made anew: the first one, or that of a workflow which another server has deleted since. Of settled ones their
        // records tell.
        let new = works.indices.filter { result.upserted.contains($0) && !works[$0].workflow.isSettled }
        if !new.isEmpty { try clear(new.map { works[$0] }) }
    }

    /// Says it once a workflow.
    private func tell(_ refused: [Int: MongoError], _ works: [Work], _ collection: String) {
        for (index, error) in refused.sorted(by: { $0.key < $1.key }) {
            let id = works[index].workflow.id
            let isNew = state.withLock { state in
                if state.refused.count >= Self.refusedKept { state.refused = [] }
                return state.refused.insert("\(collection) \(id)").inserted
            }
            guard isNew else { continue }
            logger.error(
                """
                workflow \(id) is not written to \(collection) of \(pool.description) as it is now, so whoever reads \
                that sees something older, and nothing else suffers: \(error)
                """)
        }
    }

    // MARK: Results

    /// Ends that only this server knows, in Celery's results. Without them readers see another status, and no more than
    /// that: a user who may not write there has all the rest, and so has everybody while results do not answer.
    private func standIn(for works: [Work]) {
        let writes = works.compactMap { ShownRuns.standIn(for: $0.workflow) }
        if writes.isEmpty { return }
        let isSlow = state.withLock { state in
            state.standIns += writes
            return state.resultsAreSlow
        }
        resultsQueue.async(group: resultsWork) { self.writeStandIns() }
        // So that a projection mostly does not name what is not there yet.
        if isSlow || resultsWork.wait(timeout: .now() + Self.resultsPatience) == .success { return }
        state.withLock { $0.resultsAreSlow = true }
    }

    private func writeStandIns() {
        let writes = state.withLock { state in
            defer { state.standIns = [] }
            return state.standIns
        }
        if writes.isEmpty { return }
        var trouble: String?
        do throws(MongoError) {
            let result = try results.bulkWrite(collections.results, writes, ordered: false, isDerived: true)
            // A duplicate says the same already, or is a success.
            trouble = result.refusals.first { $0.error.kind != .duplicateKey }.map { "\($0.error)" }
        } catch { trouble = "\(error)" }
        let isNews = state.withLock { state in
            state.resultsAreSlow = trouble != nil
            guard trouble != nil, !state.toldOfResults else { return false }
            state.toldOfResults = true
            return true
        }
        guard isNews, let trouble else { return }
        logger.warning(
            """
            ends that only this server knows could not be written to \(collections.results) of \(results.description), \
            so readers of the original library see another status of such workflows: \(trouble)
            """)
    }

    // MARK: Bulks

    /// What became of some writes, by their places.
    private struct Outcome {
        var matched = 0
        var upserted: Set<Int> = []
        /// Somebody else's, or a newer one, is there.
        var duplicates: [Int] = []
        /// What the database does not take as it is; nothing of it concerns the others.
        var refused: [Int: MongoError] = [:]

        mutating func add(_ one: Outcome, at index: Int) {
            matched += one.matched
            if !one.upserted.isEmpty { upserted.insert(index) }
            if !one.duplicates.isEmpty { duplicates.append(index) }
            refused[index] = one.refused.values.first
        }
    }

    /// - Throws: ``StoreError`` for what concerns all of them.
    private func bulk(_ collection: String, _ writes: [MongoWrite]) throws(StoreError) -> Outcome {
        var outcome = Outcome()
        let result: MongoBulkResult
        do throws(MongoError) {
            result = try pool.bulkWrite(collection, writes, ordered: false, isDerived: true)
        } catch {
            guard error.isOfOneDocument else { throw StoreError(error, at: pool.description) }
            // The driver sends none of them because of one.
            if writes.count == 1 {
                outcome.refused[0] = error
            } else {
                for (index, write) in writes.enumerated() { outcome.add(try bulk(collection, [write]), at: index) }
            }
            return outcome
        }
        outcome.matched = result.matched
        outcome.upserted = Set(result.upsertedIDs.keys)
        for refusal in result.refusals {
            if refusal.error.kind == .duplicateKey {
                outcome.duplicates.append(refusal.index)
            } else if refusal.error.isOfOneWrite {
                outcome.refused[refusal.index] = refusal.error
            } else {
                throw StoreError(refusal.error, at: pool.description)
            }
        }
        return outcome
    }
}

extension MongoError {
    /// The driver could not send a document.
    fileprivate var isOfOneDocument: Bool { !isFromServer && (kind == .tooLarge || kind == .invalidDocument) }

    /// The refusal of a write says nothing about others, such as a validator's.
    fileprivate var isOfOneWrite: Bool {
        switch kind {
        case .networkOrTimeout, .notPrimary, .unauthorized: false
        // InternalError and OutOfDiskSpace.
        default: code != 1 && code != 14031
        }
    }
}
