import RhythmClient
import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Connections and watches that have lived long enough.
    @Suite(.timeLimit(.minutes(2))) struct AgeTests {
        @Test func connectionsGoOneByOneAndTellWhy() async throws {
            try await Rig.with {
                $0.maxConnectionAge = .seconds(1)
                // So it looks after its connections often.
                $0.bookmarkInterval = .milliseconds(40)
            } _: { rig in
                let server = try #require(rig.server)
                func aged() async -> UInt64 { await server.stats()["connections_aged_total"] ?? 0 }
                var peers: [RawPeer] = []
                let began = ContinuousClock.now
                for _ in 0..<24 { peers.append(try await rig.peer()) }
                let connected = began.duration(to: .now)
                try await eventually("the first goes") { await aged() > 0 }
                let first = began.duration(to: .now)
                try await eventually("all have gone") { await aged() == 24 }
                let last = began.duration(to: .now)
                #expect(first > .milliseconds(880) && last < .seconds(5), "\(first) to \(last)")
                #expect(last - first > .milliseconds(60), "all at once, connected within \(connected)")
                for peer in peers {
                    guard case .goAway(let goAway)? = try await peer.untilClosed().first?.body else {
                        Issue.record("no GoAway")
                        return
                    }
                    #expect(goAway.reason == "CONNECTION_AGE" && goAway.graceMilliseconds == 5000)
                }
            }
        }

        @Test func whatIsOpenStillFinishes() async throws {
            try await Rig.with {
                $0.maxConnectionAge = .milliseconds(300)
            } _: { rig in
                let peer = try await rig.peer()
                rig.faults.holdReads()
                let list = try await peer.begin(.listWorkflows(ListWorkflows(query: ListQuery())))
                guard case .goAway(let goAway) = try await peer.next().body else { return }
                #expect(goAway.lastCallID == list)
                let refused = try await peer.failure(of: try await peer.begin(.getServerInfo))
                #expect(refused.code == .unavailable && refused.effect == RhythmError.Effect.none)
                rig.faults.releaseReads()
                guard case .listWorkflows = try await peer.reply(of: list) else { return }
                #expect(try await peer.untilClosed().isEmpty)
            }
        }

        @Test func whatDoesNotFinishIsCutOff() async throws {
            try await Rig.with {
                $0.maxConnectionAge = .milliseconds(300)
                $0.ageGrace = .milliseconds(300)
            } _: { rig in
                let peer = try await rig.peer()
                rig.faults.holdReads()
                defer { rig.faults.releaseReads() }
                try await peer.begin(.listWorkflows(ListWorkflows(query: ListQuery())))
                #expect(try await peer.untilClosed(within: .seconds(10)).count == 1)
            }
        }

        @Test func anOldWatchEndsAndIsResumed() async throws {
            try await Rig.with {
                $0.maxWatchAge = .milliseconds(300)
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                let first = try await WatchLog(peer, id)
                try await first.untilEnd()
                #expect(first.end??.code == .unavailable && first.end??.reason == "WATCH_AGE")
                #expect(first.end??.effect == RhythmError.Effect.none && first.end??.retryAfter == nil)
                let second = try await WatchLog(peer, id, after: first[id].lastVersion)
                rig.gates.succeed(id, "one")
                try await second.untilStatus(id, .success)
                #expect(second[id].snapshots.isEmpty && second[id].gaps.isEmpty)
                #expect(try await peer.stats()["watches_aged_total"] == 1)
            }
        }

        /// Connections and watches come and go all the time, and whoever uses the client notices nothing of it.
        @Test func theClientGoesOnOverManyAges() async throws {
            try await Rig.with {
                $0.maxConnectionAge = .milliseconds(250)
                $0.maxWatchAge = .milliseconds(150)
            } _: { rig in
                let steps = (0..<6).map { "s\($0)" }
                let client = try RhythmClient(endpoint: rig.tcp.description)
                let id = try await client.start(Rig.gated(steps)).workflow.id
                let watched = Task {
                    var versions: [Int64] = []
                    for try await update in client.watch([id], after: [id: 0], options: .init(untilDone: true)) {
                        if case .transition(let event) = update { versions.append(event.version) }
                    }
                    return versions
                }
                for step in steps {
                    let aged = await rig.server?.stats()["connections_aged_total"] ?? 0
                    try await eventually("another connection has aged") {
                        _ = try await client.status(id)
                        return await rig.server?.stats()["connections_aged_total"] ?? 0 > aged
                    }
                    rig.gates.succeed(id, step)
                }
                let versions = try await watched.value
                #expect(versions == Array(1...(try await client.status(id).version)), "each once, in order")
            }
        }
    }
}
