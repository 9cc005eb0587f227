import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// The first frame, and what is said instead of it.
    @Suite struct HelloTests {
        @Test(arguments: [false, true]) func announcesItselfAndItsLimits(onUnix: Bool) async throws {
            try await Rig.with {
                $0.maxCalls = 17
            } _: { rig in
                let reply = try await RawPeer(onUnix ? rig.unix : rig.tcp).greet()
                #expect(reply.protocolVersion == 1)
                #expect(reply.serverName == "rhythmd")
                #expect(reply.serverID == "the-server")
                #expect(reply.epoch == 7)
                #expect(
                    reply.limits
                        == ConnectionLimits(
                            maxRequestBytes: 1 << 20, maxResponseBytes: 16 << 20, maxCalls: 17,
                            pingIntervalMilliseconds: 20_000, maxWatchedWorkflows: 10_000,
                            frameTimeoutMilliseconds: 10_000, stallTimeoutMilliseconds: 30_000,
                            defaultTimeoutMilliseconds: 30_000, maxPingsPerSecond: 20, maxCancelsPerSecond: 100))
            }
        }

        @Test func mustComeFirst() async throws {
            try await Rig.with { rig in
                let peer = try RawPeer(rig.tcp)
                try await peer.begin(.getServerInfo)
                try await expectGoAway("HELLO_EXPECTED", peer)
            }
        }

        @Test func mustHaveTheRightVersion() async throws {
            try await Rig.with { rig in
                let peer = try RawPeer(rig.tcp)
                try await peer.send(RawPeer.hello(version: 2))
                try await expectGoAway("PROTOCOL_VERSION", peer)
            }
        }

        @Test func mustComeOnlyOnce() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                try await peer.send(RawPeer.hello())
                try await expectGoAway("SECOND_HELLO", peer)
            }
        }

        @Test func mustComeInTime() async throws {
            try await Rig.with {
                $0.helloTimeout = .milliseconds(100)
            } _: { rig in
                let silent = try RawPeer(rig.tcp)
                let slow = try RawPeer(rig.tcp)
                // Half a Hello is none.
                try await slow.send(Array(try RawPeer.bytes(RawPeer.hello()).dropLast()))
                let good = try await rig.peer()
                try await expectGoAway("HELLO_TIMEOUT", silent)
                try await expectGoAway("HELLO_TIMEOUT", slow)
                _ = try await good.info()
            }
        }

        @Test(arguments: [
            Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8),
            [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03, 0x42],
            Array("SSH-2.0-OpenSSH_9.2\r\n".utf8),
            [0xFF, 0xFF, 0xFF, 0xFF],
            [0x00, 0x00, 0x10, 0x01],
            [0x00, 0x00, 0x00, 0x02, 0xFF, 0xFF],
            [0x00, 0x00, 0x00, 0x00],
        ])
        func anythingElseIsClosedAtOnce(bytes: [UInt8]) async throws {
            try await Rig.with { rig in
                let peer = try RawPeer(rig.tcp)
                try await peer.send(bytes)
                try await expectGoAway(nil, peer)
                try await expectNothingIsLeft(rig)
            }
        }

        @Test func impossibleLengthsCostNoMemory() async throws {
            try await Rig.with { rig in
                let bytes = try RawPeer.bytes(RawPeer.hello()) + [0xFF, 0xFF, 0xFF, 0xFF]
                func attack(_ times: Int) async throws {
                    for _ in 0..<times {
                        let peer = try RawPeer(rig.unix)
                        try await peer.send(bytes)
                        #expect(try await peer.untilClosed().count == 2)
                    }
                    try await expectNothingIsLeft(rig)
                }
                try await attack(300)
                let before = Rig.residentBytes
                try await attack(10_000)
                #expect(Rig.residentBytes - before < 8 << 20)
            }
        }

        private func expectGoAway(_ reason: String?, _ peer: RawPeer) async throws {
            let frames = try await peer.untilClosed(within: .seconds(5))
            guard case .goAway(let goAway)? = frames.last?.body else {
                Issue.record("no GoAway but \(frames)")
                return
            }
            if let reason { #expect(goAway.reason == reason) }
        }
    }
}

/// All connections, calls and watches but those of the asking peer are gone.
func expectNothingIsLeft(_ rig: Rig) async throws {
    let peer = try await rig.peer()
    try await eventually("the server has forgotten every other connection, call and watch") {
        let info = try await peer.info()
        return info.connections == 1 && info.calls == 1 && info.watches == 0
    }
}
