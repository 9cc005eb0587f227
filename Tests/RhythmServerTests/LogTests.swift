import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// TailLog, with and without following.
    @Suite struct LogTests {
        @Test func givesWhatIsThere() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let (id, task) = try await running(rig, peer)
                let text = String(repeating: "0123456789", count: 20_000)
                rig.logs.write(text, to: task)
                let whole = try await log(peer, TailLog(workflowID: id))
                #expect(whole == text)
                #expect(try await log(peer, TailLog(workflowID: id, offset: -15)) == String(text.suffix(15)))
                #expect(try await log(peer, TailLog(workflowID: id, offset: 7, maxBytes: 5)) == "78901")
                #expect(try await log(peer, TailLog(workflowID: id, step: "one", taskID: task, maxBytes: 3)) == "012")
            }
        }

        @Test func followsUntilTheEnd() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let (id, task) = try await running(rig, peer)
                let call = try await peer.begin(.tailLog(TailLog(workflowID: id, follow: true)))
                var text = ""
                for part in ["one\n", "two\n", "three\n"] {
                    rig.logs.write(part, to: task)
                    while !text.hasSuffix(part) { text += try await piece(peer, call) ?? "(end)" }
                }
                rig.logs.finish(task)
                while let more = try await piece(peer, call) { text += more }
                #expect(text == "one\ntwo\nthree\n")
                try await expectNothingIsLeft(besides: peer)
            }
        }

        @Test func canBeCancelledWhileItFollows() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let (id, task) = try await running(rig, peer)
                rig.logs.write("x", to: task)
                let call = try await peer.begin(.tailLog(TailLog(workflowID: id, follow: true)))
                #expect(try await piece(peer, call) == "x")
                try await peer.send(ClientFrame(callID: call, body: .cancel))
                #expect(try await peer.failure(of: call).code == .cancelled)
                try await expectNothingIsLeft(besides: peer)
            }
        }

        @Test func tellsWhatIsMissing() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let (id, _) = try await running(rig, peer)
                let cases: [(TailLog, RhythmError.Code, String)] = [
                    (TailLog(workflowID: "nobody"), .notFound, "NO_SUCH_WORKFLOW"),
                    (TailLog(workflowID: id, step: "three"), .notFound, "NO_SUCH_STEP"),
                    (TailLog(workflowID: id, taskID: "t"), .notFound, "NO_SUCH_ATTEMPT"),
                    (TailLog(workflowID: id, step: "two"), .failedPrecondition, "NOT_RUN_YET"),
                ]
                for (request, code, reason) in cases {
                    let error = try await peer.failure(of: try await peer.begin(.tailLog(request)))
                    #expect(error.code == code)
                    #expect(error.reason == reason)
                }
            }
        }

        private func running(_ rig: Rig, _ peer: RawPeer) async throws -> (WorkflowID, TaskID) {
            let id = try await peer.start(Rig.gated(["one", "two"])).id
            try await peer.until(id, is: .started)
            return (id, try await peer.status(id).steps[0].attempts[0].id)
        }

        private func log(_ peer: RawPeer, _ request: TailLog) async throws -> String {
            let call = try await peer.begin(.tailLog(request))
            var text = ""
            while let more = try await piece(peer, call) { text += more }
            return text
        }

        /// Nil at the end of the stream.
        private func piece(_ peer: RawPeer, _ call: UInt64) async throws -> String? {
            switch try await peer.next(of: call) {
            case .logData(let data): return String(decoding: data.data, as: UTF8.self)
            case .status(nil): return nil
            case .status(let error?): throw error
            case let other: throw RawPeer.Trouble.unexpected(other)
            }
        }

        private func expectNothingIsLeft(besides peer: RawPeer) async throws {
            try await eventually("the call has ended") { try await peer.info().calls == 1 }
        }
    }
}
