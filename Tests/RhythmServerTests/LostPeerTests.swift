import Dispatch
import RhythmCore
import RhythmWire
import Testing

@testable import RhythmServer

extension ServerTests {
    /// Peers that are gone, and what they left behind.
    @Suite struct LostPeerTests {
        /// A cable was pulled: nothing comes, nothing is refused, nobody says good-bye.
        @Test func whatAVanishedPeerHeldIsFreed() async throws {
            try await Rig.with {
                $0.pingInterval = .milliseconds(300)
            } _: { rig in
                let bystander = try await rig.peer()
                let id = try await bystander.start(Rig.gated()).id
                let vanished = try await rig.peer()
                for _ in 0..<10 {
                    let watch = try await vanished.begin(
                        .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)])))
                    _ = try await vanished.next(of: watch)
                }
                #expect(try await bystander.info().watches == 10)
                vanished.answersPings = false
                try await eventually("its watches and its connection are gone", within: .seconds(10)) {
                    let info = try await bystander.info()
                    return info.watches == 0 && info.connections == 1
                }
                withExtendedLifetime(vanished) {}
            }
        }

        /// A server that was stopped for a while has heard of nobody, and has asked nobody.
        @Test func aServerThatWasStoppedBlamesNobody() async throws {
            try await Rig.with {
                $0.pingInterval = .milliseconds(300)
            } _: { rig in
                let peer = try await rig.peer()
                let lane = try await #require(rig.server).hold()
                // It is pinged, and answers, before the stop or after it.
                #expect(try await peer.isSilent(for: .seconds(1)))
                lane.signal()
                #expect(try await peer.isSilent(for: .seconds(1)))
                _ = try await peer.info()
                peer.answersPings = false
                _ = try await peer.untilClosed(within: .seconds(10))
            }
        }

        /// One that took everything while the server was stopped has not left it where it was.
        @Test func aServerThatWasStoppedFindsNobodyStalled() async throws {
            try await Rig.with {
                $0.stallTimeout = .seconds(2)
            } _: { rig in
                let peer = try await rig.peer(onUnix: true)
                let big = JSON(.array([.string(String(repeating: "x", count: 400_000))]))
                let id = try await peer.start(Rig.gated(args: big)).id
                var calls: [UInt64] = []
                for _ in 0..<8 { calls.append(try await peer.begin(.getStatus(GetStatus(workflowID: id)))) }
                try await eventually("it takes nothing") {
                    await rig.server?.inside { core in core.connections.values.contains(where: \.readIsSuspended) }
                        == true
                }
                let server = try #require(rig.server)
                let lane = await server.hold()
                // When the stop is over the round is due before the socket has said that there is room.
                try await Task.sleep(for: .milliseconds(3500))
                guard case .getStatus = try await peer.reply(of: calls.removeFirst()) else { return }
                lane.signal()
                for call in calls { guard case .getStatus = try await peer.reply(of: call) else { return } }
                _ = try await peer.info()
            }
        }

        /// The answer to a start was lost with the connection, and then the server as well.
        @Test func startWhoseAnswerWasLostIsFoundByItsRequestID() async throws {
            try await Rig.with { rig in
                let start = StartWorkflow(spec: Rig.gated(name: "lost"), requestID: "the-request")
                let lost = try await rig.peer()
                try await lost.begin(.startWorkflow(start))
                let watcher = try await rig.peer()
                try await eventually("it is stored") { try await watcher.info().activeWorkflows == 1 }
                try await rig.restart()
                let again = try await rig.peer()
                guard case .startWorkflow(let reply) = try await again.call(.startWorkflow(start)) else { return }
                #expect(reply.replayed)
                #expect(try await again.info().activeWorkflows == 1)
            }
        }

        /// Everything that was sent before a hang-up is read, although the hang-up may be reported only once.
        @Test(arguments: [false, true]) func whatWasSentBeforeAHangUpIsRead(onUnix: Bool) async throws {
            try await Rig.with { rig in
                // No more than the sockets hold: all of it lies there, and the end with it, when the server looks.
                let count = 6
                let lane = try await sendStartsAndHangUp(rig, count, onUnix: onUnix)
                lane.signal()
                try await expectActive(count, rig)
                try await expectNothingIsLeft(rig)
            }
        }

        private func expectActive(_ count: Int, _ rig: Rig) async throws {
            let peer = try await rig.peer()
            try await eventually("all are there") { try await peer.info().activeWorkflows == UInt64(count) }
        }

        private func sendStartsAndHangUp(
            _ rig: Rig, _ count: Int, onUnix: Bool
        ) async throws -> DispatchSemaphore {
            let peer = try await rig.peer(onUnix: onUnix)
            let lane = try await #require(rig.server).hold()
            let args = JSON(.array([.string(String(repeating: "x", count: 20_000))]))
            var bytes: [UInt8] = []
            for number in 1...count {
                let start = StartWorkflow(spec: Rig.gated(id: WorkflowID("w\(number)"), args: args))
                bytes += try RawPeer.bytes(ClientFrame(callID: UInt64(number), body: .call(.startWorkflow(start))))
            }
            // A cancel at the end, for a call that is not there.
            bytes += try RawPeer.bytes(ClientFrame(callID: 9999, body: .cancel))
            try await peer.send(bytes)
            return lane
        }

        @Test func callIDsEndWithTheLast() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                peer.lastCallID = .max - 2
                _ = try await peer.info()
                _ = try await peer.info()
                try await peer.send(ClientFrame(callID: .max, body: .call(.getServerInfo)))
                guard case .goAway(let goAway)? = try await peer.untilClosed().last?.body else {
                    Issue.record("no GoAway")
                    return
                }
                #expect(goAway.reason == "CALL_ID" && goAway.lastCallID == .max)
                _ = try await rig.peer().info()
            }
        }

        /// What is said about calls that are open or over, and is no cancel, is ignored.
        @Test func unknownFramesAboutCallsAreIgnored() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                rig.faults.holdReads()
                let list = try await peer.begin(.listWorkflows(ListWorkflows(query: ListQuery())))
                _ = try await peer.info()
                for call in [list, list + 1] {
                    // Field 99, as data or credit of another version might be.
                    try await peer.send(MultiplexTests.frame([0x08, UInt8(call), 0x9A, 0x06, 0x01, 0x00]))
                }
                try await peer.send(ClientFrame(callID: list + 1, body: .cancel))
                rig.faults.releaseReads()
                guard case .listWorkflows = try await peer.reply(of: list) else { return }
                _ = try await peer.info()
                #expect(try await peer.isSilent(for: .milliseconds(30)))
            }
        }

        @Test func deadlinesAreClampedAndDefaulted() async throws {
            try await Rig.with {
                $0.defaultTimeout = .milliseconds(100)
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                rig.faults.holdReads()
                let list = Request.listWorkflows(ListWorkflows(query: ListQuery()))
                let byDefault = try await peer.begin(list)
                let huge = try await peer.begin(list, timeout: .max)
                #expect(try await peer.failure(of: byDefault).code == .deadlineExceeded)
                rig.faults.releaseReads()
                rig.faults.releaseReads()
                guard case .listWorkflows = try await peer.reply(of: huge) else { return }
                // A stream has no default: it goes on.
                let watch = WatchProgress(targets: [WatchTarget(workflowID: id)])
                let streams = [
                    try await peer.begin(.watchProgress(watch)),
                    try await peer.begin(.watchProgress(watch), timeout: .max),
                ]
                for stream in streams { _ = try await peer.next(of: stream) }
                #expect(try await peer.isSilent(for: .milliseconds(200)))
                #expect(try await peer.info().watches == 2)
            }
        }

        /// One peer that takes nothing, and others whose calls are measured.
        @Test func stalledReaderDelaysNobody() async throws {
            try await Rig.with {
                $0.progressInterval = .zero
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated((0..<200).map { "step-\($0)" })).id
                let stalled = try await rig.peer(onUnix: true)
                for _ in 0..<100 {
                    try await stalled.begin(.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)])))
                }
                try await eventually("it watches") { try await peer.info().watches == 100 }
                var times: [Duration] = []
                for step in 0..<200 {
                    rig.gates.report(id, "step-\(step)", done: 1, of: 2)
                    rig.gates.succeed(id, "step-\(step)")
                    let began = ContinuousClock.now
                    _ = try await peer.info()
                    times.append(began.duration(to: .now))
                }
                try await peer.until(id, is: .success)
                #expect(times.sorted()[197] < .milliseconds(250), "p99 is \(times.sorted()[197])")
                withExtendedLifetime(stalled) {}
            }
        }
    }
}
