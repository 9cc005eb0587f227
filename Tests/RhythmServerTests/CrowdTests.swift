import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// More peers than there is room for.
    @Suite struct CrowdTests {
        @Test(arguments: [false, true]) func connectionsOfOneAddressAreCapped(onUnix: Bool) async throws {
            try await Rig.with {
                $0.maxConnectionsPerAddress = 3
            } _: { rig in
                var peers = [try await rig.peer(onUnix: onUnix), try await rig.peer(onUnix: onUnix)]
                peers.append(try await rig.peer(onUnix: onUnix))
                try await expectTooMany("max_connections_per_address is 3", onUnix ? rig.unix : rig.tcp)
                // Another address has its own number, and the others are served.
                _ = try await rig.peer(onUnix: !onUnix).info()
                for peer in peers { _ = try await peer.info() }
                peers.removeLast()
                try await eventually("the place of the one that left is free") {
                    do {
                        peers.append(try await rig.peer(onUnix: onUnix))
                        return true
                    } catch { return false }
                }
            }
        }

        @Test func whoHasNotSaidHelloIsCappedSeparately() async throws {
            try await Rig.with {
                $0.maxConnectionsBeforeHello = 4
                $0.helloTimeout = .seconds(1)
            } _: { rig in
                var polite: [RawPeer] = []
                for _ in 0..<10 { polite.append(try await rig.peer()) }
                let mute = try (0..<4).map { _ in try RawPeer(rig.tcp) }
                try await expectTooMany("max_connections_before_hello is 4", rig.tcp)
                for peer in polite { _ = try await peer.info() }
                for peer in mute { _ = try await peer.untilClosed() }
                _ = try await rig.peer().info()
            }
        }

        @Test func allConnectionsAreCapped() async throws {
            try await Rig.with {
                $0.maxConnections = 5
            } _: { rig in
                var peers: [RawPeer] = []
                for number in 0..<5 { peers.append(try await rig.peer(onUnix: number % 2 == 0)) }
                try await expectTooMany("max_connections is 5", rig.tcp)
                try await expectTooMany("max_connections is 5", rig.unix)
                for peer in peers { _ = try await peer.info() }
            }
        }

        /// What an address does wrong is one line a minute, not one a connection.
        @Test func refusalsAreLoggedOnceAMinute() async throws {
            try await Rig.with { rig in
                for _ in 0..<50 {
                    let peer = try RawPeer(rig.tcp)
                    try await peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                    _ = try await peer.untilClosed()
                }
                try await expectNothingIsLeft(rig)
                #expect(rig.log.text.split(separator: "\n").count { $0.contains("connection refused") } == 1)
            }
        }

        private func expectTooMany(_ message: String, _ endpoint: Endpoint) async throws {
            let frames = try await RawPeer(endpoint).untilClosed(within: .seconds(5))
            guard case .goAway(let goAway)? = frames.last?.body, frames.count == 1 else {
                Issue.record("no GoAway but \(frames)")
                return
            }
            #expect(goAway.reason == "TOO_MANY_CONNECTIONS")
            #expect(goAway.message == message)
        }
    }
}
