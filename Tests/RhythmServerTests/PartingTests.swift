import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// How the server ends a connection on which something lies unread.
    @Suite(.timeLimit(.minutes(2))) struct PartingTests {
        @Test(arguments: [false, true]) func theLastWordArrivesBeforeTheEnd(onUnix: Bool) async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer(onUnix: onUnix)
                // A frame that ends the connection, and much behind it that nobody will look at.
                let junk = [0, 0, 0, 3, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 0xEE, count: 300_000)
                try await peer.send(junk)
                let frames = try await peer.untilClosed()
                guard case .goAway(let goAway)? = frames.last?.body else {
                    Issue.record("no GoAway but \(frames)")
                    return
                }
                #expect(goAway.reason == "PROTOCOL")
                #expect(!peer.wasReset, "the end was a reset, which can overtake the last word")
            }
        }

        @Test func whoNeverClosesIsClosed() async throws {
            try await Rig.with {
                $0.lingerTimeout = .milliseconds(200)
            } _: { rig in
                let peer = try await rig.peer()
                try await peer.send([0, 0, 0, 3, 0xFF, 0xFF, 0xFF])
                _ = try await peer.untilClosed()
                try await eventually("it is gone") { await rig.server?.stats()["connections"] == 0 }
                withExtendedLifetime(peer) {}
            }
        }

        /// Who is refused before its hello gives back its place among those who have yet to say it, at once.
        @Test func whoIsRefusedLeavesRoomForOthers() async throws {
            try await Rig.with {
                $0.maxConnectionsBeforeHello = 4
                $0.lingerTimeout = .seconds(60)
            } _: { rig in
                var refused: [RawPeer] = []
                for _ in 0..<12 {
                    let peer = try RawPeer(rig.tcp)
                    try await peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                    guard case .goAway(let goAway)? = try await peer.untilClosed().last?.body else { continue }
                    #expect(goAway.reason == "PROTOCOL", "\(goAway)")
                    refused.append(peer)
                }
                #expect(refused.count == 12)
                _ = try await rig.peer().info()
            }
        }

        @Test func whoNeverStopsIsClosed() async throws {
            try await Rig.with {
                $0.lingerTimeout = .seconds(60)
            } _: { rig in
                let peer = try await rig.peer()
                try await peer.send([0, 0, 0, 3, 0xFF, 0xFF, 0xFF])
                let junk = [UInt8](repeating: 0xEE, count: 1 << 20)
                await #expect(throws: RawPeer.Trouble.self) {
                    for _ in 0..<64 { try await peer.send(junk) }
                }
                try await eventually("it is gone") { await rig.server?.stats()["connections"] == 0 }
            }
        }
    }
}
