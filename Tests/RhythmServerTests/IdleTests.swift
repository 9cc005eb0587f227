import Glibc
import RhythmAuth
import RhythmCore
import RhythmWire
import Testing

@testable import RhythmServer

extension ServerTests {
    /// Sockets that have something to say without end, to a server that has nothing to answer.
    @Suite(.timeLimit(.minutes(2))) struct IdleTests {
        enum State: String, CaseIterable {
            case silent, beforeHello, halfClosedWithCallsOpen, closedWithCallsOpen, notTaking, notTakingAndHalfClosed
            case notTakingAndNotSending, turnedAway, turnedAwayAndSending, turnedAwayAndHalfClosed, parting
            case partingAndSending, held, leaving
        }

        @Test(arguments: State.allCases, [false, true])
        func aConnectionInAnyStateCostsNothing(state: State, onUnix: Bool) async throws {
            var tokens = Tokens()
            let token = tokens.make(.admin)
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
                $0.lingerTimeout = .seconds(60)
                $0.defaultTimeout = .seconds(60)
            } _: { rig in
                let endpoint = onUnix ? rig.unix : rig.tcp
                var peers: [RawPeer] = []
                for _ in 0..<3 {
                    let peer = try RawPeer(endpoint)
                    try await bring(peer, to: state, rig, token)
                    if state != .closedWithCallsOpen { peers.append(peer) }
                }
                try await expectIdle("\(state)")
                // Nobody else notices.
                rig.faults.releaseReads()
                _ = try await rig.peer(token: token).info()
                withExtendedLifetime(peers) {}
            }
        }

        @Test func aHandshakeThatStopsCostsNothing() async throws {
            try await TLSPlace.with { place in
                try await place.withRig(place.security()) { rig in
                    let (begun, ended) = (try place.stranger(rig), try place.stranger(rig))
                    let half = try await place.peer(rig)
                    try await begun.sendFirstFlight(upTo: 50)
                    try await ended.sendFirstFlight(upTo: 50)
                    ended.finishSending()
                    rig.faults.holdReads()
                    try await half.begin(.listWorkflows(ListWorkflows(query: ListQuery())))
                    half.finishSending()
                    try await expectIdle("TLS")
                    rig.faults.releaseReads()
                    withExtendedLifetime((begun, ended, half)) {}
                }
            }
        }

        private func bring(_ peer: RawPeer, to state: State, _ rig: Rig, _ token: String) async throws {
            let list = Request.listWorkflows(ListWorkflows(query: ListQuery()))
            switch state {
            case .beforeHello: return
            case .turnedAway, .turnedAwayAndSending, .turnedAwayAndHalfClosed:
                try await peer.send(RawPeer.hello(token: "wrong"))
                if state == .turnedAwayAndSending { try await peer.send(RawPeer.bytes(RawPeer.hello())) }
                if state == .turnedAwayAndHalfClosed { peer.finishSending() }
                return
            default: try await peer.greet(token: token)
            }
            switch state {
            case .silent, .beforeHello, .turnedAway, .turnedAwayAndSending, .turnedAwayAndHalfClosed: break
            case .halfClosedWithCallsOpen, .closedWithCallsOpen, .leaving:
                let id = try await peer.start(Rig.gated()).id
                try await peer.begin(.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)])))
                rig.faults.holdReads()
                try await peer.begin(list)
                if state == .leaving {
                    _ = await rig.server?.inside { core in
                        core.turn { $0.connections.values.max { $0.id < $1.id }?.goAway(.shutdown, grace: .seconds(9)) }
                    }
                } else {
                    peer.finishSending()
                }
            case .notTaking, .notTakingAndHalfClosed, .notTakingAndNotSending:
                let big = JSON(.array([.string(String(repeating: "x", count: 400_000))]))
                let id = try await peer.start(Rig.gated(args: big)).id
                for _ in 0..<40 { try await peer.begin(.getStatus(GetStatus(workflowID: id))) }
                // More that nobody reads.
                try await peer.send([UInt8](repeating: 0, count: 1000))
                if state == .notTakingAndHalfClosed { peer.finishSending() }
                if state == .notTakingAndNotSending { peer.stopTaking() }
            case .parting, .partingAndSending:
                try await peer.send([0, 0, 0, 3, 0xFF, 0xFF, 0xFF])
                if state == .partingAndSending { try await peer.send([UInt8](repeating: 0xEE, count: 100_000)) }
            case .held:
                rig.faults.holdReads()
                for _ in 0..<100 { try await peer.begin(list) }
            }
        }

        /// Two hundred milliseconds in which this process has next to nothing to compute.
        private func expectIdle(_ what: String) async throws {
            try await Task.sleep(for: .milliseconds(50))
            let (began, busy) = (ContinuousClock.now, Self.cpuTime)
            try await Task.sleep(for: .milliseconds(200))
            let elapsed = ContinuousClock.now - began
            #expect(Self.cpuTime - busy < elapsed * 0.3, "it spins: \(what)")
        }

        /// How long this process has computed.
        private static var cpuTime: Duration {
            var time = timespec()
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
            return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
        }
    }
}
