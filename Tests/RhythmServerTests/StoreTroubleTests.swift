import RhythmCore
import RhythmEngine
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// What clients are told while the store refuses.
    @Suite struct StoreTroubleTests {
        @Test(arguments: [
            (StoreError.Code.full, RhythmError.Code.resourceExhausted), (.unavailable, .unavailable),
            (.readOnly, .unavailable), (.corrupt, .dataLoss),
        ])
        func nothingHappensAndEverybodyIsTold(trouble: StoreError.Code, code: RhythmError.Code) async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                let log = try await WatchLog(peer, id)
                try await log.untilStatus(id, .started)
                let version = try await peer.status(id).version

                rig.faults.commit = StoreError(trouble, "the disk says no")
                let start = StartWorkflow(spec: Rig.gated(id: "never"))
                for request in [
                    .startWorkflow(start), .pauseWorkflow(PauseWorkflow(workflowID: id)),
                ] as [Request] {
                    let error = try await peer.failure(of: try await peer.begin(request))
                    #expect(error.code == code)
                    #expect(error.reason == "STORE_\(trouble.rawValue.uppercased())")
                    #expect(error.effect == RhythmError.Effect.none)
                    #expect(error.retryAfter != nil)
                }
                // What is known is still told.
                #expect(try await peer.status(id).version == version)
                try await eventually("the server says that it is degraded") {
                    let info = try await peer.info()
                    return info.health == .degraded && info.healthDetail.contains("the disk says no")
                }
                // A step that ends meanwhile is not lost.
                rig.gates.succeed(id, "one")
                rig.faults.commit = nil
                try await log.untilStatus(id, .success)
                try await eventually("the server serves again") { try await peer.info().health == .serving }
                let missing = try await peer.failure(
                    of: try await peer.begin(.getStatus(GetStatus(workflowID: "never"))))
                #expect(missing.code == .notFound)
            }
        }
    }
}
