import Logging
import RhythmCore

/// What an engine does because it is not alone: it proves that it lives, takes over what dead servers left, and lets go
/// of what living ones took.
extension Engine {
    /// How many workflows are taken over at once; the others wait for the next time.
    private static let claimLimit = 500
    /// How often servers look at each other while one of them leaves its work to others.
    private static let shortInterval = Duration.seconds(1)
    private static let shortestInterval = Duration.milliseconds(200)

    /// Whether attempts that would be given to the runner now are left to others.
    var leavesAttempts: Bool {
        guard let standing = shared?.standing else { return false }
        return !standing.takesWork || (standing.isStuck && others.contains(where: \.standing.isAble))
    }

    /// Tells the others at once that this server's runner can begin nothing any more, or can again.
    func noticeTrouble(now: Timestamp) {
        guard let shared, leaseDueAt != nil else { return }
        let isStuck = runner.trouble != nil
        if !isStuck { runnerDueAt = nil }
        // One that has just begun may have to connect first.
        if isStuck, let runnerDueAt, now < runnerDueAt { return }
        guard isStuck != shared.standing.isStuck else { return }
        shared.standing.isStuck = isStuck
        leaseDueAt = now
    }

    /// Something was left to others, who look for it when they hear of that: soon, but not with each command.
    func tellOfLeaving() {
        guard let shared, let due = leaseDueAt else { return }
        shared.standing.leaves += 1
        leaseDueAt = min(due, max(clock.now(), lastProofAt + Self.shortestInterval))
    }

    func tendLease(now: Timestamp) {
        guard let shared, let due = leaseDueAt, due <= now else { return }
        leaseDueAt = now + shared.renewalInterval
        lastProofAt = now
        // Looked at before it is renewed: if it has run out, what is in hand may be another's by now.
        _ = gate?.isOpen
        do throws(StoreError) {
            shared.standing.followed = active.count
            try shared.renewLease()
            switch storeTrouble?.code {
            case .replaced:
                logger.notice("this server's lease is its own again")
                storeTrouble = nil
                expectLateWrites()
            case .unavailable: storeWorks()
            default: if leaseFailed || nothingIsHeld { storeWorks() }
            }
            leaseFailed = false
            others = try shared.others()
            if !shared.standing.isAble || others.contains(where: { !$0.standing.isAble }) {
                leaseDueAt = now + min(Self.shortInterval, shared.renewalInterval)
            }
            try lookAround()
            try shareOut(shared, now: now)
            try lookForWork(shared, now: now)
        } catch {
            logger.error("the lease was not renewed: \(error)")
            leaseDueAt = now + Self.storeRetryInterval
            leaseFailed = true
            if error.code == .replaced { standDown(error) } else { storeFailed(error) }
        }
    }

    /// Leaves the work to others while this server's runner can begin nothing and theirs can.
    private func shareOut(_ shared: any SharedStore, now: Timestamp) throws(StoreError) {
        guard let trouble = isToDrain ? "it was told to" : runner.trouble else {
            stuckSince = nil
            guard !shared.takesWork else { return }
            logger.notice("this server takes on work again")
            shared.takesWork = true
            return
        }
        let since = stuckSince ?? now
        stuckSince = since
        // Two leases: a broker that is started again need not move everything.
        guard shared.takesWork, isToDrain || now.since(since) >= shared.renewalInterval * 6,
            others.contains(where: { isToDrain ? $0.standing.takesWork : $0.standing.isAble })
        else { return }
        try shared.handOver()
        shared.takesWork = false
        tellOfLeaving()
        logger.notice(
            "left all work to other servers: \(trouble)", metadata: ["workflows": "\(active.count)"])
        releaseAll()
    }

    /// Takes over what nobody follows: from time to time, and when somebody has just left something.
    private func lookForWork(_ shared: any SharedStore, now: Timestamp) throws(StoreError) {
        guard shared.takesWork else { return }
        let leaves = Dictionary(uniqueKeysWithValues: others.map { ($0.id, $0.standing.leaves) })
        let isDue = claimDueAt <= now
        guard isDue || leaves != leavesSeen else { return }
        leavesSeen = leaves
        adopt(try shared.claimOrphans(limit: Self.claimLimit))
        guard isDue else { return }
        claimDueAt = now + shared.renewalInterval
        try evenOut(shared)
    }

    /// Hands some workflows over if others follow far fewer: a server that has come back, or is new, gets its share.
    private func evenOut(_ shared: any SharedStore) throws(StoreError) {
        // One that has missed two proofs may be gone, and what it were given would stand still until its lease has run out.
        let able = others.filter {
            $0.standing.isAble && $0.standing.followed != nil && $0.silence < shared.renewalInterval * 2
        }
        // While this server does not know what it follows, or can begin nothing, it has no share to speak of.
        guard shared.standing.isAble, stuckSince == nil, storeTrouble == nil, doubtful.isEmpty, heldReports.isEmpty
        else { return }
        let counts = able.compactMap(\.standing.followed)
        let surplus = balance.surplus(own: active.count, others: counts)
        guard surplus > 0 else { return }
        let even = BalanceRule.evenShare(own: active.count, others: counts)
        let receivers = able.filter { $0.standing.followed ?? even < even }.map(\.id)
        let candidates = active.values.filter { $0.canChangeServers && !lingering.holds($0.id) }.map(\.id).sorted()
        let given = try shared.handOver(candidates, to: Set(receivers), atMost: surplus)
        guard !given.isEmpty else { return }
        logger.notice(
            "left workflows to servers that follow fewer",
            metadata: ["count": "\(given.count)", "servers": "\(receivers.sorted().joined(separator: " "))"])
        var publication = Publication()
        for id in given {
            unsavedProgress[id] = nil
            if let workflow = active[id] { letGo(of: workflow, &publication) }
        }
        publish(publication)
        tellOfLeaving()
    }

    /// From now on everything is left to others, as soon as there are any; or not any more.
    func drain(_ isToDrain: Bool) {
        self.isToDrain = isToDrain
        if leaseDueAt != nil { leaseDueAt = clock.now() }
    }

    /// Another server goes by this one's id: by what is stored, everything is that one's to follow.
    private func standDown(_ error: StoreError) {
        storeTrouble = error
        reconciliation = nil
        if active.isEmpty { return }
        logger.critical("nothing is followed here any more", metadata: ["count": "\(active.count)"])
        heldReports = []
        releaseAll()
    }

    /// Others follow everything.
    private func releaseAll() {
        var publication = Publication()
        for workflow in active.values.sorted(by: { $0.id < $1.id }) {
            unsavedProgress[workflow.id] = nil
            letGo(of: workflow, &publication)
        }
        doubtful = [:]
        publish(publication)
    }

    /// Whether the workflow, as it was last read or stored here, is this server's to follow.
    func follows(_ id: WorkflowID) -> Bool { shared?.isWriter(of: id) ?? true }

    /// Lets the others take over at once.
    func endLease() {
        leaseDueAt = nil
        (store as? any SharedStore)?.endLease()
    }

    /// Follows workflows from now on.
    private func adopt(_ workflows: [Workflow]) {
        guard !workflows.isEmpty else { return }
        logger.notice("took over workflows that no living server followed", metadata: ["count": "\(workflows.count)"])
        var publication = Publication()
        var effects: [Effect] = []
        for workflow in workflows {
            install(workflow)
            effects += workflow.outstandingEffects
            publication.changes.append(.init(workflow: workflow, events: []))
        }
        runner.perform(effects)
        publish(publication)
    }

    /// What follows from the record of a workflow that was read anew, beyond what was just decided.
    func takenOver(_ work: Cycle.Work) -> [Effect] {
        let decided = Set(work.effects.compactMap(\.taskID))
        return work.workflow.outstandingEffects.filter { effect in
            effect.taskID.map { !decided.contains($0) } ?? true
        }
    }

    /// Another server has changed the workflow: reads it again, and lets go of it if that server follows it now.
    func refresh(_ id: WorkflowID) {
        guard let known = active[id] else { return }
        do throws(StoreError) {
            let stored = try store.load(id)
            if known.version == stored?.version, follows(id) { return }
            try replace(known, by: stored)
        } catch {
            logger.error("workflow \(id) could not be read again: \(error)")
            var doubt = Doubt(known, events: [])
            let due = clock.now() + Self.storeRetryInterval
            if error.concernsOneRecord {
                doubt.dueAt = due
                unreadableDueAt = min(due, unreadableDueAt ?? due)
                expectLateWrites()
            } else {
                retryAt = due
                storeFailed(error, reading: true)
            }
            doubtful[id] = doubt
        }
    }

    /// What is stored is not what this server thought: takes it in, or lets go of it if another server follows it.
    func replace(_ known: Workflow, by found: Workflow?) throws(StoreError) {
        let id = known.id
        var events: [Event] = []
        if let found, found.version > known.version {
            events = try store.reader.events(of: id, after: known.version, limit: .max)
        }
        unsavedProgress[id] = nil
        var publication = Publication()
        if let found, follows(id) {
            install(found)
            runner.perform(found.outstandingEffects)
            publication.changes.append(.init(workflow: found, events: events))
        } else {
            letGo(of: known, &publication)
            if found == nil { publication.deleted.append(id) }
        }
        publish(publication)
    }

    /// Another server follows the workflow.
    func letGo(of workflow: Workflow, _ publication: inout Publication) {
        active[workflow.id] = nil
        scheduled[workflow.id] = nil
        runner.perform(workflow.liveAttempts.map { .release(workflow[$0].id) })
        publication.released.append(workflow.id)
    }
}

extension Workflow {
    /// Another server can go on with it at any moment, as well as this one: whatever workers may have of it is known to be
    /// with them, and none of it is being stopped.
    var canChangeServers: Bool {
        !deletesWhenSettled
            && liveAttempts.allSatisfy { position in
                let attempt = self[position]
                return attempt.revocation == nil && (attempt.queuedAt != nil || attempt.startedAt != nil)
            }
    }
}

extension Effect {
    /// It follows from the end of an attempt, and has to be done by the server that saw the end.
    var isOfTheEnd: Bool {
        switch self {
        case .settle, .bury: true
        case .dispatch, .revoke, .release: false
        }
    }

    /// The attempt it concerns.
    var taskID: TaskID? {
        switch self {
        case .dispatch(let dispatch): dispatch.taskID
        case .revoke(let id, of: _, begunBy: _, queue: _), .settle(let id), .bury(let id), .release(let id): id
        }
    }
}
