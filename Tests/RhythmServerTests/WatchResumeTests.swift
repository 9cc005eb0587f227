import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Watches that go on where another one was cut off.
    @Suite struct WatchResumeTests {
        @Test func fromEveryVersionOfARunningWorkflow() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await eventful(rig, peer)
                try await expectEveryResumption(peer, id)
            }
        }

        @Test func fromEveryVersionOfAFinishedWorkflow() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await eventful(rig, peer)
                rig.gates.succeed(id, "three")
                try await peer.until(id, is: .success)
                try await expectEveryResumption(peer, id)
            }
        }

        @Test func fromEveryVersionAfterARestart() async throws {
            try await Rig.with { rig in
                let id = try await eventful(rig, try await rig.peer())
                rig.gates.succeed(id, "three")
                try await eventually("it succeeded") {
                    let peer = try await rig.peer()
                    return try await peer.status(id).status == .success
                }
                try await rig.restart()
                try await expectEveryResumption(try await rig.peer(), id)
            }
        }

        /// Resumed while it goes on: what is stored and what comes meet without a seam.
        @Test func whileItGoesOn() async throws {
            try await Rig.with { rig in
                let (peer, other) = (try await rig.peer(), try await rig.peer())
                let steps = (0..<40).map { "s\($0)" }
                let id = try await other.start(Rig.gated(steps)).id
                var logs: [WatchLog] = []
                for step in steps {
                    rig.gates.succeed(id, step)
                    let seen = try await other.status(id).version
                    logs.append(try await WatchLog(peer, id, after: Int64.random(in: 0...seen), untilDone: true))
                }
                for log in logs {
                    try await log.untilEnd()
                    #expect(log[id].status == .success)
                    #expect(log[id].snapshots.isEmpty)
                }
            }
        }

        @Test func moreEventsThanATopicKeeps() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.quick(150)).id
                try await peer.until(id, is: .success)
                let last = try await peer.status(id).version
                #expect(last > 300)
                let log = try await WatchLog(peer, id, after: 0, untilDone: true)
                try await log.untilEnd()
                #expect(log[id].transitions.map(\.version) == Array(1...last))
            }
        }

        @Test func whatIsNoLongerKeptIsAGap() async throws {
            try await Rig.with(eventsKept: 20) { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.quick(30)).id
                try await peer.until(id, is: .success)
                let last = try await peer.status(id).version
                let log = try await WatchLog(peer, id, after: 3, untilDone: true)
                try await log.untilEnd()
                #expect(log[id].gaps.count == 1)
                #expect((log[id].gaps.first ?? 0) > 4)
                #expect(log[id].snapshots.map(\.summary.version) == [last])
                #expect(log[id].transitions.isEmpty)
                let recent = try await WatchLog(peer, id, after: last - 10, untilDone: true)
                try await recent.untilEnd()
                #expect(recent[id].transitions.map(\.version) == Array((last - 9)...last))
            }
        }

        /// A workflow with failures, a pause and progress in its past, at its third step.
        private func eventful(_ rig: Rig, _ peer: RawPeer) async throws -> WorkflowID {
            let id = try await peer.start(Rig.gated(["one", "two", "three"])).id
            rig.gates.report(id, "one", done: 1, of: 2)
            rig.gates.succeed(id, "one")
            rig.gates.order(.fail(Failure(type: "Bad", message: "no")), id, "two")
            try await peer.until(id, is: .failure)
            _ = try await peer.call(.resumeWorkflow(ResumeWorkflow(workflowID: id)))
            try await peer.until(id, is: .started)
            _ = try await peer.call(.pauseWorkflow(PauseWorkflow(workflowID: id)))
            try await eventually("the attempt is gone") { try await peer.status(id).isQuiesced }
            _ = try await peer.call(.resumeWorkflow(ResumeWorkflow(workflowID: id)))
            rig.gates.report(id, "two", attempt: 3, done: 1, of: 2)
            rig.gates.succeed(id, "two", attempt: 3)
            try await eventually("the third step runs") { try await peer.status(id).steps[2].status == .started }
            rig.gates.report(id, "three", done: 7, of: 9)
            try await eventually("its progress is known") {
                try await peer.status(id).steps[2].attempts.last?.progress?.done == 7
            }
            return id
        }

        private func expectEveryResumption(_ peer: RawPeer, _ id: WorkflowID) async throws {
            let last = try await peer.status(id).version
            #expect(last > 12)
            for version in 0...last {
                let log = try await WatchLog(peer, id, after: version)
                try await log.until("version \(last)") { $0[id].lastVersion == last }
                #expect(log[id].transitions.map(\.version) == Array((version + 1)..<(last + 1)))
                #expect(log[id].snapshots.isEmpty && log[id].gaps.isEmpty)
                try await peer.send(ClientFrame(callID: log.call, body: .cancel))
                try await log.untilEnd()
            }
            let ahead = try await WatchLog(peer, id, after: last + 1)
            try await ahead.untilEnd()
            #expect(ahead.end??.code == .outOfRange)
        }
    }
}
