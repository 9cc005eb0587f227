import RhythmCore
import RhythmEngine

// MARK: What the engine wants

extension CeleryDesk {
    private static let tombsAtOnce = 1000
    private static let usedQueuesMax = 1000

    /// Does one thing.
    ///
    /// - Parameter isRepeated: it comes from the records of an earlier life of the server, so workers may have it.
    func perform(_ effect: Effect, isRepeated: Bool) {
        switch effect {
        case .dispatch(let dispatch): take(dispatch, isRepeated: isRepeated || dispatch.isRepeated)
        case .revoke(let id, let workflowID, let worker, let queue):
            revoke(id, of: workflowID, begunBy: worker, queue: queue)
        case .settle(let id): settle(id)
        case .bury(let id): bury(id)
        case .release(let id): release(id)
        }
    }

    private func take(_ dispatch: Dispatch, isRepeated: Bool) {
        let id = dispatch.taskID
        if entries[id] != nil { return want(id, of: dispatch.workflowID) }
        see(task: dispatch.task)
        let dispatch = configuration.asInjected(dispatch)
        var entry = CeleryEntry(
            workflowID: dispatch.workflowID, dispatch: dispatch, queue: dispatch.queue ?? configuration.defaultQueue,
            phase: isRepeated ? .sent : .unsent(due: now), now: now, serial: nextSerial(),
            lost: LostRule(pause: configuration.times.lost, patience: configuration.times.result))
        use(queue: entry.queue)
        if isRepeated {
            entry.isUncertain = dispatch.queuedAt == nil
            entry.isConfirmed = dispatch.queuedAt != nil
            entry.hasBegun = dispatch.startedAt != nil
            entry.startIsTold = entry.hasBegun
            entry.workerTold = dispatch.worker ?? ""
            // It may have one; deleting one that is not there does no harm.
            entry.privateDocument = PrivateDocument.id(of: id)
            let age = (dispatch.startedAt ?? dispatch.queuedAt).map { time.since($0) } ?? .zero
            if entry.hasBegun { entry.begunAt = now - age }
            entry.begunBy = dispatch.worker ?? ""
            entries[id] = entry
            polls.insert(id, since: now - age)
            if entry.hasBegun { polls.begin(id, since: now - age) }
            polls.wake(id, now: now)
        } else {
            entries[id] = entry
            unsent.insert(id)
            if telling.isOpen, kinds.tracksStart(dispatch.task) == false { askForEvents(of: telling.wantAll()) }
            trySend(id)
        }
    }

    private func use(queue: String) {
        if usedQueues.count >= Self.usedQueuesMax { usedQueues = Set(entries.values.map(\.queue)) }
        usedQueues.insert(queue)
    }

    private func nextSerial() -> UInt64 {
        lastSerial += 1
        return lastSerial
    }

    /// Somebody asks about an attempt that is known here already.
    private func want(_ id: TaskID, of workflowID: WorkflowID) {
        entries[id]?.workflowID = workflowID
        if case .ended(let observation) = entries[id]?.phase { tell(id, observation) }
    }

    private func settle(_ id: TaskID) {
        guard let entry = entries[id] else { return }
        if entry.isEnded { return forget(id) }
        // Nobody waits for it any more: it is ended, and forgotten once it is gone.
        if let workflowID = entry.workflowID { revoke(id, of: workflowID, queue: entry.queue) }
        entries[id]?.workflowID = nil
        if entries[id]?.isEnded == true { forget(id) }
    }

    /// Another server follows it now, private document and all.
    private func release(_ id: TaskID) {
        entries[id]?.privateDocument = nil
        forget(id)
    }

    private func revoke(_ id: TaskID, of workflowID: WorkflowID, begunBy worker: String? = nil, queue: String?) {
        if entries[id] == nil {
            // Never seen here: whatever there is of it was sent by somebody else, or long ago.
            entries[id] = CeleryEntry(
                workflowID: workflowID, dispatch: nil, queue: queue ?? configuration.defaultQueue, phase: .sent,
                now: now, serial: nextSerial(), lost: LostRule(pause: configuration.times.lost))
            use(queue: queue ?? configuration.defaultQueue)
            entries[id]?.privateDocument = PrivateDocument.id(of: id)
            entries[id]?.begunBy = worker ?? ""
            polls.insert(id, since: now)
        }
        want(id, of: workflowID)
        guard let entry = entries[id], !entry.isEnded else { return }
        switch entry.phase {
        case .unsent, .preparing:
            end(id, .revoked(detail: "it was withdrawn before it was sent", at: time))
        case .publishing: beginRevoke(id, isOurs: true)
        case .sent:
            beginRevoke(id, isOurs: true)
            wanted.insert(id)
        case .ended: break
        }
    }

    /// Begins to stop an attempt, or to find out whether one that somebody else revoked has stopped.
    func beginRevoke(_ id: TaskID, isOurs: Bool) {
        if entries[id]?.revoke != nil {
            if isOurs { entries[id]?.revoke?.takeOver() }
        } else {
            let times = configuration.times
            entries[id]?.revoke = RevokeRule(
                patience: .init(
                    kills: configuration.revokesWithKill, grace: times.revokeGrace,
                    settling: min(.seconds(1), times.lost), lost: times.lost),
                isOurs: isOurs, now: now)
            entries[id]?.nextLook = now
            if let document = entries[id]?.document, let process = document.processID, !document.node.isEmpty {
                entries[id]?.revoke?.note(process: process, of: document.node)
            }
        }
        revoking.insert(id)
        if isOurs { ban(id) }
    }

    /// The loss of an attempt is stored: it never runs again, should its message turn up after all.
    private func bury(_ id: TaskID) {
        ban(id)
        tombs.insert(id)
        if isListening { tellOfTombs() }
    }

    /// Tells the workers that are there; those that come later are told when they say hello.
    func tellOfTombs() {
        guard !tombs.isEmpty else { return }
        let ids = tombs.sorted()
        tombs = []
        // After a restart there may be thousands, and every worker gets each message.
        for first in stride(from: 0, to: ids.count, by: Self.tombsAtOnce) {
            let some = ids[first..<min(first + Self.tombsAtOnce, ids.count)]
            links.tell(.revoke(Array(some), .terminate))
        }
    }

    /// The attempt never begins from now on, also in workers that start later.
    func ban(_ id: TaskID) {
        guard revokedSet.insert(id).inserted else { return }
        revoked.append(id)
        trimRevoked()
        results.keep(revoked: [id], now: time)
    }

    /// What was revoked before this server began, or by others that share the database.
    func remember(earlier ids: [TaskID]) {
        // They come newest first.
        let older = ids.reversed().filter { revokedSet.insert($0).inserted }
        revoked.insert(contentsOf: older, at: 0)
        trimRevoked()
    }

    private func trimRevoked() {
        guard revoked.count > ResultBackend.revokedMax else { return }
        let surplus = revoked.count - ResultBackend.revokedMax * 9 / 10
        revokedSet.subtract(revoked.prefix(surplus))
        revoked.removeFirst(surplus)
    }
}
