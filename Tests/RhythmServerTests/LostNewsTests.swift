import RhythmCore
import RhythmEngine
import RhythmServer
import RhythmTesting
import RhythmWire
import Synchronization
import Testing

extension ServerTests {
    /// What one server stores and never tells, because it dies, or because nobody hears it.
    @Suite struct LostNewsTests {
        /// A workflow that the first server follows, watched through the second, from where the first tells nothing.
        private func watchedElsewhere(
            _ pair: Pair, _ spec: WorkflowSpec = Rig.gated(["a"]), untilDone: Bool = true
        ) async throws -> (id: WorkflowID, log: WatchLog) {
            let peer = try await pair.first.peer()
            let id = try await peer.start(spec).id
            try await peer.until(id, is: .started)
            let log = try await WatchLog(try await pair.second.peer(), id, after: 0, untilDone: untilDone)
            let version = try await peer.status(id).version
            try await log.until("it has caught up") { $0[id].lastVersion == version }
            // Its lease is seen.
            pair.second.engine.drain(false)
            try await eventually("both are seen") {
                guard case .listServers(let servers) = try await pair.second.peer().call(.listServers) else {
                    return false
                }
                return servers.count == 2
            }
            pair.first.tells.withLock { $0 = false }
            return (id, log)
        }

        @Test func aWatchHearsOfTheLastStepOfAServerThatDied() async throws {
            try await Pair.with { pair in
                let (id, log) = try await watchedElsewhere(pair)
                pair.first.gates.succeed(id, "a")
                try await pair.first.peer().until(id, is: .success)
                await pair.first.server.drain(grace: .zero)
                await pair.first.engine.stop()
                pair.second.engine.drain(false)
                try await log.untilEnd()
                #expect(log.end == .some(nil) && log[id].status == .success)
            }
        }

        /// What is taken over is watched from where the watches are, not from where the record is; and nothing happens to
        /// this one for minutes.
        @Test func aWatchHearsWhatWasDoneBeforeATakeover() async throws {
            try await Pair.with { pair in
                var spec = Rig.gated(["a"])
                spec.steps[0].retry = RetryPolicy(maxAttempts: 2, backoff: .seconds(3600))
                let (id, log) = try await watchedElsewhere(pair, spec)
                let version = try #require(log[id].lastVersion)
                pair.first.gates.order(.fail(Failure(type: "Bad", message: "it broke")), id, "a")
                let peer = try await pair.first.peer()
                try await eventually("it waits") { try await peer.status(id).version > version }
                let last = try await peer.status(id).version
                await pair.first.server.drain(grace: .zero)
                await pair.first.engine.stop()
                pair.second.engine.drain(false)
                try await eventually("it is taken over") { pair.second.engine.active(id) != nil }
                try await log.until("it is told that a failed") { $0[id].lastVersion == last }
            }
        }

        @Test func aReadThatFailedIsTriedAgain() async throws {
            try await Pair.with { pair in
                let (id, log) = try await watchedElsewhere(pair)
                pair.first.gates.succeed(id, "a")
                try await pair.first.peer().until(id, is: .success)
                let version = try await pair.first.peer().status(id).version
                pair.disk.disk.isAway = true
                pair.second.engine.take(
                    Publication(foreign: [.init(id: id, version: version)], progress: [], deleted: []))
                // The read has failed by the time that others which were asked for later have.
                let peer = try await pair.second.peer()
                for _ in 0..<8 {
                    let error = try await peer.failure(of: try await peer.begin(.resolveID(ResolveID(prefix: "x"))))
                    #expect(error.reason == "STORE_UNAVAILABLE")
                }
                pair.disk.disk.isAway = false
                try await log.untilEnd()
                #expect(log.end == .some(nil) && log[id].status == .success)
            }
        }

        @Test func whoIsNotHeardIsReadInTheStore() async throws {
            try await Pair.with { pair in
                let (id, log) = try await watchedElsewhere(pair, untilDone: false)
                let (peer, other) = (try await pair.first.peer(), try await pair.second.peer())
                pair.first.engine.isHeardByPeers(trouble: "the broker is away")
                try await eventually("it says so itself") { try await peer.info().health == .degraded }
                #expect(try await peer.info().healthDetail.contains("other servers do not hear what this one does"))
                pair.second.engine.drain(false)
                // A command through the one that follows it changes nothing in what the second one remembers.
                try await eventually("the second has seen it") { pair.second.engine.memory == .behind }
                #expect(try await other.info().health == .serving, "it is not to blame")
                _ = try await peer.call(.pauseWorkflow(PauseWorkflow(workflowID: id)))
                #expect(try await other.status(id).status == .revoked)
                try await log.untilStatus(id, .revoked)
                pair.first.engine.isHeardByPeers(trouble: nil)
                pair.second.engine.drain(false)
                try await eventually("all is well again") {
                    pair.second.engine.drain(false)
                    return pair.second.engine.memory == .current
                }
            }
        }

        /// The one that follows a workflow hears nothing of what another one did to it, and tells nothing old.
        @Test func whatIsFollowedHereIsReadAsWell() async throws {
            try await Pair.with { pair in
                let (peer, other) = (try await pair.first.peer(), try await pair.second.peer())
                let id = try await other.start(Rig.gated()).id
                try await other.until(id, is: .started)
                pair.first.tells.withLock { $0 = false }
                pair.first.engine.isHeardByPeers(trouble: "the broker is away")
                try await eventually("the second has seen it") {
                    pair.second.engine.drain(false)
                    return pair.second.engine.memory == .behind
                }
                _ = try await peer.call(.pauseWorkflow(PauseWorkflow(workflowID: id)))
                #expect(try await other.status(id).status == .revoked)
            }
        }
    }
}
