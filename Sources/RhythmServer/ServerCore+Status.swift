import RhythmCore
import RhythmEngine
import RhythmWire

/// Answers to GetStatus: from memory where that is known to be good enough, else from the store.
///
/// What a server knows of workflows that it follows is ahead of the store's. Only when another server has just taken a
/// command it is behind, for as long as news take from there. Who has seen a later version, or wants to be sure, says so
/// and costs a read. One that is cut off from the store tells what it remembers, if it may, and how old that may be.
extension ServerCore {
    func getStatus(_ get: GetStatus, _ call: Call) {
        if case .adrift = engine.memory, configuration.allowsStaleReads, get.waitAfterVersion == nil {
            return remember(get, call)
        }
        let asksStore = get.withFollower || (get.current && engine.isShared)
        let isFromMemory = isCurrent && get.waitAfterVersion == nil && !asksStore
        if isFromMemory {
            if let answer = statusAnswers.answer(to: get, within: call.scope) {
                call.connection.reply(call, answer)
                return
            }
            if let workflow = active(get.workflowID, within: call.scope), workflow.version >= get.atLeastVersion ?? 0 {
                let reply = GetStatusReply(workflow: workflow.shown(for: get))
                if let answer = statusAnswers.keep(reply, to: get, limit: configuration.maxResponseBytes) {
                    call.connection.reply(call, answer)
                } else {
                    call.connection.reply(call, .getStatus(reply))
                }
                return
            }
        }
        if let after = get.waitAfterVersion {
            waitForStatus(get, after: after, call)
        } else if asksStore || get.atLeastVersion != nil {
            readStatus(get, call, wait: Self.firstWait)
        } else {
            find(get.workflowID, within: call.scope) { result in
                switch result {
                case .success(let workflow):
                    call.connection.reply(call, .getStatus(.init(workflow: workflow.shown(for: get))))
                case .failure(let error): call.connection.fail(call, error)
                }
            }
        }
    }

    private func remember(_ get: GetStatus, _ call: Call) {
        switch remembered(get.workflowID, atLeast: get.atLeastVersion ?? 0, within: call.scope) {
        case .success(let workflow):
            call.connection.reply(
                call, .getStatus(GetStatusReply(workflow: workflow.shown(for: get), staleness: staleness)))
        case .failure(let error): call.connection.fail(call, error)
        }
    }

    /// How old what is remembered may be. More than nothing: by that a client knows that it is remembered.
    private var staleness: Duration { max(.milliseconds(1), engine.storeSilence ?? .zero) }

    /// A long poll: looked at again when the workflow changes, and a last time when its time is over.
    private func waitForStatus(_ get: GetStatus, after: Int64, _ call: Call) {
        // It waits before it looks, so that no change falls in between.
        hub.waitForChange(of: get.workflowID, call: call) { [unowned self] in
            onBehalf(of: call) { getStatus(get, call) }
        }
        call.isOpenEnded = true
        call.whenOverdue = { [unowned self, unowned call] in
            var now = get
            now.waitAfterVersion = nil
            getStatus(now, call)
        }
        // Only the store knows who follows it, or that nothing was missed.
        if get.withFollower || get.current && engine.isShared { return readStatus(get, call, wait: Self.firstWait) }
        find(get.workflowID, within: call.scope) { [unowned self] result in
            switch result {
            case .success(let workflow) where workflow.version < get.atLeastVersion ?? 0:
                readStatus(get, call, wait: Self.firstWait)
            case .success(let workflow):
                if workflow.version <= after { return }
                var reply = GetStatusReply(workflow: workflow.shown(for: get))
                if case .adrift = engine.memory { reply.staleness = staleness }
                call.connection.reply(call, .getStatus(reply))
            case .failure(let error): call.connection.fail(call, error)
            }
        }
    }

    /// The first wait for a version that the store does not have yet; each further one is twice as long.
    static var firstWait: Duration { .milliseconds(30) }
    /// The last one: about a second in all.
    static var lastWait: Duration { .milliseconds(480) }

    private func readStatus(_ get: GetStatus, _ call: Call, wait: Duration) {
        readFollowed(get.workflowID, withFollower: get.withFollower, within: call.scope) { [unowned self] result in
            guard !call.isEnded else { return }
            switch result {
            case .failure(let error): call.connection.fail(call, error)
            case .success(let found):
                let (workflow, wanted) = (found.workflow, get.atLeastVersion ?? 0)
                if workflow.version >= wanted {
                    // It will be looked again when it has changed.
                    if let after = get.waitAfterVersion, workflow.version <= after { return }
                    let reply = GetStatusReply(
                        workflow: workflow.shown(for: get), follower: found.follower,
                        staleness: found.isRemembered ? staleness : nil)
                    return call.connection.reply(call, .getStatus(reply))
                }
                // Nobody else could store it meanwhile.
                guard engine.isShared, wait <= Self.lastWait else {
                    return call.connection.fail(call, workflow.hasNot(wanted, "at_least_version"))
                }
                timers.schedule(after: wait) { [unowned self] in
                    guard !call.isEnded else { return }
                    onBehalf(of: call) { readStatus(get, call, wait: wait * 2) }
                }
            }
        }
    }

    /// A workflow as it was found.
    struct Found {
        var workflow: Workflow
        var follower: Follower?
        /// The store could not be asked: it may be old.
        var isRemembered = false
    }

    /// The latest there is of a workflow, from memory if that is as new as the store's; `then` runs on the lane.
    func readFollowed(
        _ id: WorkflowID, withFollower: Bool, within scope: AppScope,
        then: @escaping (Result<Found, RhythmError>) -> Void
    ) {
        guard engine.isShared else {
            let alone = withFollower && engine.active(id) != nil ? follower : nil
            return find(id, within: scope) { then($0.map { Found(workflow: $0, follower: alone) }) }
        }
        if let stale { return then(.failure(stale)) }
        if case .adrift = engine.memory {
            return then(remembered(id, within: scope).map { Found(workflow: $0, isRemembered: true) })
        }
        let (engine, directory) = (engine, withFollower ? engine.directory : nil)
        let allowsStale = configuration.allowsStaleReads
        read { () throws(StoreError) in
            do throws(StoreError) {
                return .followed(try engine.reader.load(id), try directory?.follower(of: id))
            } catch {
                guard allowsStale, error.code == .unavailable, let known = engine.lastKnown(id) else { throw error }
                return .remembered(known)
            }
        } then: { [unowned self] result in
            switch result {
            case .followed(let stored?, let follower) where scope.contains(stored.appID):
                let known = active(id, within: scope)
                if let known, known.version < stored.version {
                    // News that are still on their way.
                    engine.take(
                        Publication(foreign: [.init(id: id, version: stored.version)], progress: [], deleted: []))
                }
                let latest = known.flatMap { $0.version >= stored.version ? $0 : nil } ?? stored
                var named = follower
                if named?.serverID == configuration.serverID { named?.isAnswering = true }
                then(.success(Found(workflow: latest, follower: named)))
            case .remembered(let known) where scope.contains(known.appID):
                then(.success(Found(workflow: known, isRemembered: true)))
            case .failed(let error): then(.failure(error))
            default:
                then(
                    .failure(
                        RhythmError(
                            .notFound, reason: "NO_SUCH_WORKFLOW", "there is no workflow '\(id)'",
                            field: "workflow_id")))
            }
        }
    }

    /// This server, for a store that it has to itself.
    private var follower: Follower {
        Follower(serverID: configuration.serverID, addresses: addresses, isAnswering: true)
    }
}

extension Workflow {
    /// What somebody is told who has seen a version that this workflow never had, as far as the store knows.
    func hasNot(_ version: Int64, _ field: String) -> RhythmError {
        RhythmError(
            .outOfRange, reason: "VERSION_AHEAD",
            "workflow \(id) has version \(self.version); \(version) is not one that it had", field: field)
    }

    /// The record without what a GetStatus did not ask for.
    fileprivate func shown(for get: GetStatus) -> Workflow {
        if get.includePreviousAttempts && !get.omitResults { return self }
        var copy = self
        for index in copy.steps.indices {
            if !get.includePreviousAttempts, copy.steps[index].attempts.count > 1 {
                copy.steps[index].attempts = copy.steps[index].attempts.suffix(1)
            }
            guard get.omitResults else { continue }
            for attempt in copy.steps[index].attempts.indices { copy.steps[index].attempts[attempt].result = nil }
        }
        return copy
    }
}
