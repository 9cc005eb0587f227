import RhythmCore
import RhythmWire
import Testing

/// Answers to GetStatus are kept encoded; none may be given that is older than what the client was told.
@Suite struct StatusAnswerTests {
    @Test func noAnswerIsOlderThanAReceipt() async throws {
        try await Rig.with { rig in
            let peer = try await rig.peer()
            let id = try await peer.start(Rig.gated(["one", "two"])).id
            for round in 1...50 {
                // Thrice: the second answer is kept, the third is the kept one.
                let versions = [
                    try await peer.status(id).version, try await peer.status(id).version,
                    try await peer.status(id).version,
                ]
                #expect(versions == versions.sorted(), "round \(round)")
                let reply = try await peer.call(.pauseWorkflow(PauseWorkflow(workflowID: id)))
                guard case .pauseWorkflow(let paused) = reply else { throw RawPeer.Trouble.unexpected(.reply(reply)) }
                let after = try await peer.status(id)
                #expect(after.version >= paused.receipt.version, "round \(round)")
                let resumed = try await peer.call(.resumeWorkflow(ResumeWorkflow(workflowID: id)))
                guard case .resumeWorkflow(let receipt) = resumed else {
                    throw RawPeer.Trouble.unexpected(.reply(resumed))
                }
                #expect(try await peer.status(id).version >= receipt.receipt.version, "round \(round)")
            }
        }
    }

    @Test func progressShowsInTheNextAnswer() async throws {
        try await Rig.with { rig in
            let peer = try await rig.peer()
            let id = try await peer.start(Rig.gated()).id
            for done in 1...20 {
                for _ in 0..<3 { _ = try await peer.status(id) }
                rig.gates.report(id, "one", done: Double(done), of: 20)
                try await eventually("\(done) of 20 shows") {
                    try await peer.status(id).steps[0].current?.progress?.state.done == Double(done)
                }
            }
        }
    }

    @Test func whatIsLeftOutIsNotMixedUp() async throws {
        try await Rig.with { rig in
            let peer = try await rig.peer()
            let id = try await peer.start(Rig.gated(["one", "two"])).id
            let result = try JSON(parsing: "[1]")
            rig.gates.succeed(id, "one", result)
            try await eventually("the first step is done") { try await peer.status(id).pendingIndex == 1 }
            for _ in 0..<3 {
                for omits in [true, true, true, false, false, false] {
                    let status = try await peer.status(GetStatus(workflowID: id, omitResults: omits))
                    #expect(status.steps[0].current?.result == (omits ? nil : result))
                }
            }
        }
    }
}
