import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// A server that goes.
    @Suite struct DrainTests {
        @Test func watchesEndAtOnceAndCanResume() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                var logs: [WatchLog] = []
                for _ in 0..<10 {
                    let watcher = try await rig.peer()
                    for _ in 0..<100 { logs.append(try await WatchLog(watcher, id)) }
                }
                for log in logs { try await log.untilStatus(id, .started) }
                let poll = try await peer.begin(.getStatus(GetStatus(workflowID: id, waitAfterVersion: 1000)))
                let idle = try await rig.peer()
                _ = try await peer.info()

                let began = ContinuousClock.now
                await rig.drain(grace: .seconds(10))
                #expect(began.duration(to: .now) < .seconds(5), "waited for those who wait for it")
                for log in logs {
                    try await log.untilEnd()
                    #expect(log.end??.code == .unavailable)
                    #expect(log.end??.reason == "SHUTTING_DOWN")
                    #expect(log.end??.effect == RhythmError.Effect.none)
                }
                #expect(try await peer.failure(of: poll).code == .unavailable)
                let frames = try await idle.untilClosed()
                guard case .goAway(let goAway)? = frames.first?.body else {
                    Issue.record("no GoAway but \(frames)")
                    return
                }
                #expect(goAway.reason == "SHUTDOWN")
                #expect(goAway.graceMilliseconds == 10_000)
                #expect(throws: RawPeer.Trouble.self) { try RawPeer(rig.tcp) }
                #expect(throws: RawPeer.Trouble.self) { try RawPeer(rig.unix) }

                try await rig.restart()
                // All of them come back, and none misses a version or is told one twice.
                var again: [WatchLog] = []
                for part in 0..<10 {
                    let watcher = try await rig.peer()
                    for log in logs[part * 100..<(part + 1) * 100] {
                        again.append(try await WatchLog(watcher, id, after: log[id].lastVersion))
                    }
                }
                rig.gates.succeed(id, "one")
                for log in again {
                    try await log.untilStatus(id, .success)
                    #expect(log[id].snapshots.isEmpty && log[id].gaps.isEmpty)
                }
            }
        }

        @Test func openCallsFinishAndNewOnesAreRefused() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                // A read that the store holds up.
                rig.faults.holdReads()
                let list = try await peer.begin(.listWorkflows(ListWorkflows(query: ListQuery())))
                _ = try await peer.info()
                let server = try #require(rig.server)
                async let drained: Void = server.drain(grace: .seconds(20))
                guard case .goAway = try await peer.next().body else { return }
                let refused = try await peer.failure(of: try await peer.begin(.getServerInfo))
                #expect(refused.code == .unavailable)
                #expect(refused.reason == "SHUTTING_DOWN")
                #expect(refused.effect == RhythmError.Effect.none)
                rig.faults.releaseReads()
                guard case .listWorkflows = try await peer.reply(of: list) else { return }
                await drained
                #expect(try await peer.untilClosed().isEmpty)
            }
        }

        @Test func doesNotWaitBeyondTheGrace() async throws {
            try await Rig.with { rig in
                let starter = try await rig.peer()
                let stalled = try await rig.peer(onUnix: true)
                let big = JSON(.array([.string(String(repeating: "x", count: 400_000))]))
                let id = try await starter.start(Rig.gated(args: big)).id
                for _ in 0..<40 { try await stalled.begin(.getStatus(GetStatus(workflowID: id))) }
                // The first answer has begun to come, and nobody takes the rest.
                try await eventually("the server writes") { !(try await stalled.isSilent(for: .milliseconds(5))) }
                let began = ContinuousClock.now
                await rig.drain(grace: .milliseconds(300))
                let took = began.duration(to: .now)
                #expect(took >= .milliseconds(290) && took < .seconds(3), "\(took)")
                withExtendedLifetime(stalled) {}
            }
        }
    }
}
