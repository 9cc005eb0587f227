import RhythmClient
import RhythmCore
import RhythmWire
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct ClientAgainstPeerTests {
    private func client(_ peer: ScriptedPeer, patience: Duration? = nil, buffered: Int = 1024) throws -> RhythmClient {
        var options = RhythmClient.Options()
        options.timeout = .seconds(20)
        options.patience = patience
        options.bufferedUpdates = buffered
        return try RhythmClient(endpoint: peer.address, options: options)
    }

    /// The error of a call.
    private func failure<T: Sendable>(_ call: () async throws(RhythmError) -> T) async -> RhythmError? {
        do {
            _ = try await call()
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [false, true]) func manyCallsShareOneConnection(dribbles: Bool) async throws {
        let peer = ScriptedPeer { connection, index in
            connection.dribbles = dribbles
            #expect(index == 0)
            var calls: [(UInt64, Request)] = []
            while calls.count < 50, let call = connection.call() { calls.append(call) }
            for (id, request) in calls.reversed() {
                guard case .resolveID(let resolve) = request else { continue }
                connection.send(id, .reply(.resolveID(ResolveReply(workflowIDs: [WorkflowID(resolve.prefix)]))))
            }
            _ = connection.receive()
        }
        let client = try client(peer)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask {
                    let found = try await client.resolve(prefix: "p\(number)")
                    #expect(found == [WorkflowID("p\(number)")])
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func aDeadlineIsKeptWithoutTheServer() async throws {
        let frames = Mutex<[ClientBody]>([])
        let peer = ScriptedPeer { connection, _ in
            while let frame = connection.receive() { frames.withLock { $0.append(frame.body) } }
        }
        let client = try client(peer)
        let start = ContinuousClock.now
        let error = await failure { () async throws(RhythmError) in
            try await client.resolve(prefix: "x", timeout: .milliseconds(200))
        }
        #expect(error?.code == .deadlineExceeded)
        #expect(start.duration(to: .now) < .seconds(5))
        #expect(try await eventually { frames.withLock { $0.last } == .cancel })
    }

    @Test func cancellingATaskReachesTheServer() async throws {
        let frames = Mutex<[ClientBody]>([])
        let peer = ScriptedPeer { connection, _ in
            while let frame = connection.receive() { frames.withLock { $0.append(frame.body) } }
        }
        let client = try client(peer)
        let task = Task { await failure { () async throws(RhythmError) in try await client.pause("w") } }
        #expect(try await eventually { frames.withLock { $0.count } == 1 })
        task.cancel()
        let error = await task.value
        #expect(error?.code == .cancelled)
        #expect(error?.effect == .unknown)
        #expect(try await eventually { frames.withLock { $0.last } == .cancel })
        // A task that is cancelled before it calls gets the same answer and never hangs.
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await failure { () async throws(RhythmError) in try await client.pause("w") }
        }
        #expect(await late.value?.code == .cancelled)
    }

    @Test func aStartIsRepeatedWithItsRequestIDAndADeleteIsNot() async throws {
        let seen = Mutex<[String]>([])
        let peer = ScriptedPeer { connection, index in
            guard let call = connection.call() else { return }
            guard case .startWorkflow(let start) = call.request else { return }
            seen.withLock { $0.append(start.requestID) }
            guard index == 1 else { return }
            let workflow = Workflow(id: "w", spec: start.spec, createdAt: Timestamp(microseconds: 1))
            connection.send(call.id, .reply(.startWorkflow(StartReply(workflow: workflow, replayed: true))))
            // The next call finds the connection cut.
            _ = connection.receive()
        }
        let client = try client(peer)
        let result = try await client.start(StartWorkflow.example.spec)
        #expect(result.replayed)
        let ids = seen.withLock { $0 }
        #expect(ids.count == 2)
        #expect(ids.first == ids.last)
        #expect(ids.first?.count == 36)
        let error = await failure { () async throws(RhythmError) in try await client.delete("w") }
        #expect(error?.code == .unavailable)
        #expect(error?.reason == "CONNECTION_LOST")
        #expect(error?.effect == .unknown)
    }

    /// The server cuts every connection after one event; the versions go on regardless.
    @Test(arguments: [1, 2, 3]) func aWatchGoesOnOverAnyNumberOfConnections(eventsPerConnection: Int) async throws {
        let last: Int64 = 12
        let peer = ScriptedPeer { connection, _ in
            guard let call = connection.call(), case .watchProgress(let watch) = call.request else { return }
            var version = watch.targets.first?.afterVersion ?? 0
            for _ in 0..<eventsPerConnection where version < last {
                if version == 0 {
                    connection.send(call.id, Say.snapshot("w", 1))
                } else {
                    connection.send(call.id, Say.transition("w", version + 1))
                }
                version += 1
            }
            if version == last { connection.send(call.id, .status(nil)) }
        }
        let client = try client(peer)
        var versions: [Int64] = []
        for try await update in client.watch(["w"], options: .init(untilDone: true)) {
            switch update {
            case .snapshot(let snapshot): versions.append(snapshot.summary.version)
            case .transition(let event): versions.append(event.version)
            case .progress, .gap, .deleted, .interrupted, .limited: break
            }
        }
        #expect(versions == Array(1...last))
    }

    @Test func goAwayMovesTheClientToTheNextConnection() async throws {
        let peer = ScriptedPeer { connection, index in
            guard let call = connection.call() else { return }
            if index == 0 {
                connection.send(0, Say.goAway(call.id))
                connection.send(call.id, .reply(.resolveID(ResolveReply(workflowIDs: ["first"]))))
                // The client is the one to hang up.
                #expect(connection.receive() == nil)
            } else {
                connection.send(call.id, .reply(.resolveID(ResolveReply(workflowIDs: ["second"]))))
                _ = connection.receive()
            }
        }
        let client = try client(peer)
        #expect(try await client.resolve(prefix: "x") == ["first"])
        #expect(try await client.resolve(prefix: "x") == ["second"])
    }

    @Test func nobodyThereIsSaidWithTheAddress() async throws {
        var options = RhythmClient.Options()
        options.patience = .zero
        let client = try RhythmClient(endpoint: "127.0.0.1:1", options: options)
        let error = await failure { () async throws(RhythmError) in try await client.serverInfo() }
        #expect(error?.code == .unavailable)
        #expect(error?.reason == "UNREACHABLE")
        #expect(error?.message.contains("127.0.0.1:1") == true)
        #expect(error?.effect == RhythmError.Effect.none)
    }

    @Test func somethingElseThatListensIsNoServer() async throws {
        let peer = ScriptedPeer { connection, _ in
            connection.write(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
            _ = connection.receive()
        }
        let client = try client(peer, patience: .zero)
        let error = await failure { () async throws(RhythmError) in try await client.serverInfo() }
        #expect(error?.reason == "UNREACHABLE")
    }

    @Test func aCallThatComesBeforeTheServerWaitsForIt() async throws {
        let peer = ScriptedPeer { connection, index in
            // The first two connections are cut before the hello is answered.
            guard index >= 2, let call = connection.call() else { return }
            connection.send(call.id, .reply(.resolveID(ResolveReply(workflowIDs: ["w"]))))
            _ = connection.receive()
        }
        let client = try client(peer)
        #expect(try await client.resolve(prefix: "x") == ["w"])
    }

    @Test func aSlowReaderDelaysNobodyAndLosesNothing() async throws {
        let last: Int64 = 3000
        let parked = Atomic<Int>(0)
        let peer = ScriptedPeer { connection, _ in
            var watch: (id: UInt64, version: Int64)?
            while true {
                // A third is sent at once; the rest when the client has asked to stop and to go on.
                let mayGoOn = (watch?.version ?? 0) < last / 3 || parked.load(ordering: .relaxed) > 0
                if let (id, version) = watch, mayGoOn, !connection.hasFrame(within: 0) {
                    if version >= last {
                        connection.send(id, .status(nil))
                        watch = nil
                        continue
                    }
                    connection.send(id, version == 0 ? Say.snapshot("w", 1) : Say.transition("w", version + 1))
                    watch = (id, version + 1)
                    continue
                }
                guard let frame = connection.receive() else { return }
                switch frame.body {
                case .call(.watchProgress(let request)):
                    watch = (frame.callID, request.targets.first?.afterVersion ?? 0)
                case .call: connection.send(frame.callID, Say.resolved)
                case .cancel where frame.callID == watch?.id:
                    parked.add(1, ordering: .relaxed)
                    watch = nil
                case .cancel, .hello, .ping, .pong: break
                }
            }
        }
        let client = try client(peer, buffered: 8)
        let updates = client.watch(["w"], options: .init(untilDone: true))
        // Nobody reads, so the stream is parked; other calls are answered all the same.
        #expect(try await eventually { parked.load(ordering: .relaxed) == 1 })
        #expect(try await client.resolve(prefix: "x") == ["x"])
        var versions: [Int64] = []
        for try await update in updates {
            switch update {
            case .snapshot(let snapshot): versions.append(snapshot.summary.version)
            case .transition(let event): versions.append(event.version)
            case .progress, .gap, .deleted, .interrupted, .limited: break
            }
        }
        #expect(versions == Array(1...last))
    }

    @Test func leavingTheLoopEndsTheCall() async throws {
        let cancelled = Atomic<Bool>(false)
        let peer = ScriptedPeer { connection, _ in
            guard let call = connection.call() else { return }
            connection.send(call.id, Say.snapshot("w", 1))
            while let frame = connection.receive() {
                if frame.callID == call.id, frame.body == .cancel { cancelled.store(true, ordering: .releasing) }
            }
        }
        let client = try client(peer)
        for try await _ in client.watch(["w"]) { break }
        #expect(try await eventually { cancelled.load(ordering: .acquiring) })
    }

    @Test func droppingTheClientEndsItsCalls() async throws {
        let hungUp = Atomic<Bool>(false)
        let peer = ScriptedPeer { connection, _ in
            guard let call = connection.call() else { return }
            connection.send(call.id, Say.resolved)
            if connection.receive() == nil { hungUp.store(true, ordering: .releasing) }
        }
        do {
            let client = try client(peer)
            _ = try await client.resolve(prefix: "x")
        }
        #expect(try await eventually { hungUp.load(ordering: .acquiring) })
    }

    @Test func anAnswerThatCannotBeReadFailsItsCallAlone() async throws {
        let peer = ScriptedPeer { connection, _ in
            guard let first = connection.call() else { return }
            // Field 20 (a start reply) with bytes that are no message.
            connection.write([0, 0, 0, 7, 0x08, UInt8(first.id), 0xA2, 0x01, 0x02, 0xFF, 0xFF])
            guard let second = connection.call() else { return }
            connection.send(second.id, Say.resolved)
            _ = connection.receive()
        }
        let client = try client(peer)
        let error = await failure { () async throws(RhythmError) in try await client.serverInfo() }
        #expect(error?.reason == "BAD_ANSWER")
        #expect(try await client.resolve(prefix: "x") == ["x"])
    }

    /// One that nobody listens on, one that accepts and says nothing, and one that works.
    @Test func theOneThatWorksIsFound() async throws {
        let silent = ScriptedPeer { connection, _ in _ = connection.hasFrame(within: 10_000) && connection.stayAway() }
        let peer = ScriptedPeer { connection, _ in
            while let call = connection.call() { connection.send(call.id, Say.resolved) }
        }
        var options = RhythmClient.Options()
        options.patience = .zero
        let client = try RhythmClient(endpoint: "127.0.0.1:1, \(silent.address),\(peer.address)", options: options)
        let start = ContinuousClock.now
        #expect(try await client.resolve(prefix: "x") == ["x"])
        #expect(start.duration(to: .now) < .seconds(4), "a silent one is left after two seconds")
        #expect(client.endpoint == peer.address)
        #expect(client.endpoints == ["127.0.0.1:1", silent.address, peer.address])
    }

    @Test func badAddressesAreRefused() {
        #expect(throws: RhythmError.self) { try RhythmClient(endpoints: []) }
        for text in ["", "host", "host:", "host:99999", "unix:", ":1", "a:1,", ",a:1", "a:1,b", "a:1 b:2"] {
            #expect(throws: RhythmError.self) { try RhythmClient(endpoint: text) }
        }
    }
}

/// Waits until something holds, for at most 20 seconds.
func eventually(_ condition: () -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
        if condition() { return true }
        try await Task.sleep(for: .milliseconds(2))
    }
    return condition()
}
