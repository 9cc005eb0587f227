import Foundation
import Glibc
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A server that is cut off from the database or from the broker, while others go on.
@Suite(.showsServerLog, .serialized, .timeLimit(.minutes(4))) struct CutOffTests {
    /// Two servers on one store; the first one reaches database and broker through proxies.
    private func with(
        lease: Int = 4, options: [String] = [],
        _ body: (FleetWorld, ServerProcess, ServerProcess, _ database: LinkProxy, _ broker: LinkProxy) async throws
            ->
            Void
    ) async throws {
        let world = try await FleetWorld.shared
        let database = try LinkProxy(to: world.databasePort)
        let broker = try LinkProxy(to: world.brokerPort)
        defer {
            database.stop()
            broker.stop()
        }
        let name = "cutoff\(UInt32.random(in: 0 ... .max))"
        var near = world.environment(database: name)
        var far = world.environment(database: name, databasePort: database.port, brokerPort: broker.port)
        near["RHYTHM_LEASE"] = "\(lease)"
        far["RHYTHM_LEASE"] = "\(lease)"
        try await ServerProcess.with(options: options + ["--metrics", "127.0.0.1:0"], environment: far) { first in
            try await ServerProcess.with(environment: near) { second in
                try await body(world, first, second, database, broker)
            }
        }
    }

    @Test("cut off from the database: not ready within seconds, no read is older than the truth, and well soon after")
    func databaseCut() async throws {
        try await with { world, first, second, database, _ in
            let (client, other) = (try first.client(), try second.client())
            let id = try await client.start(FleetWorld.spec(steps: 2, task: "hold")).workflow.id
            let running = try await client.wait(for: id) { $0.steps[0].current?.status == .started }
            let watch = Task {
                var interruptions = 0
                for try await update in client.watch([id], after: [id: 0]) {
                    if case .interrupted(let error) = update, error.reason == "STALE" { interruptions += 1 }
                    if interruptions > 0 { return interruptions }
                }
                return interruptions
            }
            #expect(try await first.readiness().status == 200)
            database.fail(.cut)
            let cutAt = ContinuousClock.now
            let unready = try await first.waitForReadiness(503)
            #expect(cutAt.duration(to: .now) < .seconds(8), "it is not ready any more")
            #expect(unready.text.contains("the store"), "\(unready.text)")
            _ = try await other.cancel(id)
            // From the first unready moment on, nothing old is told.
            try await waitUntil("reads are refused", seconds: 20) {
                await first.readFails(id, with: "STALE")
            }
            for _ in 0..<20 {
                let error = await #expect(throws: RhythmError.self) {
                    _ = try await client.status(id, timeout: .seconds(3))
                }
                #expect(error?.reason == "STALE" && error?.code == .unavailable)
            }
            #expect(try await watch.value > 0, "the watch does not pass off silence as the truth")
            // Commands say at once that nothing of them has happened.
            for _ in 0..<5 {
                let begun = ContinuousClock.now
                let error = await #expect(throws: RhythmError.self) {
                    _ = try await client.pause(id, timeout: .seconds(8))
                }
                #expect(error?.reason == "STORE_UNAVAILABLE" && error?.effect == RhythmError.Effect.none)
                #expect(begun.duration(to: .now) < .seconds(3))
            }
            let health = try await client.serverInfo()
            #expect(!health.isServing)
            try await waitUntil("its lease has run out, and it says so", seconds: 15) {
                try await client.serverInfo().isFollowing == false
            }
            database.heal()
            let healedAt = ContinuousClock.now
            _ = try await first.waitForReadiness(200)
            #expect(try await client.status(id).control == .cancelled)
            #expect(healedAt.duration(to: .now) < .seconds(6), "\(healedAt.duration(to: .now))")
            world.marks.openGate(of: try #require(running.steps[0].current?.id))
        }
    }

    @Test("connections that are dead while new ones are good cost seconds")
    func halfOpen() async throws {
        try await with { world, first, _, database, _ in
            let client = try first.client()
            let id = try await client.start(FleetWorld.spec(steps: 1)).workflow.id
            #expect(try await client.waitUntilDone(id).status == .success)
            database.fail(.halfOpen)
            let begun = ContinuousClock.now
            try await waitUntil("it works again", seconds: 40) {
                (try? await client.start(FleetWorld.spec(steps: 1), timeout: .seconds(20))) != nil
            }
            #expect(begun.duration(to: .now) < .seconds(15), "\(begun.duration(to: .now))")
            _ = try await first.waitForReadiness(200)
        }
    }

    @Test("cut off from the broker: what others do is read from the store, and work is handed over")
    func brokerCut() async throws {
        try await with(lease: 3) { world, first, second, _, broker in
            let (client, other) = (try first.client(), try second.client())
            let held = try await client.start(FleetWorld.spec(steps: 2, task: "hold")).workflow.id
            let paused = try await client.start(FleetWorld.spec(steps: 1, task: "hold")).workflow.id
            for id in [held, paused] { _ = try await client.wait(for: id) { $0.steps[0].current?.status == .started } }
            broker.fail(.cut)
            let unready = try await first.waitForReadiness(503)
            #expect(unready.text.contains("the broker cannot be reached"), "\(unready.text)")
            #expect(try await other.pause(paused).receipt.accepted)
            #expect(
                try await client.status(paused).status == .revoked, "what is acknowledged there is told here at once")
            // New work is stored, and left at once to who can do it.
            let begun = ContinuousClock.now
            let fresh = try await client.start(FleetWorld.spec(steps: 2)).workflow.id
            #expect(try await other.wait(for: fresh, seconds: 80) { $0.status.isDone }.status == .success)
            let took = begun.duration(to: .now)
            print("given to a server without a broker, it was done after \(took)")
            #expect(took < .seconds(10), "nothing had to be lost first")
            let workflow = try await other.status(held)
            for step in 0..<2 {
                let running = try await other.wait(for: held, seconds: 40) {
                    $0.steps[step].current?.status == .started
                }
                world.marks.openGate(of: try #require(running.steps[step].current?.id))
            }
            #expect(try await other.wait(for: held, seconds: 30) { $0.status.isDone }.status == .success)
            #expect(try await client.status(held).status == .success)
            #expect(workflow.steps[0].attempts.count == 1)
            broker.heal()
            _ = try await first.waitForReadiness(200)
            let last = try await client.start(FleetWorld.spec(steps: 1)).workflow.id
            #expect(try await client.waitUntilDone(last).status == .success)
            for id in [held, fresh] {
                let done = try await client.status(id, previousAttempts: true)
                for step in done.steps {
                    if id == fresh { #expect(step.attempts.count == 1) }
                    for attempt in step.attempts {
                        #expect(world.marks.runs(of: attempt.id) == (attempt.status == .success ? 1 : 0))
                    }
                    #expect(step.attempts.count { $0.status == .success } == 1)
                }
            }
        }
    }

    /// The other direction of the test before: not the one that is cut off has to be trusted, but what the others tell.
    @Test("cut off from the broker: what it acknowledges is told by the others at once, and nobody's watch misses it")
    func untold() async throws {
        try await with(lease: 3) { world, first, second, _, broker in
            let (client, other) = (try first.client(), try second.client())
            let id = try await client.start(FleetWorld.spec(steps: 2, task: "hold")).workflow.id
            _ = try await other.wait(for: id) { $0.steps[0].current?.status == .started }
            let version = try await other.status(id).version
            let versions = Task {
                var versions: [Int64] = []
                for try await update in other.watch([id], after: [id: version]) {
                    guard case .transition(let event) = update else { continue }
                    versions.append(event.version)
                    if event.kind == .paused { break }
                }
                return versions
            }
            broker.fail(.cut)
            let unready = try await first.waitForReadiness(503)
            try await waitUntil("it knows that nobody hears it", seconds: 10) {
                try await first.readiness().text.contains("other servers do not hear what this one does")
            }
            #expect(unready.status == 503)
            // The others have looked at its lease after a third of their own.
            try await Task.sleep(for: .seconds(1.5))
            let paused = try await client.pause(id)
            #expect(paused.receipt.accepted)
            for _ in 0..<10 { #expect(try await other.status(id).version >= paused.receipt.version) }
            #expect(try await other.serverInfo().isServing, "it is not to blame")
            #expect(try await versions.value == Array(version + 1...paused.receipt.version))
            broker.heal()
            _ = try await first.waitForReadiness(200)
            world.marks.openGate(of: try #require(paused.receipt.revokedStep?.taskID))
        }
    }

    @Test("a server that dies with its last news untold: a watch on another one ends all the same")
    func diesUntold() async throws {
        try await with(lease: 3) { _, first, second, _, broker in
            let (client, other) = (try first.client(), try second.client())
            // It waits for its next attempt, so that after the pause nothing more happens to it.
            var spec = try FleetWorld.spec(steps: 1, task: "fail")
            spec.steps[0].retry = RetryPolicy(maxAttempts: 2, backoff: .seconds(300))
            let id = try await client.start(spec).workflow.id
            _ = try await other.wait(for: id) { $0.steps[0].attempts.first?.status == .failure }
            let watch = Task {
                var last: WorkflowStatus?
                for try await update in other.watch([id], options: .init(untilDone: true)) {
                    if case .transition(let event) = update { last = event.status }
                }
                return last
            }
            try await waitUntil("it is watched", seconds: 10) { try await other.serverInfo().watches == 1 }
            // Nothing arrives any more, and nobody is told: what is stored now is told to nobody.
            broker.fail(.silent)
            #expect(try await client.pause(id).receipt.accepted)
            try await first.killNow()
            #expect(try await watch.value == .revoked)
        }
    }

    @Test("a server that was told to leave its work to others is not ready until it may work again")
    func drained() async throws {
        try await with(lease: 3) { _, first, _, _, _ in
            let client = try first.client()
            _ = try await first.waitForReadiness(200)
            #expect(try await client.drain().isDraining)
            let drained = try await first.readiness()
            #expect(drained.status == 503 && drained.text.contains("told to leave its work to others"))
            _ = try await client.drain(undo: true)
            #expect(try await first.readiness().status == 200)
        }
    }

    @Test("with --stale-reads allow reads are answered from memory, and the server says what they are worth")
    func staleReadsAllowed() async throws {
        try await with(options: ["--stale-reads", "allow"]) { _, first, second, database, _ in
            let (client, other) = (try first.client(), try second.client())
            let id = try await client.start(FleetWorld.spec(steps: 1, task: "hold")).workflow.id
            _ = try await client.wait(for: id) { $0.steps[0].current?.status == .started }
            database.fail(.cut)
            try await waitUntil("its lease has run out", seconds: 20) {
                try await client.serverInfo().isFollowing == false
            }
            // The other one takes it over, and says so to the first one, which lets go of it.
            try await waitUntil("the other follows it", seconds: 30) {
                try await other.statusWithFollower(id).follower?.isAnswering == true
            }
            _ = try await other.pause(id)
            try await waitUntil("the first one has let go of it", seconds: 20) {
                try await client.serverInfo().followedWorkflows == 0
            }
            let remembered = try await client.statusWithFollower(id, timeout: .seconds(15))
            #expect(remembered.workflow.status == .started)
            #expect(try #require(remembered.staleness) > .seconds(4), "as old as its last sign of life")
            database.heal()
            try await waitUntil("it tells the truth again", seconds: 20) {
                let found = try await client.statusWithFollower(id, timeout: .seconds(15))
                return found.workflow.status == .revoked && found.staleness == nil
            }
        }
    }

    @Test("health and readiness over HTTP: before the store is there, in text and JSON, and when it stops")
    func overHTTP() async throws {
        let database = try MongoServer(.standalone)
        database.kill()
        let link = try LinkProxy(to: database.port)
        defer { link.stop() }
        try await TestPlace.with { place in
            let server = ServerProcess(
                place, options: ["--metrics", "127.0.0.1:0", "--drain-grace", "20"],
                environment: ["RHYTHM_STORE": "mongodb://127.0.0.1:\(link.port)/http"])
            try server.spawn()
            try await place.wait("it waits for the store", seconds: 20) {
                server.logText.contains("waiting for it")
            }
            #expect(try await server.http("healthz").status == 200)
            let waiting = try await server.readiness()
            #expect(waiting.status == 503 && waiting.text.contains("the store is away"))
            let json = try await server.http("readyz", accept: "application/json")
            let value = try JSON(parsing: json.text).value
            #expect(json.status == 503 && value["ready"] == .bool(false))
            #expect(value["reasons"]?.arrayValue?.count == 1 && value["health"]?.stringValue == "not serving")
            try database.start()
            try await server.waitUntilReady()
            let ready = try await server.readiness()
            #expect(ready.status == 200 && ready.text == "ready\n")
            #expect(try await server.http("nothing").status == 404)
            // A call that stays open keeps it draining for a while.
            let client = try server.client()
            let spec = WorkflowSpec(name: "w", appID: "a", steps: [StepSpec(name: "s", task: "none")])
            let id = try await client.start(spec).workflow.id
            _ = try await client.wait(for: id) { $0.status.isDone }
            link.fail(.silent)
            let open = Task { try await client.status(id, current: true, timeout: .seconds(20)) }
            try await waitUntil("the call is open", seconds: 10) { try await client.serverInfo().calls >= 2 }
            try #require(server.child).signal(SIGTERM)
            try await waitUntil("it drains, and says so", seconds: 10) {
                let draining = try await server.readiness()
                return draining.status == 503 && draining.text.contains("the server is shutting down")
            }
            #expect(try await server.http("healthz").status == 200, "it lives")
            link.heal()
            #expect(try await open.value.status.isDone)
            #expect(try await server.child?.end(within: 30) == .exited(0))
        }
    }
}

extension ServerProcess {
    /// What is answered to a GET at the port of the metrics.
    fileprivate func http(_ path: String, accept: String = "*/*") async throws -> (status: Int, text: String) {
        let marker = "url=http://"
        let line = try #require(logText.split(separator: "\n").last { $0.contains(marker) })
        let rest = try #require(line.range(of: marker)).upperBound
        let address = line[rest...].prefix { $0 != "/" }
        var request = URLRequest(url: try #require(URL(string: "http://\(address)/\(path)")))
        request.setValue(accept, forHTTPHeaderField: "Accept")
        request.timeoutInterval = 5
        let (data, response) = try await URLSession.shared.data(for: request)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
    }

    fileprivate func readiness() async throws -> (status: Int, text: String) { try await http("readyz") }

    @discardableResult
    fileprivate func waitForReadiness(_ status: Int) async throws -> (status: Int, text: String) {
        var last = try await readiness()
        try await waitUntil("/readyz answers \(status)", seconds: 20) {
            last = try await readiness()
            return last.status == status
        }
        return last
    }

    fileprivate func readFails(_ id: WorkflowID, with reason: String) async -> Bool {
        do {
            _ = try await client().status(id, timeout: .seconds(3))
            return false
        } catch let error as RhythmError {
            return error.reason == reason
        } catch {
            return false
        }
    }
}
