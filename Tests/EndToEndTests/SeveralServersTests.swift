import Foundation
import Glibc
import RhythmClient
import RhythmCore
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

/// What callers and watchers see that were given the addresses of several servers, and what operators do with these.
@Suite(.showsServerLog, .serialized, .timeLimit(.minutes(4))) struct SeveralServersTests {
    /// One caller's view: how long it had to wait for an answer, and what went wrong.
    private final class Sighting: Sendable {
        private struct State {
            var longest: [String: Duration] = [:]
            var errors: [RhythmError] = []
            var answers = 0
        }
        private let state = Mutex(State())
        let phase = Mutex("before")

        func answered(after duration: Duration) {
            let phase = phase.withLock { $0 }
            state.withLock {
                $0.answers += 1
                $0.longest[phase] = max($0.longest[phase] ?? .zero, duration)
            }
        }
        func failed(_ error: RhythmError) { state.withLock { $0.errors.append(error) } }
        var longest: [String: Duration] { state.withLock { $0.longest } }
        var errors: [RhythmError] { state.withLock { $0.errors } }
        var answers: Int { state.withLock { $0.answers } }
    }

    @Test("servers are restarted, killed and stopped for a while: callers get answers, watchers every transition once")
    func serversComeAndGo() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 3) { servers in
            let endpoints = try servers.map { try #require($0.endpoint) }
            func client(_ first: Int) throws -> RhythmClient {
                try RhythmClient(endpoints: (0..<3).map { endpoints[(first + $0) % 3] })
            }
            let starter = try client(0)
            var ids: [WorkflowID] = []
            for _ in 0..<3 {
                let spec = try FleetWorld.spec(steps: 14, task: "sleep", kwargs: #"{"seconds":0.7}"#)
                ids.append(try await starter.start(spec).workflow.id)
            }
            let watchers = try ids.enumerated().map { index, id in
                let client = try client(index)
                return Task {
                    var versions: [Int64] = []
                    for try await update in client.watch([id], after: [id: 0], options: .init(untilDone: true)) {
                        switch update {
                        case .transition(let event): versions.append(event.version)
                        case .gap, .snapshot, .deleted: Issue.record("\(update)")
                        case .progress, .interrupted, .limited: break
                        }
                    }
                    return versions
                }
            }
            let sighting = Sighting()
            let callers = try (0..<3).map { index in
                let (client, id) = (try client(index), ids[index])
                return Task {
                    var seen: Int64 = 0
                    while !Task.isCancelled {
                        let begun = ContinuousClock.now
                        do throws(RhythmError) {
                            let version = try await client.status(id, omitResults: true).version
                            #expect(version >= seen, "it was shown something older than it had seen")
                            seen = max(seen, version)
                            sighting.answered(after: begun.duration(to: .now))
                        } catch  where error.code != .cancelled {
                            sighting.failed(error)
                        } catch {}
                        try? await Task.sleep(for: .milliseconds(20))
                    }
                }
            }
            sighting.phase.withLock { $0 = "rolling restart" }
            for server in servers {
                try await server.stop()
                try await server.start()
            }
            sighting.phase.withLock { $0 = "kill -9" }
            try await servers[0].killNow()
            try await servers[0].start()
            sighting.phase.withLock { $0 = "SIGSTOP for 5 s" }
            let frozen = try #require(servers[1].child)
            frozen.signal(SIGSTOP)
            try await Task.sleep(for: .seconds(5))
            frozen.signal(SIGCONT)
            for (id, watcher) in zip(ids, watchers) {
                let seen = try await watcher.value
                let workflow = try await starter.status(id, previousAttempts: true, current: true)
                #expect(workflow.status == .success)
                #expect(seen == Array(1...workflow.version), "every transition once and in order")
                // What a server was killed with before it was sent is lost before it began, and sent again.
                for attempt in workflow.steps.flatMap(\.attempts) {
                    #expect(world.marks.runs(of: attempt.id) == (attempt.status == .success ? 1 : 0))
                }
            }
            for caller in callers {
                caller.cancel()
                await caller.value
            }
            #expect(sighting.errors.isEmpty, "\(sighting.errors)")
            #expect(sighting.answers > 100)
            let longest = sighting.longest.sorted { $0.key < $1.key }
            print("the longest wait for an answer:", longest.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
            #expect(longest.allSatisfy { $0.value < .seconds(9) }, "a frozen server is left after some seconds")
        }
    }

    @Test("operators see the servers of a store, what follows what, and hand it over")
    func operators() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 2, lease: 3) { servers in
            let (first, second) = (try servers[0].client(), try servers[1].client())
            let id = try await first.start(FleetWorld.spec(steps: 2, task: "hold")).workflow.id
            let running = try await second.wait(for: id) { $0.steps[0].current?.status == .started }
            let (own, other) = (try await first.serverInfo(), try await second.serverInfo())
            #expect(own.storeID == other.storeID && !own.storeID.isEmpty && own.serverID != other.serverID)

            let listed = try await second.servers()
            #expect(listed.map(\.id) == [other.serverID, own.serverID])
            #expect(listed.map(\.followed) == [0, 1])
            #expect(listed.map(\.isAnswering) == [true, false])
            #expect(listed[1].addresses.first == servers[0].endpoint && listed[1].lease == .seconds(3))
            #expect(listed.allSatisfy { $0.differences.isEmpty && !$0.isGone && $0.version == own.version })
            let follower = try await second.statusWithFollower(id).follower
            #expect(follower?.serverID == own.serverID && follower?.addresses.first == servers[0].endpoint)

            let begun = ContinuousClock.now
            #expect(try await first.drain().isDraining)
            #expect(try await first.servers().first?.isDraining == true, "it says so itself")
            while try await first.drain().followed > 0, begun.duration(to: .now) < .seconds(20) {
                try await Task.sleep(for: .milliseconds(50))
            }
            try await waitUntil("the other follows it", seconds: 20) {
                try await second.statusWithFollower(id).follower?.serverID == other.serverID
            }
            print("handed over after \(begun.duration(to: .now))")
            // It answers, and what is given to it is the other's to do.
            let given = try await first.start(FleetWorld.spec(steps: 1)).workflow.id
            #expect(try await first.waitUntilDone(given).status == .success)
            #expect(try await first.serverInfo().followedWorkflows == 0)
            #expect(try await second.servers().first { $0.id == own.serverID }?.isDraining == true)
            world.marks.openGate(of: try #require(running.steps[0].current?.id))
            let next = try await first.wait(for: id) { $0.steps[1].current?.status == .started }
            world.marks.openGate(of: try #require(next.steps[1].current?.id))
            let done = try await first.waitUntilDone(id)
            #expect(done.status == .success)
            for attempt in done.steps.flatMap(\.attempts) { #expect(world.marks.runs(of: attempt.id) == 1) }
            #expect(try await first.drain(undo: true).isDraining == false)
        }
    }

    @Test("a server that comes back is given its share of what others follow; nothing runs twice, and nothing is lost")
    func sharesBecomeEven() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 2, lease: 3) { servers in
            let first = try servers[0].client()
            try await servers[1].stop()
            var ids: [WorkflowID] = []
            for _ in 0..<30 { ids.append(try await first.start(FleetWorld.spec(steps: 2, task: "hold")).workflow.id) }
            // Some run, the others wait in the queue behind them.
            for id in ids {
                _ = try await first.wait(for: id) { $0.steps[0].current?.queuedAt != nil }
            }
            #expect(try await first.serverInfo().followedWorkflows == 30)
            try await servers[1].start()
            let begun = ContinuousClock.now
            try await waitUntil("each follows its share", seconds: 60) {
                let followed = try await first.servers().map(\.followed)
                return followed.count == 2 && followed.reduce(0, +) == 30 && followed.allSatisfy { $0 >= 8 }
            }
            print("even after \(begun.duration(to: .now)): \(try await first.servers().map(\.followed))")
            for step in 0..<2 {
                for id in ids {
                    let workflow = try await first.wait(for: id, seconds: 60) { $0.steps[step].current != nil }
                    world.marks.openGate(of: try #require(workflow.steps[step].current?.id))
                }
            }
            for id in ids {
                let done = try await first.waitUntilDone(id)
                let attempts = done.steps.flatMap(\.attempts)
                #expect(done.status == .success && attempts.count == 2)
                for attempt in attempts { #expect(world.marks.runs(of: attempt.id) == 1) }
                let last = try await first.status(id, previousAttempts: true, current: true)
                #expect(last.steps.allSatisfy { $0.attempts.count == 1 }, "nothing was taken for lost")
            }
        }
    }

    @Test("a drain that somebody else takes back is not asked for again")
    func drainTakenBack() async throws {
        let world = try await FleetWorld.shared
        // Alone, so that nobody takes over and the command waits.
        try await world.with(servers: 1) { servers in
            let client = try servers[0].client()
            let id = try await client.start(FleetWorld.spec(steps: 1, task: "hold")).workflow.id
            let running = try await client.wait(for: id) { $0.steps[0].current?.status == .started }
            let address = servers[0].endpoint
            async let drained = CLIProgram.rhythm(["server", "drain", "--timeout", "20s"], server: address)
            try await waitUntil("it drains", seconds: 10) { try await client.serverInfo().isDraining }
            #expect(try await client.drain(undo: true).isDraining == false)
            let outcome = try await drained
            #expect(outcome.status == 6 && outcome.err.contains("let work again by somebody else"), "\(outcome)")
            #expect(try await client.serverInfo().isDraining == false)
            world.marks.openGate(of: try #require(running.steps[0].current?.id))
            #expect(try await client.waitUntilDone(id).status == .success)
        }
    }

    @Test("a record that somebody damaged keeps no filter watch from the others")
    func damagedRecord() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 2) { servers in
            let (client, other) = (try servers[0].client(), try servers[1].client())
            var ids: [WorkflowID] = []
            for _ in 0..<3 {
                ids.append(try await client.start(FleetWorld.spec(steps: 1, task: "hold")).workflow.id)
            }
            var running: [Workflow] = []
            for id in ids { running.append(try await client.wait(for: id) { $0.steps[0].current?.status == .started }) }
            let address = try #require(servers[0].environment["RHYTHM_STORE"])
            try MongoPool(uri: address).update(
                "rhythm_workflows", filter: ["_id": .string(ids[0].rawValue)], update: ["$set": ["fixed": true]])
            let seen = Mutex<Set<WorkflowID>>([])
            let watch = Task {
                for try await update in other.watch(WorkflowFilter(appID: "fleet")) {
                    if case .snapshot(let snapshot) = update { seen.withLock { _ = $0.insert(snapshot.summary.id) } }
                }
            }
            try await waitUntil("the others are seen", seconds: 20) {
                seen.withLock { $0 == Set(ids.dropFirst()) }
            }
            watch.cancel()
            for workflow in running { world.marks.openGate(of: try #require(workflow.steps[0].current?.id)) }
        }
    }

    @Test("settings that do harm together are refused; others are told by all servers")
    func settingsThatDiffer() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 1) { servers in
            let server = servers[0]
            try await TestPlace.with { place in
                let twin = ServerProcess(
                    place, options: ["--bare-task", "*", "--default-queue", "other"], environment: server.environment)
                try twin.spawn()
                #expect(try await twin.child?.end(within: 30) == .exited(1))
                #expect(
                    twin.logText.contains("another setting of bare_tasks")
                        && twin.logText.contains("--different-settings"),
                    "\(twin.logText)")
                twin.options += ["--different-settings", "allow"]
                try await twin.start()
                for (asked, theirs) in [(try server.client(), "other"), (try twin.client(), "celery")] {
                    let listed = try await asked.servers()
                    let differences = listed.last?.differences ?? []
                    #expect(differences.map(\.name) == ["bare_tasks", "default_queue"], "\(listed)")
                    #expect(differences.last?.theirs == theirs)
                    let found = try await asked.diagnose().filter { $0.code == "settings_differ" }
                    #expect(found.count == 2 && found.first?.severity == .error, "\(found)")
                }
                try await waitUntil("both logs tell", seconds: 40) {
                    [server, twin].allSatisfy {
                        $0.logText.contains("another server of this store has another setting")
                    }
                }
                try await twin.stop()
            }
        }
    }
}
