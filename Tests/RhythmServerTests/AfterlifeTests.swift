import Dispatch
import RhythmAuth
import RhythmCore
import RhythmEngine
import RhythmWire
import Testing

@testable import RhythmServer

extension ServerTests {
    /// Connections, calls, watches and cursors hold each other; all of them go when they have ended, however they end.
    @Suite(.timeLimit(.minutes(2))) struct AfterlifeTests {
        enum End: String, CaseIterable {
            case closedByPeer, halfClosed, reset, brokenProtocol, closedByServer, farewell, tooMuchWaits
            case writeFails
        }

        @Test(arguments: End.allCases, [false, true])
        func nothingOutlivesAConnection(end: End, onUnix: Bool) async throws {
            try await Rig.with {
                $0.lingerTimeout = .milliseconds(100)
            } _: { rig in
                let other = try await rig.peer()
                let server = try #require(rig.server)
                let id = try await running(rig, other)
                var peer: RawPeer? = try await rig.peer(onUnix: onUnix)
                try await openOneOfEach(try #require(peer), rig, id)
                let remains = try #require(await server.inside { Remains(of: $0) })
                #expect(Set(remains.all).count >= 7, "\(remains.all)")
                try await make(end, &peer, rig, id)
                rig.faults.releaseReads()
                try await expectNone(of: remains)
                try await expectNothingIsLeft(of: rig, besides: other)
                withExtendedLifetime(peer) {}
            }
        }

        @Test func nothingOutlivesItsCallEither() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let server = try #require(rig.server)
                let id = try await running(rig, peer)
                let first = peer.lastCallID + 1
                try await openOneOfEach(peer, rig, id)
                let remains = try #require(await server.inside { Remains(of: $0) })
                for call in first...peer.lastCallID { try await peer.send(ClientFrame(callID: call, body: .cancel)) }
                rig.faults.releaseReads()
                try await expectNone(of: remains, but: "connection")
                // Those that end in peace: the deadline, and the end of what was watched.
                try await openOneOfEach(peer, rig, id, timeout: 500)
                let overdue = try #require(await server.inside { Remains(of: $0) })
                rig.faults.releaseReads()
                try await expectNone(of: overdue, but: "connection")
                let watch = WatchProgress(targets: [WatchTarget(workflowID: id)], untilDone: true)
                let last = try await peer.begin(.watchProgress(watch))
                _ = try await peer.next(of: last)
                let done = try #require(await server.inside { Remains(of: $0) })
                #expect(done.all.count == 4, "\(done.all)")
                rig.gates.succeed(id, "one")
                try await expectNone(of: done, but: "connection")
            }
        }

        @Test func nothingOutlivesTheServer() async throws {
            var remains: Remains?
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await running(rig, peer)
                try await openOneOfEach(peer, rig, id)
                remains = await rig.server?.inside { Remains(wholeOf: $0) }
                rig.faults.releaseReads()
            }
            try await expectNone(of: #require(remains))
        }

        /// Whoever lets go of a server without draining it.
        @Test func nothingOutlivesAServerThatWasNotDrained() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await running(rig, peer)
                try await openOneOfEach(peer, rig, id)
                let remains = try #require(await rig.server?.inside { Remains(wholeOf: $0) })
                rig.faults.releaseReads()
                rig.abandonServer()
                try await expectNone(of: remains)
                _ = try await peer.untilClosed(within: .seconds(2))
                try await eventually("nobody listens") { (try? RawPeer(rig.tcp)) == nil }
            }
        }

        /// What was asked before the end still counts, although nobody takes the answers and the socket says so while
        /// other things that were read with it wait to be looked at.
        @Test func whatWasAskedBeforeTheEndCountsInItsOrder() async throws {
            try await Rig.with { rig in
                let other = try await rig.peer()
                let server = try #require(rig.server)
                var peer: RawPeer? = try await rig.peer(onUnix: true)
                let lane = await server.hold()
                // So many pongs that they are to be written at once, which fails; of the rest, half is read by then.
                var bytes = try (0..<100).flatMap { _ in try RawPeer.bytes(ClientFrame(callID: 0, body: .ping(7))) }
                bytes += try starts(5, longerBy: 25_000)
                try await peer?.send(bytes)
                peer = nil
                lane.signal()
                try await eventually("all of them are there") { try await other.info().activeWorkflows == 5 }
                try await expectNothingIsLeft(of: rig, besides: other)
            }
        }

        /// On a unix socket: over TCP, what the server has not made room for is still with the peer's system, which forgets it.
        @Test func whatWasAskedOfAServerThatDoesNotReadCounts() async throws {
            try await Rig.with { rig in
                let other = try await rig.peer()
                let server = try #require(rig.server)
                var peer: RawPeer? = try await rig.peer(onUnix: true)
                try await stopReading(from: try #require(peer), rig)
                try await peer?.send(starts(3, longerBy: 10))
                peer = nil
                try await eventually("they are there") { try await other.info().activeWorkflows == 4 }
                try await expectNothingIsLeft(of: rig, besides: other)
                withExtendedLifetime(server) {}
            }
        }

        // MARK: Steps

        /// Timers keep some of it for a while.
        private func expectNone(of remains: Remains, but allowed: String...) async throws {
            do {
                try await eventually("nothing is left", within: .seconds(8)) { remains.left == allowed }
            } catch {
                Issue.record("still there: \(remains.left)")
            }
        }

        private func running(_ rig: Rig, _ peer: RawPeer) async throws -> WorkflowID {
            let id = try await peer.start(Rig.gated()).id
            try await peer.until(id, is: .started)
            let task = try #require(try await peer.status(id).steps[0].attempts.last?.id)
            rig.logs.write("x", to: task)
            return id
        }

        /// Every kind of call that holds something: watches, a log, a long poll, a read that is under way and others that
        /// wait for it, progress that is sent later.
        private func openOneOfEach(_ peer: RawPeer, _ rig: Rig, _ id: WorkflowID, timeout: UInt32 = 0) async throws {
            let before = try await peer.status(id).steps[0].attempts.last?.progress?.done ?? 0
            var watch = WatchProgress(targets: [WatchTarget(workflowID: id)])
            watch.minProgressIntervalMilliseconds = 500
            let watches = [
                try await peer.begin(.watchProgress(watch), timeout: timeout),
                try await peer.begin(
                    .watchProgress(WatchProgress(filter: WorkflowFilter(appID: "tests"))), timeout: timeout),
            ]
            for watch in watches { _ = try await peer.next(of: watch) }
            for done in 1...3 {
                rig.gates.report(id, "one", done: before + Double(done), of: 100)
                _ = try await peer.next(of: watches[1])
            }
            let version = try await peer.status(id).version
            try await peer.begin(.getStatus(GetStatus(workflowID: id, waitAfterVersion: version)), timeout: timeout)
            let log = try await peer.begin(.tailLog(TailLog(workflowID: id, follow: true)), timeout: timeout)
            _ = try await peer.next(of: log)
            rig.faults.holdReads()
            for _ in 0..<12 {
                try await peer.begin(.listWorkflows(ListWorkflows(query: ListQuery())), timeout: timeout)
            }
        }

        private func make(_ end: End, _ peer: inout RawPeer?, _ rig: Rig, _ id: WorkflowID) async throws {
            switch end {
            case .closedByPeer: peer = nil
            case .halfClosed: peer?.finishSending()
            case .reset:
                peer?.endWithReset()
                peer = nil
            case .brokenProtocol: try await peer?.send([0, 0, 0, 3, 0xFF, 0xFF, 0xFF])
            case .closedByServer:
                _ = await rig.server?.inside { core in
                    core.turn { $0.connections.values.max { $0.id < $1.id }?.close() }
                }
            case .farewell:
                _ = await rig.server?.inside { core in
                    core.turn { core in
                        guard let last = core.connections.values.max(by: { $0.id < $1.id }) else { return }
                        last.goAway(.connectionAge, grace: .milliseconds(50))
                        core.schedule(after: .milliseconds(50), for: last) { $0.part() }
                    }
                }
            case .tooMuchWaits:
                try await stopReading(from: try #require(peer), rig)
                peer = nil
            case .writeFails:
                peer?.stopTaking()
                rig.gates.succeed(id, "one")
                // Over TCP nobody notices.
                try await Task.sleep(for: .milliseconds(50))
                peer = nil
            }
        }
    }
}

/// Frames that start workflows.
func starts(_ count: Int, longerBy length: Int) throws -> [UInt8] {
    let args = JSON(.array([.string(String(repeating: "x", count: length))]))
    return try (1...count).flatMap { number in
        let start = StartWorkflow(spec: Rig.gated(id: WorkflowID("w\(number)"), args: args))
        return try RawPeer.bytes(ClientFrame(callID: UInt64(1_000_000 + number), body: .call(.startWorkflow(start))))
    }
}

/// Asks for so much, and takes none of it, that the server reads nothing more from the peer that came last.
func stopReading(from peer: RawPeer, _ rig: Rig) async throws {
    let other = try await rig.peer()
    let big = JSON(.array([.string(String(repeating: "x", count: 400_000))]))
    let id = try await other.start(Rig.gated(args: big)).id
    for _ in 0..<40 { try await peer.begin(.getStatus(GetStatus(workflowID: id))) }
    try await eventually("nothing is read from it") {
        await rig.server?.inside { core in core.connections.values.contains { $0.readIsSuspended } } == true
    }
}

/// Waits until the server has forgotten everybody but `peer`.
func expectNothingIsLeft(of rig: Rig, besides peer: RawPeer) async throws {
    try await eventually("the server has forgotten every other connection, call and watch") {
        let info = try await peer.info()
        return info.connections == 1 && info.calls == 1 && info.watches == 0
    }
}
