import RhythmAuth
import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Many who ask for examinations at once.
    @Suite struct DiagnoseTests {
        @Test func thereIsOneAtATimeAndWhoWaitsSharesTheNext() async throws {
            try await Rig.with { rig in
                rig.examinations.hold()
                let peer = try await rig.peer()
                let first = try await peer.begin(.diagnose)
                try await eventually("it has begun") { rig.examinations.begun.count == 1 }
                var others: [UInt64] = []
                for _ in 0..<5 { others.append(try await peer.begin(.diagnose)) }
                // One that does not wait any more gets no examination of its own.
                let cancelled = try await peer.begin(.diagnose)
                try await peer.send(ClientFrame(callID: cancelled, body: .cancel))
                #expect(try await peer.failure(of: cancelled).code == .cancelled)
                _ = try await peer.info()
                #expect(rig.examinations.begun.count == 1)
                rig.examinations.letGo()
                guard case .diagnose = try await peer.reply(of: first) else { return }
                try await eventually("the next one has begun") { rig.examinations.begun.count == 2 }
                rig.examinations.letGo()
                for call in others { guard case .diagnose = try await peer.reply(of: call) else { return } }
                #expect(rig.examinations.begun.count == 2)
                try await eventually("no call is left") { try await peer.info().calls == 1 }
            }
        }

        @Test func thereIsALimitToThoseWhoWait() async throws {
            try await Rig.with {
                $0.maxCalls = 100
            } _: { rig in
                rig.examinations.hold()
                let peer = try await rig.peer()
                var calls = [try await peer.begin(.diagnose)]
                try await eventually("it has begun") { rig.examinations.begun.count == 1 }
                for _ in 0..<64 { calls.append(try await peer.begin(.diagnose)) }
                let error = try await peer.failure(of: try await peer.begin(.diagnose))
                #expect(error.code == .resourceExhausted && error.reason == "TOO_MANY_EXAMINATIONS")
                #expect(error.retryAfter != nil)
                rig.examinations.letGo()
                try await eventually("the next one has begun") { rig.examinations.begun.count == 2 }
                rig.examinations.letGo()
                for call in calls { guard case .diagnose = try await peer.reply(of: call) else { return } }
            }
        }

        /// Who may see other applications gets an examination of his own.
        @Test func scopesAreNotMixed() async throws {
            var tokens = Tokens()
            let all = tokens.make(.admin)
            let own = tokens.make(.read, .only(["own"]))
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                let (admin, limited) = (try await rig.peer(token: all), try await rig.peer(token: own))
                _ = try await admin.start(Rig.gated(appID: "foreign"))
                rig.examinations.hold()
                let first = try await admin.begin(.diagnose)
                try await eventually("it has begun") { rig.examinations.begun.count == 1 }
                let second = try await limited.begin(.diagnose)
                _ = try await limited.info()
                rig.examinations.letGo()
                guard case .diagnose = try await admin.reply(of: first) else { return }
                try await eventually("the other one has begun") { rig.examinations.begun.count == 2 }
                #expect(rig.examinations.begun.map(\.count) == [1, 0])
                rig.examinations.letGo()
                guard case .diagnose = try await limited.reply(of: second) else { return }
            }
        }
    }
}
