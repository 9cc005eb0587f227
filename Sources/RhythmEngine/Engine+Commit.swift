import HeapModule
import Logging
import RhythmCore

extension Engine {
    /// - Returns: inputs to be processed again: what they rested on had been changed by another server.
    func finish(_ cycle: inout Cycle) -> [Input] {
        let batch = makeBatch(&cycle)
        var again: [Input] = []
        var changedElsewhere: [WorkflowID] = []
        if !batch.isEmpty {
            do throws(StoreError) {
                // It went away within this cycle: no need to wait for that once more.
                if isHeldOff { throw awayError }
                changedElsewhere = try store.commit(batch)
            } catch {
                if let workflow = error.workflow { return refuse(workflow, error, &cycle) + finish(&cycle) }
                abandon(cycle, batch, error)
                return []
            }
            if !changedElsewhere.isEmpty { again = cycle.remove(Set(changedElsewhere)) }
            storeWorks()
        }
        var publication = Publication()
        var left: [(id: WorkflowID, ends: [Effect])] = []
        for id in cycle.order {
            guard let work = cycle.works[id] else { continue }
            if work.needsCommit, work.isLeft || shared?.takesWork == false, !work.workflow.isSettled {
                // It was stored for whoever can go on with it, and he does what follows. What has ended has ended here.
                publication.changes.append(.init(workflow: work.workflow, events: work.events))
                left.append((id, work.effects.filter(\.isOfTheEnd)))
                continue
            }
            cycle.effects += work.effects
            if batch.deletions.contains(id) { continue }
            if cycle.readAnew.contains(id) { cycle.effects += takenOver(work) }
            if !work.touched.isEmpty { unsavedProgress[id, default: []].formUnion(work.touched) }
            if work.needsCommit || work.isNoted {
                publication.changes.append(.init(workflow: work.workflow, events: work.events))
            }
            install(work.workflow)
        }
        for change in batch.changes { unsavedProgress[change.workflow.id] = nil }
        progressDueAt = unsavedProgress.isEmpty ? nil : (progressDueAt ?? cycle.now + Self.progressInterval)
        for id in batch.deletions where !changedElsewhere.contains(id) { forget(id, cycle, &publication) }
        for (id, ends) in left {
            if !ends.isEmpty { runner.perform(ends) }
            if let known = active[id] { letGo(of: known, &publication) } else { publication.released.append(id) }
        }
        if !left.isEmpty { tellOfLeaving() }
        if !cycle.effects.isEmpty { runner.perform(cycle.effects) }
        publication.progress = cycle.progressOrder.compactMap { cycle.progress[$0] }
        // Before the answers: whoever got one and looks must see at least what it says.
        if !publication.isEmpty { publish(publication) }
        for answer in cycle.replies { answer.reply(answer.result) }
        for answer in cycle.adoptions { answer.reply(answer.result) }
        for id in changedElsewhere { refresh(id) }
        return again
    }

    private func makeBatch(_ cycle: inout Cycle) -> CommitBatch {
        var batch = CommitBatch()
        let savesProgress = progressDueAt.map { $0 <= cycle.now } ?? false
        if savesProgress { progressDueAt = nil }
        for id in cycle.order {
            guard let work = cycle.works[id] else { continue }
            let touched = work.touched.union(unsavedProgress[id] ?? [])
            if cycle.deletes(work.workflow) {
                batch.deletions.append(id)
            } else if work.needsCommit || (savesProgress && !touched.isEmpty) {
                var change = WorkflowChange(
                    workflow: work.workflow, isNew: work.isNew, touched: touched, events: work.events)
                change.adopts = work.adopts
                change.isLeft = work.isLeft
                batch.changes.append(change)
            }
        }
        guard savesProgress else { return batch }
        for (id, positions) in unsavedProgress.sorted(by: { $0.key < $1.key }) {
            guard cycle.works[id] == nil, doubtful[id] == nil, let workflow = active[id] else { continue }
            batch.changes.append(WorkflowChange(workflow: workflow, isNew: false, touched: positions, events: []))
        }
        return batch
    }

    /// One workflow cannot be stored as it is: its commands are refused, and what its attempts brought is cut down to
    /// what can be stored. The others of the cycle go on without it.
    ///
    /// - Returns: its reports in a form that can be stored, to be processed again.
    private func refuse(_ id: WorkflowID, _ error: StoreError, _ cycle: inout Cycle) -> [Input] {
        logger.error("workflow \(id) cannot be stored: \(error)")
        unsavedProgress[id] = nil
        var again: [Input] = []
        for input in cycle.remove([id], because: error) {
            switch input {
            case .command(_, _, let reply): reply(.failure(RhythmError(error)))
            case .report(var report):
                report.observation = report.observation.cutDown(because: error.message)
                again.append(.report(report))
            case .adopt(_, let reply): reply(.failure(RhythmError(error)))
            case .changedElsewhere: again.append(input)
            }
        }
        return again
    }

    /// The commit failed: everything stays as it was, clients are told, reports and timers are tried again.
    private func abandon(_ cycle: Cycle, _ batch: CommitBatch, _ error: StoreError) {
        storeFailed(error)
        let failure = RhythmError(error)
        for answer in cycle.replies {
            // Any other refusal may rest on what another command of this cycle did, which now has not happened.
            if case .failure(let error) = answer.result, error.code == .invalidArgument {
                answer.reply(answer.result)
            } else {
                answer.reply(.failure(failure))
            }
        }
        for answer in cycle.adoptions { answer.reply(.failure(failure)) }
        heldReports = Self.worthKeeping(cycle.reports) + heldReports
        retryAt = cycle.now + Self.storeRetryInterval
        progressDueAt = unsavedProgress.isEmpty ? nil : retryAt
        if error.outcomeUnknown || error.code == .conflict {
            for change in batch.changes {
                doubtful[change.workflow.id] = Doubt(change.workflow, events: change.events)
            }
            for id in batch.deletions {
                guard let work = cycle.works[id] else { continue }
                doubtful[id] = Doubt(work.workflow, events: work.events)
            }
        }
        for id in cycle.order { if let workflow = active[id] { schedule(workflow) } }
    }

    /// Of each attempt all but its progress, and of that the latest: the store may be away for long.
    static func worthKeeping(_ reports: [Report]) -> [Report] {
        var seen: Set<TaskID> = []
        let kept = reports.reversed().filter { report in
            if case .progress = report.observation { seen.insert(report.taskID).inserted } else { true }
        }
        return kept.reversed()
    }

    /// Reads again what may or may not have been stored, then performs what may not have been performed and tells what
    /// nobody was told. All of that is stored already, so it is done at once, whatever becomes of this cycle.
    func settleDoubts(now: Timestamp) {
        unreadableDueAt = nil
        for (id, doubt) in doubtful.sorted(by: { $0.key < $1.key }) {
            if let due = doubt.dueAt, due > now {
                unreadableDueAt = min(due, unreadableDueAt ?? due)
                continue
            }
            let found: Workflow?
            var events: [Event] = []
            do throws(StoreError) {
                found = try store.load(id)
                if found != nil { events = try store.reader.events(of: id, after: doubt.known, limit: .max) }
            } catch {
                guard error.concernsOneRecord else {
                    retryAt = now + Self.storeRetryInterval
                    storeFailed(error, reading: true)
                    return
                }
                // Nothing else waits for it.
                let due = now + Self.storeRetryInterval
                doubtful[id]?.dueAt = due
                unreadableDueAt = min(due, unreadableDueAt ?? due)
                continue
            }
            storeReads()
            doubtful[id] = nil
            unsavedProgress[id] = nil
            var publication = Publication()
            if let found, !follows(id) {
                letGo(of: found, &publication)
            } else if let found {
                install(found)
                let effects = found.outstandingEffects
                if !effects.isEmpty { runner.perform(effects) }
                if !events.isEmpty { publication.changes.append(.init(workflow: found, events: events)) }
            } else if doubt.known > 0 {
                active[id] = nil
                scheduled[id] = nil
                runner.purge(doubt.tasks)
                publication.deleted.append(id)
            }
            if !publication.isEmpty { publish(publication) }
        }
    }

    func install(_ workflow: Workflow) {
        if workflow.isSettled {
            active[workflow.id] = nil
            scheduled[workflow.id] = nil
            unsavedProgress[workflow.id] = nil
        } else {
            active[workflow.id] = workflow
            schedule(workflow)
        }
    }

    func schedule(_ workflow: Workflow) {
        guard let due = workflow.nextWakeUp else {
            scheduled[workflow.id] = nil
            return
        }
        if scheduled.updateValue(due, forKey: workflow.id) != due {
            deadlines.insert(Deadline(at: due, id: workflow.id))
        }
    }

    func forget(_ id: WorkflowID, _ cycle: Cycle, _ publication: inout Publication) {
        active[id] = nil
        scheduled[id] = nil
        unsavedProgress[id] = nil
        if let work = cycle.works[id] {
            runner.purge(work.workflow.steps.flatMap { $0.attempts.map(\.id) })
        }
        publication.deleted.append(id)
    }
}

/// What was known of a workflow before a commit of unknown outcome.
struct Doubt {
    /// The version that watchers were told of last; 0 if it was new.
    let known: Int64
    /// Its attempts, to be purged should it turn out to be deleted.
    let tasks: [TaskID]
    /// When to read it again, if that failed because of the record itself.
    var dueAt: Timestamp?
    /// Its attempts were let go of.
    var isReleased = false

    /// The store answers, and yet nobody knows what is stored of it.
    var isUnreadable: Bool { dueAt != nil }

    init(_ workflow: Workflow, events: [Event]) {
        known = workflow.version - Int64(events.count)
        tasks = workflow.steps.flatMap { $0.attempts.map(\.id) }
    }
}

/// When a workflow has to be looked at.
struct Deadline: Comparable {
    let at: Timestamp
    let id: WorkflowID

    static func < (lhs: Self, rhs: Self) -> Bool { (lhs.at, lhs.id) < (rhs.at, rhs.id) }
}
