import RhythmClient
import RhythmCore
import RhythmEngine
import RhythmServer
import RhythmTesting
import RhythmWire
import Synchronization
import Testing

extension ServerTests {
    /// What clients of two servers of one store see while one has not heard yet what the other did.
    @Suite struct SharedStoreTests {
        /// Starts a workflow that the first server follows, and holds it through the second, of which the first hears
        /// nothing.
        private func holdElsewhere(_ pair: Pair) async throws -> (id: WorkflowID, version: Int64) {
            let (peer, other) = (try await pair.first.peer(), try await pair.second.peer())
            let id = try await peer.start(Rig.gated()).id
            try await peer.until(id, is: .started)
            pair.second.tells.withLock { $0 = false }
            let reply = try await other.call(.pauseWorkflow(PauseWorkflow(workflowID: id)))
            guard case .pauseWorkflow(let paused) = reply else { throw RawPeer.Trouble.unexpected(.reply(reply)) }
            #expect(paused.receipt.accepted)
            return (id, paused.receipt.version)
        }

        @Test func aVersionThatWasSeenIsDemandedOfAnyServer() async throws {
            try await Pair.with { pair in
                let (id, version) = try await holdElsewhere(pair)
                let peer = try await pair.first.peer()
                #expect(try await peer.status(id).status == .started, "it has not heard of it")
                let found = try await peer.status(GetStatus(workflowID: id, atLeastVersion: version))
                #expect(found.status == .revoked && found.version >= version)
                // Now it knows, and tells it from memory, or has let go of it.
                try await eventually("it knows") { try await peer.status(id).version >= version }
                for _ in 0..<3 {
                    let kept = try await peer.status(GetStatus(workflowID: id, atLeastVersion: version))
                    #expect(kept.version >= version)
                }
            }
        }

        @Test func whatTheStoreHasIsToldToWhoAsksForIt() async throws {
            try await Pair.with { pair in
                let (id, version) = try await holdElsewhere(pair)
                let peer = try await pair.first.peer()
                let found = try await peer.status(GetStatus(workflowID: id, current: true))
                #expect(found.status == .revoked && found.version >= version)
            }
        }

        @Test func whoFollowsAWorkflowIsSaid() async throws {
            try await Pair.with { pair in
                let peer = try await pair.first.peer()
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                func follower(_ peer: RawPeer) async throws -> Follower? {
                    let reply = try await peer.call(.getStatus(GetStatus(workflowID: id, withFollower: true)))
                    guard case .getStatus(let found) = reply else { throw RawPeer.Trouble.unexpected(.reply(reply)) }
                    return found.follower
                }
                let here = try await follower(peer)
                #expect(here?.serverID == "first" && here?.isAnswering == true)
                let elsewhere = try await follower(try await pair.second.peer())
                #expect(elsewhere?.serverID == "first" && elsewhere?.isAnswering == false)
            }
        }

        @Test func aVersionThatNobodyEverHadIsRefusedAfterAMoment() async throws {
            try await Pair.with { pair in
                let peer = try await pair.first.peer()
                let id = try await peer.start(Rig.gated()).id
                let start = ContinuousClock.now
                let call = try await peer.begin(.getStatus(GetStatus(workflowID: id, atLeastVersion: 999)))
                let watch = try await peer.begin(
                    .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id, afterVersion: 999)])))
                for (call, field) in [(call, "at_least_version"), (watch, "targets.after_version")] {
                    let error = try await peer.failure(of: call)
                    #expect(error.code == .outOfRange && error.reason == "VERSION_AHEAD" && error.field == field)
                }
                let took = start.duration(to: .now)
                #expect(took > .milliseconds(500) && took < .seconds(5), "it took \(took)")
            }
        }

        /// The store gets the version while the server waits for it.
        @Test func aVersionThatIsOnItsWayIsWaitedFor() async throws {
            try await Pair.with { pair in
                let (peer, other) = (try await pair.first.peer(), try await pair.second.peer())
                let started = try await other.start(Rig.gated())
                try await other.until(started.id, is: .started)
                let next = try await other.status(started.id).version + 1
                let call = try await peer.begin(.getStatus(GetStatus(workflowID: started.id, atLeastVersion: next)))
                _ = try await other.call(.pauseWorkflow(PauseWorkflow(workflowID: started.id)))
                guard case .getStatus(let found) = try await peer.reply(of: call) else { return }
                #expect(found.workflow.version >= next)
            }
        }

        /// The very thing that people do: hold it, look whether it is held; and the first of two servers goes in between.
        @Test func aClientThatMovesReadsWhatItWrote() async throws {
            try await Pair.with { pair in
                let client = try pair.client()
                let id = try await pair.first.peer().start(Rig.gated()).id
                try await pair.first.peer().until(id, is: .started)
                pair.second.tells.withLock { $0 = false }
                let paused = try await client.pause(id, requestID: "r")
                #expect(paused.receipt.accepted && client.endpoint == pair.second.endpoint.description)
                await pair.second.server.drain(grace: .zero)
                let found = try await client.status(id)
                #expect(client.endpoint == pair.first.endpoint.description)
                #expect(found.version >= paused.receipt.version && found.status == .revoked)
                // The answer to a repetition is the first one.
                #expect(try await client.pause(id, requestID: "r").replayed)
            }
        }

        @Test func aWatchThatMovesHasNoGap() async throws {
            try await Pair.with { pair in
                let client = try pair.client()
                let started = try await client.start(Rig.gated(["a", "b", "c"]))
                let id = started.workflow.id
                let versions = Task {
                    var versions: [Int64] = []
                    for try await update in client.watch([id], after: [id: 0], options: .init(untilDone: true)) {
                        if case .transition(let event) = update { versions.append(event.version) }
                        if case .gap = update { Issue.record("a gap") }
                        if case .snapshot = update { Issue.record("a snapshot") }
                    }
                    return versions
                }
                // The first server is told nothing, so that it is behind what the watch has seen.
                pair.second.tells.withLock { $0 = false }
                pair.second.gates.succeed(id, "a")
                try await eventually("b runs") {
                    try await client.status(id).steps[1].current?.status == .started
                }
                await pair.second.server.drain(grace: .zero)
                pair.second.tells.withLock { $0 = true }
                pair.second.gates.succeed(id, "b")
                pair.second.gates.succeed(id, "c")
                let seen = try await versions.value
                let last = try await client.status(id, current: true).version
                #expect(seen == Array(1...last))
            }
        }

        @Test func aFilterWatchTurnsThePages() async throws {
            try await Pair.with { pair in
                let count = 450
                let other = try await pair.second.peer()
                for number in 0..<count {
                    _ = try await other.start(Rig.gated(id: WorkflowID("w\(number)"), appID: "many"))
                }
                let peer = try await pair.first.peer()
                let log = try await WatchLog(peer, WatchProgress(filter: WorkflowFilter(appID: "many")))
                try await log.until("all are there") { $0.told.count == count }
                #expect(log.told.values.allSatisfy { $0.snapshots.count == 1 })
            }
        }

        /// Cut off from the store and from the other server, it tells what it remembers, if it may, and what that is worth.
        @Test(arguments: [false, true]) func whatIsRememberedIsMarked(isAllowed: Bool) async throws {
            try await Pair.with {
                $0.allowsStaleReads = isAllowed
            } _: { pair in
                let peer = try await pair.first.peer()
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                func ask(_ get: GetStatus) async throws -> Result<GetStatusReply, RhythmError> {
                    switch try await peer.next(of: try await peer.begin(.getStatus(get))) {
                    case .reply(.getStatus(let reply)): .success(reply)
                    case .status(let error?): .failure(error)
                    case let other: throw RawPeer.Trouble.unexpected(other)
                    }
                }
                let before = try await ask(GetStatus(workflowID: id)).get()
                #expect(before.staleness == nil)
                pair.disk.disk.isAway = true
                pair.first.engine.hearsPeers(trouble: "the broker is away")
                // Somebody has to find out.
                _ = try await peer.failure(of: peer.begin(.pauseWorkflow(PauseWorkflow(workflowID: id))))
                try await eventually("it knows that it is cut off") {
                    if case .adrift = pair.first.engine.memory { true } else { false }
                }
                let version = before.workflow.version
                for get in [
                    GetStatus(workflowID: id), GetStatus(workflowID: id, current: true, withFollower: true),
                    GetStatus(workflowID: id, atLeastVersion: version),
                    GetStatus(workflowID: id, waitAfterVersion: version - 1),
                ] {
                    switch try await ask(get) {
                    case .success(let reply):
                        #expect(isAllowed && reply.workflow.version == version && reply.staleness != nil, "\(get)")
                    case .failure(let error): #expect(!isAllowed && error.reason == "STALE", "\(get): \(error)")
                    }
                }
                // What it does not remember it cannot answer for.
                for get in [GetStatus(workflowID: "other"), GetStatus(workflowID: id, atLeastVersion: version + 1)] {
                    guard case .failure(let error) = try await ask(get) else {
                        Issue.record("\(get) was answered")
                        continue
                    }
                    #expect(error.code == .unavailable && error.reason == "STALE")
                }
                pair.disk.disk.heal()
                pair.first.engine.hearsPeers(trouble: nil)
                try await eventually("it tells the truth again") {
                    try await ask(GetStatus(workflowID: id)).map { $0.staleness == nil } == .success(true)
                }
            }
        }

        @Test func serversOfDifferentStoresAreNotMixed() async throws {
            try await Rig.with { one in
                try await Rig.with { other in
                    var options = RhythmClient.Options()
                    options.timeout = .seconds(3)
                    let client = try RhythmClient(
                        endpoints: [one.tcp.description, other.tcp.description], options: options)
                    let (own, another) = (try await one.peer().info(), try await other.peer().info())
                    #expect(!own.storeID.isEmpty && own.storeID != another.storeID)
                    #expect(try await client.serverInfo().storeID == own.storeID)
                    await one.drain(grace: .zero)
                    do {
                        _ = try await client.serverInfo()
                        Issue.record("it took another store for its own")
                    } catch let error as RhythmError {
                        #expect(error.message.contains("has another store"), "\(error)")
                    }
                    let again = RhythmClient.Options()
                    #expect(
                        try await RhythmClient(endpoint: other.tcp.description, options: again).serverInfo().isServing)
                }
            }
        }

        @Test func aStoreKeepsItsNameOverRestarts() async throws {
            try await Rig.with { rig in
                let before = try await rig.peer().info().storeID
                try await rig.restart()
                #expect(try await rig.peer().info().storeID == before)
            }
        }

        @Test func oneServerIsAListOfOne() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                guard case .listServers(let servers) = try await peer.call(.listServers) else { return }
                let only = try #require(servers.first)
                #expect(servers.count == 1 && only.id == "the-server" && only.isAnswering && only.lease == nil)
                #expect(only.addresses.contains(rig.tcp.description))
            }
        }

        /// Also by the one that drains, which knows it best.
        @Test func aServerThatDrainsSaysSo() async throws {
            try await Pair.with { pair in
                let peer = try await pair.first.peer()
                func drains() async throws -> Bool? {
                    guard case .listServers(let servers) = try await peer.call(.listServers) else { return nil }
                    return servers.first { $0.isAnswering }?.isDraining
                }
                for undo in [false, true] {
                    _ = try await peer.call(.drainServer(undo: undo))
                    #expect(try await drains() == !undo)
                }
            }
        }

        /// A client of several servers cannot say which one it would drain.
        @Test func aClientOfSeveralDrainsNone() async throws {
            try await Pair.with { pair in
                let client = try pair.client()
                let error = await #expect(throws: RhythmError.self) { _ = try await client.drain() }
                #expect(error?.reason == "SEVERAL_ENDPOINTS" && error?.effect == RhythmError.Effect.none)
                for member in [pair.first, pair.second] {
                    let info = try await member.peer().info()
                    #expect(!info.isDraining)
                }
            }
        }

        @Test func allServersAreListed() async throws {
            try await Pair.with { pair in
                let peer = try await pair.second.peer()
                _ = try await peer.start(Rig.gated())
                try await eventually("both are there") {
                    guard case .listServers(let servers) = try await peer.call(.listServers) else { return false }
                    return servers.map(\.id) == ["second", "first"] && servers.map(\.isAnswering) == [true, false]
                        && servers.map(\.followed) == [1, 0]
                }
            }
        }
    }

    /// Filters that mean more workflows than one watch may follow.
    @Suite struct WatchLimitTests {
        @Test(arguments: [false, true]) func itIsToldAndTheWatchDoesNotEndBefore(tells: Bool) async throws {
            try await Rig.with {
                $0.maxWatchedWorkflows = 3
            } _: { rig in
                let peer = try await rig.peer()
                var ids: [WorkflowID] = []
                for number in 0..<8 { ids.append(try await peer.start(Rig.gated(id: WorkflowID("w\(number)"))).id) }
                let log = try await WatchLog(
                    peer,
                    WatchProgress(filter: WorkflowFilter(appID: "tests"), untilDone: true, tellLimit: tells))
                try await log.until("there is no more room") { $0.told.count == 3 && (!tells || $0.limits == [5]) }
                // One that starts now has no place either.
                ids.append(try await peer.start(Rig.gated(id: "late")).id)
                // Whoever has a place ends, so that another one gets it.
                var waiting = Set(ids)
                while !waiting.isEmpty {
                    try await log.until("one of \(waiting) has a place") { log in
                        waiting.contains { log.told[$0] != nil }
                    }
                    for id in waiting where log.told[id] != nil {
                        rig.gates.succeed(id, "one")
                        try await log.untilStatus(id, .success)
                        waiting.remove(id)
                    }
                }
                try await log.untilEnd()
                #expect(log.end == .some(nil))
                let unfinished = try await peer.list(ListQuery(filter: WorkflowFilter(statuses: [.pending, .started])))
                #expect(unfinished.isEmpty, "it ended while \(unfinished) were not done")
                #expect(log.limits == (tells ? [5, 0] : []))
            }
        }

        /// What was left out has ended by itself, so that nothing else is to be sent when that is found.
        @Test func thatNothingIsLeftOutIsToldBeforeTheEnd() async throws {
            try await Rig.with {
                $0.maxWatchedWorkflows = 1
            } _: { rig in
                let peer = try await rig.peer()
                let shown = try await peer.start(Rig.gated(id: "shown")).id
                let left = try await peer.start(Rig.gated(id: "left")).id
                try await peer.until(left, is: .started)
                let log = try await WatchLog(
                    peer,
                    WatchProgress(filter: WorkflowFilter(appID: "tests"), untilDone: true, tellLimit: true))
                try await log.until("one has no place") { $0.told.count == 1 && $0.limits == [1] }
                #expect(log.told[shown] != nil)
                rig.gates.succeed(left, "one")
                try await peer.until(left, is: .success)
                rig.gates.succeed(shown, "one")
                try await log.untilEnd()
                #expect(log.end == .some(nil) && log.limits == [1, 0])
            }
        }
    }
}

extension RawPeer {
    fileprivate func list(_ query: ListQuery) async throws -> [WorkflowID] {
        let reply = try await call(.listWorkflows(ListWorkflows(query: query, withCounts: false)))
        guard case .listWorkflows(let list) = reply else { throw Trouble.unexpected(.reply(reply)) }
        return list.page.rows.map(\.id)
    }
}
