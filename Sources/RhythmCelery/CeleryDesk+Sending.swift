import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine
import RhythmMongo

// MARK: From a dispatch to a message in a queue

extension CeleryDesk {
    /// What the arguments of an attempt have to look like; nil if that is not known yet.
    private func kind(of entry: CeleryEntry, _ task: String) -> TaskKinds.Kind? {
        if configuration.libraryTasks.contains(task) { return .library }
        if configuration.plainTasks.contains(task) { return .plain }
        if entry.privateDocument != nil { return .library }
        let expected = expected(toTakeFrom: entry.queue)
        let allHaveTold = !expected.isEmpty && expected.allSatisfy { kinds.knows($0) }
        if let kind = kinds[task], kind == .library || allHaveTold { return kind }
        // Nobody knows it, or somebody has not told: what is right for the library's tasks is safe for all.
        return allHaveTold || now - entry.since >= configuration.times.kind ? .library : nil
    }

    /// Takes an attempt as far on its way as it goes now.
    func trySend(_ id: TaskID) {
        guard let entry = entries[id], let dispatch = entry.dispatch, case .unsent(let due) = entry.phase,
            due <= now
        else { return }
        guard let kind = kind(of: entry, dispatch.task) else {
            return keepUnsent(id, until: max(now, entry.since + configuration.times.kind))
        }
        switch kind {
        case .plain: publish(id, dispatch, kwargs: dispatch.injectedKwargs)
        case .library where configuration.bareTasks.contains(dispatch.task) || !dispatch.inject.suitsDocument:
            let kwargs = PrivateDocument.bareKwargs(of: dispatch)
            guard PrivateDocument.namesNoWorkflow(kwargs) else { return holdBack(id, dispatch) }
            publish(id, dispatch, kwargs: kwargs)
        case .library:
            let stored = entry.isDocumentStored ? entry.privateDocument : nil
            if let document = stored ?? spares.take(for: dispatch, now: now) {
                entries[id]?.privateDocument = document
                entries[id]?.isDocumentStored = true
                publish(id, dispatch, kwargs: PrivateDocument.kwargs(of: dispatch, document: document))
            } else {
                entries[id]?.privateDocument = PrivateDocument.id(of: id)
                entries[id]?.phase = .preparing
                // No change of circumstances asks for it a second time.
                unsent.remove(id)
                toPrepare.append(preparation(of: dispatch))
            }
        }
    }

    /// An attempt with those of the steps after it that need private documents, too.
    func preparation(of dispatch: Dispatch) -> Dispatch {
        var dispatch = dispatch
        dispatch.following.removeAll {
            needsNoDocument($0.task) || !$0.inject.suitsDocument || configuration.uninjectedTasks.contains($0.task)
        }
        return dispatch
    }

    /// Own arguments that are named `workflow_id` and `step` must not reach a task of the library's: it would take the
    /// workflow so named, maybe one of ours, for its own, and change it.
    private func holdBack(_ id: TaskID, _ dispatch: Dispatch) {
        let what = "arguments of its own that are named workflow_id and step"
        guard configuration.libraryTasks.contains(dispatch.task) || kinds[dispatch.task] == .library else {
            return hinder(
                id, "it has \(what), and no worker has said yet that \(dispatch.task) is not based on WorkflowTask")
        }
        let failure = Failure(
            type: "MessageRefused",
            message: "\(dispatch.task) is based on WorkflowTask and would act on the workflow that \(what) stand for;"
                + " nothing was sent",
            isRetriable: false)
        end(id, .failed(failure, at: time))
    }

    /// Attempts of a task get no private document, as far as is known.
    private func needsNoDocument(_ task: String) -> Bool {
        if configuration.bareTasks.contains(task) { return true }
        if configuration.libraryTasks.contains(task) { return false }
        return configuration.plainTasks.contains(task) || kinds[task] == .plain
    }

    /// Stores the private documents that this visit asked for, in one write.
    func storePrivateDocuments() {
        guard !toPrepare.isEmpty else { return }
        // When many come at once, none waits for the documents of later steps.
        let isRush = toPrepare.count > 50
        let dispatches = toPrepare.map { (dispatch: $0, withSpares: !isRush && !spares.has($0.workflowID)) }
        toPrepare = []
        let documents = dispatches.flatMap {
            PrivateDocument.make(
                of: $0.dispatch, withSpares: $0.withSpares, server: configuration.serverID, at: time)
        }
        results.prepare(documents) { .prepared(dispatches, trouble: $0) }
    }

    /// Private documents are stored, or not, or nobody knows.
    func prepared(_ dispatches: [(dispatch: Dispatch, withSpares: Bool)], trouble: String?) {
        for (dispatch, withSpares) in dispatches {
            let id = dispatch.taskID
            let isWanted = if case .preparing = entries[id]?.phase { true } else { false }
            if let trouble {
                if isWanted {
                    hinder(id, "the results database cannot be written to: \(trouble)")
                } else if withSpares {
                    leftovers += PrivateDocument.spareIDs(of: dispatch).map { (forgetDue, $0.id) }
                }
                continue
            }
            if withSpares { spares.add(of: dispatch, now: now) }
            if isWanted, let document = entries[id]?.privateDocument {
                entries[id]?.isDocumentStored = true
                publish(id, dispatch, kwargs: PrivateDocument.kwargs(of: dispatch, document: document))
            } else if entries[id] == nil {
                // It was withdrawn in between, and its own document is a leftover already.
                spares.end(id, of: dispatch.workflowID, due: forgetDue)
            }
        }
    }

    private func publish(_ id: TaskID, _ dispatch: Dispatch, kwargs: JSON) {
        // Another server may have sent another attempt in its place: it says so soon, or that this one is still wanted.
        guard maySend else { return keepUnsent(id, until: now + Self.gatePause) }
        let queue = entries[id]?.queue ?? configuration.defaultQueue
        let message = TaskMessage.make(
            of: dispatch, queue: queue, kwargs: kwargs, origin: "rhythm@\(configuration.serverID)")
        do throws(TaskMessage.Refusal) {
            try TaskMessage.check(
                message,
                limits: .init(bodyBytes: configuration.messageBytes, isExtended: configuration.workersStoreArguments))
        } catch {
            let failure = Failure(
                type: "MessageRefused", message: "no worker could run it: \(error); nothing was sent",
                isRetriable: false)
            return end(id, .failed(failure, at: time))
        }
        entries[id]?.tries += 1
        entries[id]?.sentAt = now
        entries[id]?.phase = .publishing
        unsent.remove(id)
        // From now on: a worker may be done with it before the broker's word is here.
        polls.insert(id, since: now, kind: .init(queue: queue, task: dispatch.task))
        links.publish(message, of: id, number: entries[id]?.tries ?? 0)
    }

    /// A new opening is asked about behind what the inbox holds: that may be word of what another server has replaced.
    private var maySend: Bool {
        guard let current = links.opening else { return false }
        if current == opening { return true }
        links.announce(opening: current)
        return false
    }

    func maySend(since opening: Int) {
        guard opening > self.opening else { return }
        self.opening = opening
        sendAnew()
    }

    /// How long to wait before asking again whether an attempt may be sent.
    private static let gatePause = Duration.milliseconds(500)

    /// What became of a message.
    func published(_ id: TaskID, number: Int, _ outcome: PublishOutcome) {
        guard let entry = entries[id], entry.tries == number, case .publishing = entry.phase else { return }
        switch outcome {
        case .confirmed:
            sent(id)
            entries[id]?.isConfirmed = true
            entries[id]?.isUncertain = false
            entries[id]?.obstacle = nil
            tellWait(id, nil)
            tell(id, .queued(at: time))
        case .undecided(let reason):
            sent(id)
            entries[id]?.isUncertain = true
            logger.warning("\(id): the connection to the broker broke while it was sent: \(reason)")
        case .unroutable:
            notSent(id, "queue \(entry.queue) does not exist: no worker has made it yet")
        case .rejected:
            notSent(id, "queue \(entry.queue) takes no messages: it is full, or the broker is in trouble")
        case .notSent(let reason):
            notSent(id, "the broker cannot be reached: \(reason)")
        }
    }

    private func sent(_ id: TaskID) {
        entries[id]?.phase = .sent
        entries[id]?.hear(at: now)
        entries[id]?.nextLook = now + configuration.times.suspect
        if entries[id]?.revoke != nil { wanted.insert(id) }
    }

    private func notSent(_ id: TaskID, _ reason: String) {
        if entries[id]?.revoke != nil {
            return end(id, .revoked(detail: "it was withdrawn before it was sent", at: time))
        }
        polls.remove(id)
        hinder(id, reason)
    }

    /// Something is in an attempt's way: tries again later, or when circumstances change.
    private func hinder(_ id: TaskID, _ reason: String) {
        guard let entry = entries[id] else { return }
        let times = configuration.times
        let pause = min(times.publishRetryLongest, times.publishRetry * (1 << min(10, max(0, entry.tries - 1))))
        keepUnsent(id, until: now + pause)
        entries[id]?.obstacle = reason
        tellWait(id, reason)
    }

    /// Puts an attempt back among those that are not sent.
    func keepUnsent(_ id: TaskID, until due: Duration) {
        entries[id]?.phase = .unsent(due: due)
        unsent.insert(id)
        nextSendDue = min(due, nextSendDue ?? due)
    }

    /// Tries again what is due, the highest priority and the oldest first.
    func retrySends() {
        guard let next = nextSendDue, next <= now else { return }
        nextSendDue = nil
        var due: Set<TaskID> = []
        for id in unsent {
            guard case .unsent(let time) = entries[id]?.phase else { continue }
            if time <= now { due.insert(id) } else { nextSendDue = min(time, nextSendDue ?? time) }
        }
        for id in inOrder(due) { trySend(id) }
    }

    /// Circumstances have changed: tries again whatever waits.
    func sendAnew() {
        for id in inOrder(unsent) {
            entries[id]?.phase = .unsent(due: now)
            trySend(id)
        }
    }

    private func inOrder(_ ids: Set<TaskID>) -> [TaskID] {
        ids.sorted { left, right in
            guard let first = entries[left], let second = entries[right] else { return left < right }
            return (-(first.dispatch?.priority ?? 0), first.serial) < (-(second.dispatch?.priority ?? 0), second.serial)
        }
    }
}
