import RhythmCore
import RhythmServer
import RhythmWire
import Synchronization
import Testing

extension ServerTests {
    /// GetStatus that waits for a version.
    @Suite struct LongPollTests {
        @Test func answersWithTheNextVersion() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                let version = try await peer.status(id).version
                let call = try await peer.begin(wait(id, version))
                // Another call's answer overtakes it: it waits.
                _ = try await peer.info()
                rig.gates.succeed(id, "one")
                guard case .getStatus(let found) = try await peer.reply(of: call) else { return }
                #expect(found.workflow.version > version)
            }
        }

        @Test func answersAtOnceIfTheVersionIsThere() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                #expect(try await peer.call(wait(id, 0)) != .getServerInfo(try await peer.info()))
            }
        }

        /// The end of its time is no failure: it answers with what is true.
        @Test func answersWithWhatItIsWhenItsTimeIsOver() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let active = try await peer.start(Rig.gated()).id
                try await peer.until(active, is: .started)
                let finished = try await peer.start(Rig.quick()).id
                try await peer.until(finished, is: .success)
                for id in [active, finished] {
                    let version = try await peer.status(id).version
                    let reply = try await peer.call(wait(id, version), timeout: 80)
                    guard case .getStatus(let found) = reply else { return }
                    #expect(found.workflow.version == version)
                }
                try await expectCalls(1, peer)
            }
        }

        @Test func finishedWorkflowThatIsResumedIsNoticed() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                rig.gates.order(.fail(Failure(type: "Bad", message: "")), id, "one")
                try await peer.until(id, is: .failure)
                let version = try await peer.status(id).version
                let call = try await peer.begin(wait(id, version))
                _ = try await peer.call(.resumeWorkflow(ResumeWorkflow(workflowID: id)))
                guard case .getStatus(let found) = try await peer.reply(of: call) else { return }
                #expect(found.workflow.version > version)
            }
        }

        @Test func deletionEndsIt() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.quick()).id
                try await peer.until(id, is: .success)
                let call = try await peer.begin(wait(id, try await peer.status(id).version))
                _ = try await peer.info()
                _ = try await peer.call(.deleteWorkflow(DeleteWorkflow(workflowID: id)))
                #expect(try await peer.failure(of: call).code == .notFound)
            }
        }

        /// A server that has not heard of what was done elsewhere waits for nothing that is there already.
        @Test(arguments: [false, true]) func demandsHoldWhileItWaits(current: Bool) async throws {
            try await Pair.with { pair in
                let (peer, other) = (try await pair.first.peer(), try await pair.second.peer())
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                let version = try await peer.status(id).version
                pair.second.tells.withLock { $0 = false }
                let reply = try await other.call(.pauseWorkflow(PauseWorkflow(workflowID: id)))
                guard case .pauseWorkflow(let paused) = reply else { throw RawPeer.Trouble.unexpected(.reply(reply)) }
                var get = GetStatus(workflowID: id, waitAfterVersion: version)
                get.current = current
                get.atLeastVersion = current ? nil : paused.receipt.version
                let begun = ContinuousClock.now
                let call = try await peer.begin(.getStatus(get), timeout: 15_000)
                guard case .getStatus(let found) = try await peer.reply(of: call) else { return }
                #expect(begun.duration(to: .now) < .seconds(10), "its time was over")
                #expect(found.workflow.version >= paused.receipt.version && found.workflow.status == .revoked)
            }
        }

        @Test func theFollowerIsToldAfterTheWait() async throws {
            try await Pair.with { pair in
                let peer = try await pair.second.peer()
                let id = try await pair.first.peer().start(Rig.gated(["one", "two"])).id
                try await pair.first.peer().until(id, is: .started)
                let version = try await pair.first.peer().status(id).version
                let call = try await peer.begin(
                    .getStatus(GetStatus(workflowID: id, waitAfterVersion: version, withFollower: true)))
                _ = try await peer.info()
                pair.first.gates.succeed(id, "one")
                guard case .getStatus(let found) = try await peer.reply(of: call) else { return }
                #expect(found.workflow.version > version && found.follower?.serverID == "first")
            }
        }

        @Test func canBeCancelled() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let call = try await peer.begin(wait(id, 1000))
                try await expectCalls(2, peer)
                try await peer.send(ClientFrame(callID: call, body: .cancel))
                #expect(try await peer.failure(of: call).code == .cancelled)
                try await expectCalls(1, peer)
            }
        }

        private func wait(_ id: WorkflowID, _ version: Int64) -> Request {
            .getStatus(GetStatus(workflowID: id, waitAfterVersion: version))
        }

        private func expectCalls(_ count: UInt64, _ peer: RawPeer) async throws {
            try await eventually("\(count) calls are open") { try await peer.info().calls == count }
        }
    }
}
