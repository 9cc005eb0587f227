import RhythmAuth
import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Who is let in, and what becomes of those who are not.
    @Suite(.timeLimit(.minutes(2))) struct AuthenticationTests {
        @Test(arguments: ["", "nonsense", Token.make().revealed])
        func whoHasNoTokenIsTurnedAway(token: String) async throws {
            var tokens = Tokens()
            let good = tokens.make(.read)
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                let peer = try RawPeer(rig.tcp)
                let start = ContinuousClock.now
                // What comes behind the hello is not looked at.
                try await peer.send(RawPeer.bytes(RawPeer.hello(token: token)) + RawPeer.bytes(Self.info))
                let frames = try await peer.untilClosed()
                #expect(ContinuousClock.now - start >= FailureThrottle.firstDelay)
                #expect(frames.count == 2 && frames.allSatisfy { $0.callID == 0 })
                let reason = token.isEmpty ? "NO_TOKEN" : "BAD_TOKEN"
                guard case .status(let error?)? = frames.first?.body, case .goAway(let goAway)? = frames.last?.body
                else {
                    Issue.record("\(frames)")
                    return
                }
                #expect(error.code == .unauthenticated && error.reason == reason)
                #expect(goAway.reason == reason)
                // The delay is for those who fail, not for others of the same address.
                let welcome = ContinuousClock.now
                _ = try await rig.peer(token: good).info()
                #expect(ContinuousClock.now - welcome < .seconds(5))
            }
        }

        @Test func eachFailureTakesLonger() async throws {
            var tokens = Tokens()
            _ = tokens.make(.read)
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                var times: [Duration] = []
                for _ in 0..<3 {
                    let start = ContinuousClock.now
                    await #expect(throws: RhythmError.self) { _ = try await rig.peer(token: "wrong") }
                    times.append(ContinuousClock.now - start)
                }
                for (time, factor) in zip(times, [1, 2, 4]) { #expect(time >= FailureThrottle.firstDelay * factor) }
                #expect(rig.log.text.contains("authentication failed"))
                #expect(rig.log.text.contains("\"failures\": 2"), "\(rig.log.text)")
            }
        }

        @Test func manyFailuresAtOnceAreHungUpOn() async throws {
            var tokens = Tokens()
            let good = tokens.make(.read)
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                var peers: [RawPeer] = []
                for _ in 0..<30 {
                    let peer = try RawPeer(rig.tcp)
                    try await peer.send(RawPeer.hello(token: "wrong"))
                    peers.append(peer)
                }
                var answered = 0
                for peer in peers where try await !peer.untilClosed().isEmpty { answered += 1 }
                #expect(answered < 30 && answered >= FailureThrottle.waitingMax)
                let peer = try await rig.peer(token: good)
                try await eventually("all are gone") { try await peer.info().connections == 1 }
                #expect(try await peer.info().authenticationFailures == 30)
            }
        }

        @Test func aDrainDoesNotWaitForThem() async throws {
            var tokens = Tokens()
            _ = tokens.make(.read)
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                for _ in 0..<4 {
                    let peer = try RawPeer(rig.tcp)
                    try await peer.send(RawPeer.hello(token: "wrong"))
                    try await peer.send([0])
                }
                let start = ContinuousClock.now
                await rig.drain(grace: .seconds(30))
                #expect(ContinuousClock.now - start < .seconds(10))
            }
        }

        @Test func unixSocketsAreForSomeUsers() async throws {
            try await Rig.with {
                $0.security.authenticator.allowedUIDs = [4_000_000_000]
            } _: { rig in
                let error = await #expect(throws: RhythmError.self) { _ = try await rig.peer(onUnix: true) }
                #expect(error?.code == .permissionDenied && error?.reason == "UID")
                _ = try await rig.peer().info()
            }
            // By default those are the user of this process, and root; what he is called is in the log only.
            try await Rig.with { rig in _ = try await rig.peer(onUnix: true).info() }
        }

        @Test func whoIsRevokedHasToGo() async throws {
            var tokens = Tokens()
            let stays = tokens.make(.read)
            let goes = tokens.make(.operate, name: "goes")
            let security = try tokens.security()
            tokens.revoke("goes")
            let less = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                let staying = try await rig.peer(token: stays)
                let going = try await rig.peer(token: goes)
                let local = try await rig.peer(onUnix: true)
                let id = try await local.start(Rig.gated()).id
                let watch = try await going.begin(.watchProgress(WatchProgress(targets: [.init(workflowID: id)])))
                _ = try await going.next(of: watch)
                await rig.server?.replace(less)
                let last = try await going.untilClosed().last?.body
                guard case .goAway(let goAway)? = last else {
                    Issue.record("\(String(describing: last))")
                    return
                }
                #expect(goAway.reason == "CREDENTIALS_CHANGED")
                _ = try await staying.info()
                _ = try await local.info()
                let error = await #expect(throws: RhythmError.self) { _ = try await rig.peer(token: goes) }
                #expect(error?.reason == "BAD_TOKEN")
            }
        }

        /// Whatever happens to a connection, good or bad, at whatever level.
        @Test func noSecretIsLogged() async throws {
            var tokens = Tokens()
            let good = tokens.make(.read)
            let wrong = Token.make().revealed
            let security = try tokens.security()
            let gone = try Tokens().security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                let peer = try await rig.peer(token: good)
                await #expect(throws: RhythmError.self) { _ = try await rig.peer(token: wrong) }
                let second = try await rig.peer(token: good)
                try await second.send(RawPeer.hello(token: good))
                _ = try await second.untilClosed()
                let third = try RawPeer(rig.tcp)
                try await third.send(RawPeer.hello(version: 9, token: good))
                _ = try await third.untilClosed()
                await rig.server?.replace(gone)
                _ = try await peer.untilClosed()
                let text = rig.log.text
                #expect(text.contains("BAD_TOKEN") && text.contains("credentials ended"))
                for secret in [good.suffix(64), wrong.suffix(64)] {
                    #expect(!text.contains(secret) && !text.contains(secret.prefix(12)), "\(text)")
                }
            }
        }

        private static let info = ClientFrame(callID: 1, body: .call(.getServerInfo))
    }
}
