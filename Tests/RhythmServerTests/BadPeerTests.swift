import RhythmCore
import RhythmServer
import RhythmTesting
import RhythmWire
import Testing

extension ServerTests {
    /// Peers that vanish, dawdle, cut frames in two, or ask without listening.
    @Suite struct BadPeerTests {
        @Test func silentPeerIsPingedAndThenCutOff() async throws {
            try await Rig.with {
                $0.pingInterval = .milliseconds(200)
            } _: { rig in
                let peer = try await rig.peer()
                peer.answersPings = false
                guard case .ping(let data) = try await peer.next().body else {
                    Issue.record("no ping")
                    return
                }
                try await peer.send(ClientFrame(callID: 0, body: .pong(data)))
                let answered = ContinuousClock.now
                let rest = try await peer.untilClosed()
                #expect(answered.duration(to: .now) > .milliseconds(300), "the pong did not count")
                #expect(rest.count <= 4, "pinged too often")
            }
        }

        @Test func peerThatAnswersPingsStays() async throws {
            try await Rig.with {
                $0.pingInterval = .milliseconds(100)
            } _: { rig in
                let peer = try await rig.peer()
                #expect(try await peer.isSilent(for: .seconds(1)))
                _ = try await peer.info()
            }
        }

        @Test func frameMustBeCompleteInTime() async throws {
            try await Rig.with {
                $0.frameTimeout = .milliseconds(150)
            } _: { rig in
                let peer = try await rig.peer()
                let frame = try RawPeer.bytes(ClientFrame(callID: 1, body: .call(.getServerInfo)))
                try await peer.send(frame + frame.prefix(5))
                let frames = try await peer.untilClosed()
                guard frames.count == 2, case .goAway(let goAway) = frames[1].body else {
                    Issue.record("\(frames)")
                    return
                }
                #expect(goAway.reason == "FRAME_TIMEOUT")
            }
        }

        /// One byte after the other is no more in time than none.
        @Test func dribbledFrameIsNotInTime() async throws {
            try await Rig.with {
                $0.frameTimeout = .milliseconds(200)
            } _: { rig in
                let peer = try await rig.peer()
                let start = StartWorkflow(spec: Rig.gated((0..<200).map { "step-\($0)" }))
                let bytes = try RawPeer.bytes(ClientFrame(callID: 1, body: .call(.startWorkflow(start))))
                let began = ContinuousClock.now
                await #expect(throws: RawPeer.Trouble.self) {
                    for byte in bytes {
                        try await peer.send([byte])
                        if !(try await peer.isSilent(for: .milliseconds(10))) { throw RawPeer.Trouble.closed }
                    }
                }
                #expect(began.duration(to: .now) < .seconds(5))
            }
        }

        @Test func finWithCallsInFlight() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let watch = WatchProgress(targets: [WatchTarget(workflowID: id)])
                let watching = try await peer.begin(.watchProgress(watch))
                _ = try await peer.next(of: watching)
                var expected: Set<UInt64> = []
                var bytes: [UInt8] = []
                for number in 0..<20 {
                    peer.lastCallID += 1
                    expected.insert(peer.lastCallID)
                    let start = StartWorkflow(spec: Rig.gated(id: WorkflowID("last-\(number)")))
                    bytes += try RawPeer.bytes(ClientFrame(callID: peer.lastCallID, body: .call(.startWorkflow(start))))
                }
                try await peer.send(bytes)
                peer.finishSending()
                for frame in try await peer.untilClosed() {
                    if case .reply(.startWorkflow) = frame.body { expected.remove(frame.callID) }
                }
                #expect(expected.isEmpty, "not answered")
                try await expectNothingIsLeft(rig)
            }
        }

        @Test func sessionCutAnywhereLeavesNothingBehind() async throws {
            try await Rig.with { rig in
                let session = try recordedSession()
                _ = try await answers(rig, cuts: [])
                try await expectNothingIsLeft(rig)
                let before = Rig.openSockets
                for length in 0...session.count {
                    let peer = try RawPeer(length % 2 == 0 ? rig.tcp : rig.unix)
                    try await peer.send(Array(session[..<length]))
                    // Some leave at once, some after the server has seen what they sent.
                    if length % 3 == 0 { _ = try await peer.isSilent(for: .milliseconds(1)) }
                }
                try await expectNothingIsLeft(rig)
                try await eventually("all sockets are closed again") { Rig.openSockets <= before }
            }
        }

        @Test func chunksDoNotMatter() async throws {
            try await Rig.with { rig in
                var random = SeededGenerator.unseeded()
                let whole = try await answers(rig, cuts: [])
                for _ in 0..<60 {
                    let count = try recordedSession().count
                    let cuts = (0..<Int.random(in: 1...30, using: &random)).map { _ in
                        Int.random(in: 0...count, using: &random)
                    }
                    #expect(try await answers(rig, cuts: cuts.sorted()) == whole, "seed \(random.seed), cuts \(cuts)")
                }
                let everyByte = try recordedSession().indices.map { $0 }
                #expect(try await answers(rig, cuts: everyByte) == whole)
            }
        }

        /// A few bytes that ask for a lot, from somebody who takes nothing: the server must not make all the answers.
        @Test func askingWithoutListeningCostsNoMemory() async throws {
            try await Rig.with { rig in
                let other = try await rig.peer()
                let big = JSON(.array([.string(String(repeating: "x", count: 200_000))]))
                let id = try await other.start(Rig.gated(id: "big", args: big)).id
                let peer = try await rig.peer(onUnix: true)
                let before = Rig.residentBytes
                var bytes: [UInt8] = []
                for number in 1...150 {
                    bytes += try RawPeer.bytes(
                        ClientFrame(callID: UInt64(number), body: .call(.getStatus(GetStatus(workflowID: id)))))
                }
                try await peer.send(bytes)
                for _ in 0..<50 { _ = try await other.info() }
                #expect(Rig.residentBytes - before < 25 << 20)
                // Once it listens, it gets them all.
                for number in 1...150 {
                    guard case .getStatus = try await peer.reply(of: UInt64(number)) else { return }
                }
            }
        }

        /// A session whose answers are always the same and come one after the other.
        private func recordedSession() throws -> [UInt8] {
            var bytes = try RawPeer.bytes(RawPeer.hello())
            let requests: [Request] = [
                .startWorkflow(StartWorkflow(spec: Rig.gated(id: "chunky", name: "häßlich"), requestID: "same")),
                .getStatus(GetStatus(workflowID: "missing-1")),
                .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: "missing-2")])),
                .pauseWorkflow(PauseWorkflow(workflowID: "missing-3")),
                .tailLog(TailLog(workflowID: "missing-4")),
            ]
            for (index, request) in requests.enumerated() {
                bytes += try RawPeer.bytes(ClientFrame(callID: UInt64(index + 1), body: .call(request)))
            }
            return bytes + (try RawPeer.bytes(ClientFrame(callID: 0, body: .ping(99))))
        }

        /// The last frame of each call, by call.
        private func answers(_ rig: Rig, cuts: [Int]) async throws -> [String] {
            let session = try recordedSession()
            let peer = try RawPeer(rig.unix)
            var from = 0
            for cut in cuts + [session.count] where cut > from {
                try await peer.send(Array(session[from..<cut]))
                from = cut
            }
            var answers: [UInt64: String] = [:]
            while answers.count < 6 {
                let frame = try await peer.next()
                switch frame.body {
                case .helloReply: continue
                case .reply(.startWorkflow(let reply)): answers[frame.callID] = "started \(reply.workflow.id)"
                case .status(let error?): answers[frame.callID] = "\(error)"
                case .pong(let data): answers[frame.callID] = "pong \(data)"
                default: answers[frame.callID] = "unexpected \(frame.body)"
                }
            }
            return answers.sorted { $0.key < $1.key }.map(\.value)
        }
    }
}
