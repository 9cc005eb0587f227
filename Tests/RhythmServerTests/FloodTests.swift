import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Peers that ask for more than they are entitled to.
    @Suite struct FloodTests {
        @Test func tooManyPingsEndTheConnection() async throws {
            try await Rig.with {
                $0.maxPingsPerSecond = 5
            } _: { rig in
                let peer = try await rig.peer()
                // Ten seconds' worth of them at once is not too many.
                for number in 0..<50 { try await peer.send(ClientFrame(callID: 0, body: .ping(UInt64(number)))) }
                for number in 0..<50 {
                    #expect(try await peer.next() == ServerFrame(callID: 0, body: .pong(UInt64(number))))
                }
                for _ in 0..<100 { try? await peer.send(ClientFrame(callID: 0, body: .ping(1))) }
                try await expectGoAway("TOO_MANY_PINGS", "max_pings_per_s is 5", peer)
            }
        }

        @Test func tooManyCancelsEndTheConnection() async throws {
            try await Rig.with {
                $0.maxCancelsPerSecond = 3
            } _: { rig in
                let peer = try await rig.peer()
                let bystander = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let watch = Request.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)]))
                var sent = 0
                while sent < 200 {
                    do {
                        let call = try await peer.begin(watch)
                        try await peer.send(ClientFrame(callID: call, body: .cancel))
                    } catch { break }
                    sent += 1
                }
                #expect(sent >= 32, "ended too early")
                try await expectGoAway("TOO_MANY_CANCELS", "max_cancels_per_s is 3", peer)
                try await eventually("its watches are gone") {
                    let info = try await bystander.info()
                    return info.watches == 0 && info.calls == 1 && info.connections == 1
                }
            }
        }

        /// A call that was cancelled keeps its place until the store is done with it.
        @Test func cancelledCallsKeepTheirPlaceWhileTheyAreWorkedOn() async throws {
            try await Rig.with {
                $0.maxCalls = 4
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let watch = Request.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)]))
                let list = Request.listWorkflows(ListWorkflows(query: ListQuery()))
                rig.faults.holdReads()
                for _ in 0..<4 {
                    let call = try await peer.begin(list)
                    try await peer.send(ClientFrame(callID: call, body: .cancel))
                    #expect(try await peer.failure(of: call).code == .cancelled)
                }
                let refused = try await peer.failure(of: try await peer.begin(list))
                #expect(refused.reason == "TOO_MANY_CALLS")
                #expect(refused.effect == RhythmError.Effect.none)
                for _ in 0..<4 { rig.faults.releaseReads() }
                // One after the other.
                try await eventually("all four places are free") {
                    var watches: [UInt64] = []
                    for _ in 0..<4 {
                        let call = try await peer.begin(watch)
                        if case .status = try await peer.next(of: call) { continue }
                        watches.append(call)
                    }
                    for call in watches {
                        try await peer.send(ClientFrame(callID: call, body: .cancel))
                        while true { if case .status = try await peer.next(of: call) { break } }
                    }
                    return watches.count == 4
                }
            }
        }

        /// Answers that nobody takes and that are no answers to calls: pongs, and what was wrong with frames.
        @Test func floodsOfSmallFramesAreNotReadOn() async throws {
            try await Rig.with {
                $0.maxPingsPerSecond = 1_000_000
                $0.stallTimeout = .seconds(3)
            } _: { rig in
                let bystander = try await rig.peer()
                let peer = try await rig.peer(onUnix: true)
                let pings = try (0..<1000).flatMap { _ in try RawPeer.bytes(ClientFrame(callID: 0, body: .ping(7))) }
                // Much more than the sockets hold: at some point nothing more is taken, and soon after that it ends.
                await #expect(throws: RawPeer.Trouble.self) {
                    while true { try await peer.send(pings, within: .milliseconds(500)) }
                }
                // Some dozen answers, and not a buffer full of them.
                try await eventually("something waits") { try await bystander.mostWaiting() > 0 }
                #expect(try await bystander.mostWaiting() < 4096)
                try await eventually("it is cut off") { try await bystander.info().connections == 1 }
            }
        }

        /// Answers that are read from the store wait for room as those from memory do.
        @Test func storedAnswersAreNotMadeBeforeThereIsRoom() async throws {
            try await Rig.with {
                // Some wait until the others are done, which takes its time under a sanitizer.
                $0.defaultTimeout = .seconds(120)
            } _: { rig in
                let other = try await rig.peer()
                let big = JSON(.array([.string(String(repeating: "x", count: 400_000))]))
                let id = try await other.start(Rig.quick(id: "big", args: big)).id
                try await other.until(id, is: .success)
                let peer = try await rig.peer(onUnix: true)
                let before = Rig.residentBytes
                for number in 1...120 {
                    try await peer.send(
                        ClientFrame(callID: UInt64(number), body: .call(.getStatus(GetStatus(workflowID: id)))))
                }
                for _ in 0..<50 { _ = try await other.status(id) }
                // All of them at once take twice as much; 30 MiB or so come and go with the others' answers.
                #expect(Rig.residentBytes - before < 80 << 20)
                // Once it listens, it gets them all.
                for number in 1...120 {
                    guard case .getStatus = try await peer.reply(of: UInt64(number)) else { return }
                }
            }
        }

        /// All that waits for all peers is bounded; the one that takes least pays.
        @Test func whoeverLetsMostWaitIsCutOff() async throws {
            try await Rig.with {
                $0.maxWaitingBytes = 3 << 20
            } _: { rig in
                let other = try await rig.peer()
                let big = JSON(.array([.string(String(repeating: "x", count: 400_000))]))
                let id = try await other.start(Rig.gated(id: "big", args: big)).id
                let greedy = try await [rig.peer(onUnix: true), rig.peer(onUnix: true), rig.peer(onUnix: true)]
                // Whoever is cut off while it still asks cannot send the rest.
                for peer in greedy {
                    for _ in 0..<6 { _ = try? await peer.begin(.getStatus(GetStatus(workflowID: id))) }
                }
                try await eventually("one had to go") { try await other.info().connections < 4 }
                #expect(rig.log.text.contains("max_waiting_bytes"))
                _ = try await other.status(id)
                withExtendedLifetime(greedy) {}
            }
        }

        @Test func bombsAreRefusedAndForgotten() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                // A StartWorkflow of half a million empty steps, two bytes each.
                let steps = [[UInt8]](repeating: [0x42, 0x00], count: 500_000).flatMap { $0 }
                func field(_ tag: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
                    let length = [bytes.count & 0x7F | 0x80, bytes.count >> 7 & 0x7F | 0x80, bytes.count >> 14]
                    return tag + length.map { UInt8($0) } + bytes
                }
                let start = field([0xA2, 0x01], field([0x0A], steps))
                func bomb(_ id: UInt8) -> [UInt8] { MultiplexTests.frame([0x08, id] + start) }
                try await peer.send(bomb(1))
                #expect(try await peer.failure(of: 1).reason == "FRAME_OVER_BUDGET")
                let before = Rig.residentBytes
                for id in UInt8(2)...120 {
                    try await peer.send(bomb(id))
                    #expect(try await peer.failure(of: UInt64(id)).reason == "FRAME_OVER_BUDGET")
                }
                // Each has a mebibyte, and as much again once it is unpacked; other tests use this process as well.
                #expect(Rig.residentBytes - before < 80 << 20)
                peer.lastCallID = 120
                _ = try await peer.info()
            }
        }

        private func expectGoAway(_ reason: String, _ message: String, _ peer: RawPeer) async throws {
            var last: ServerFrame?
            do { while true { last = try await peer.next() } } catch RawPeer.Trouble.closed {}
            guard case .goAway(let goAway)? = last?.body else {
                Issue.record("no GoAway but \(String(describing: last))")
                return
            }
            #expect(goAway.reason == reason)
            #expect(goAway.message == message)
        }
    }
}
