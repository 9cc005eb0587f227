import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Many calls on one connection, and what ends one of them without harm to the others.
    @Suite struct MultiplexTests {
        @Test func hundredCallsInFlightGetOneReplyEach() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                var bytes: [UInt8] = []
                var open: [UInt64: String] = [:]
                for number in 0..<120 {
                    peer.lastCallID += UInt64(1 + number % 3)
                    let request: Request
                    switch number % 4 {
                    case 0: request = .startWorkflow(StartWorkflow(spec: Rig.quick(name: "n\(number)")))
                    case 1: request = .getStatus(GetStatus(workflowID: id))
                    case 2: request = .listWorkflows(ListWorkflows(query: ListQuery(limit: 3)))
                    default: request = .getStatus(GetStatus(workflowID: WorkflowID("nobody\(number)")))
                    }
                    open[peer.lastCallID] = ["start", "status", "list", "missing"][number % 4]
                    bytes += try RawPeer.bytes(ClientFrame(callID: peer.lastCallID, body: .call(request)))
                }
                try await peer.send(bytes)
                for _ in 0..<120 {
                    let frame = try await peer.next()
                    let wanted = open.removeValue(forKey: frame.callID)
                    let kind = try #require(wanted, "\(frame.callID) was answered twice")
                    switch frame.body {
                    case .reply(.startWorkflow): #expect(kind == "start")
                    case .reply(.getStatus(let found)): #expect(kind == "status" && found.workflow.id == id)
                    case .reply(.listWorkflows): #expect(kind == "list")
                    case .status(let error?): #expect(kind == "missing" && error.code == .notFound)
                    default: Issue.record("unexpected \(frame)")
                    }
                }
                #expect(try await peer.isSilent(for: .milliseconds(50)))
                #expect(try await peer.info().calls == 1)
            }
        }

        @Test(arguments: [UInt64(0), 5, 4]) func callIDsMustGrow(second: UInt64) async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let bystander = try await rig.peer()
                try await peer.send(ClientFrame(callID: 5, body: .call(.getServerInfo)))
                _ = try await peer.next(of: 5)
                try await peer.send(ClientFrame(callID: second, body: .call(.getServerInfo)))
                guard case .goAway(let goAway)? = try await peer.untilClosed().last?.body else {
                    Issue.record("no GoAway")
                    return
                }
                #expect(goAway.reason == "CALL_ID")
                #expect(goAway.message.contains("\(second)"))
                #expect(goAway.lastCallID == 5)
                _ = try await bystander.info()
            }
        }

        /// A frame that cannot be read must not end the open call whose id it bears.
        @Test func brokenFrameWithAnOpenIDIsAProtocolError() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let watch = try await peer.begin(.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)])))
                _ = try await peer.next(of: watch)
                try await peer.send(Self.frame([0x08, UInt8(watch), 0xA2, 0x01, 0x02, 0xFF, 0xFF]))
                let frames = try await peer.untilClosed()
                guard case .goAway(let goAway)? = frames.last?.body else {
                    Issue.record("no GoAway but \(frames)")
                    return
                }
                #expect(goAway.reason == "CALL_ID")
            }
        }

        @Test func callsBeyondTheLimitAreRefused() async throws {
            try await Rig.with {
                $0.maxCalls = 3
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let watch = Request.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)]))
                var calls: [UInt64] = []
                for _ in 0..<3 {
                    calls.append(try await peer.begin(watch))
                    _ = try await peer.next(of: calls[calls.count - 1])
                }
                let refused = try await peer.failure(of: try await peer.begin(.getServerInfo))
                #expect(refused.code == .resourceExhausted)
                #expect(refused.reason == "TOO_MANY_CALLS")
                #expect(refused.effect == .none)
                #expect(refused.retryAfter != nil)
                try await peer.send(ClientFrame(callID: calls[0], body: .cancel))
                try await eventually("its cancellation is told") {
                    if case .status(let error?) = try await peer.next(of: calls[0]) { return error.code == .cancelled }
                    return false
                }
                _ = try await peer.info()
            }
        }

        @Test func whatItDoesNotKnowIsUnimplemented() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                // Field 99, a message.
                try await peer.send(Self.frame([0x08, 0x01, 0x9A, 0x06, 0x00]))
                #expect(try await peer.failure(of: 1).code == .unimplemented)
                // About the connection: ignored. About a call of before: ignored.
                try await peer.send(Self.frame([0x9A, 0x06, 0x00]))
                try await peer.send(Self.frame([0x08, 0x01, 0x9A, 0x06, 0x00]))
                peer.lastCallID = 1
                _ = try await peer.info()
                #expect(try await peer.isSilent(for: .milliseconds(30)))
            }
        }

        @Test func whatCannotBeReadEndsItsCallOnly() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                // A GetStatus that goes beyond its frame, then one whose id is no UTF-8, then one without an id.
                try await peer.send(Self.frame([0x08, 0x01, 0xCA, 0x01, 0x09, 0x0A]))
                #expect(try await peer.failure(of: 1).code == .invalidArgument)
                try await peer.send(Self.frame([0x08, 0x02, 0xCA, 0x01, 0x04, 0x0A, 0x02, 0xC3, 0x28]))
                let text = try await peer.failure(of: 2)
                #expect(text.reason == "BAD_TEXT")
                #expect(text.field == "workflow_id")
                try await peer.send(Self.frame([0x08, 0x03, 0xCA, 0x01, 0x00]))
                #expect(try await peer.failure(of: 3).field == "workflow_id")
                peer.lastCallID = 3
                _ = try await peer.info()
            }
        }

        @Test func whatCannotBeReadAndNamesNoCallEndsTheConnection() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                try await peer.send(Self.frame([0xFF, 0xFF, 0xFF]))
                guard case .goAway(let goAway)? = try await peer.untilClosed().last?.body else {
                    Issue.record("no GoAway")
                    return
                }
                #expect(goAway.reason == "PROTOCOL")
            }
        }

        @Test func requestThatIsTooLongEndsItsCallOnly() async throws {
            try await Rig.with {
                $0.maxRequestBytes = 20_000
            } _: { rig in
                let peer = try await rig.peer()
                func start(_ id: UInt64, padding: Int) throws -> [UInt8] {
                    var spec = Rig.gated(name: "padded")
                    spec.kwargs = try JSON(parsing: #"{"x":""# + String(repeating: "x", count: padding) + #""}"#)
                    let request = Request.startWorkflow(StartWorkflow(spec: spec))
                    return try RawPeer.bytes(ClientFrame(callID: id, body: .call(request)))
                }
                let overhead = try start(1, padding: 19_000).count - 4 - 19_000
                try await peer.send(try start(1, padding: 20_000 - overhead))
                guard case .startWorkflow = try await peer.reply(of: 1) else { return }
                // One byte more, cut in two, and another call right behind it.
                let tooLong = try start(2, padding: 20_001 - overhead)
                try await peer.send(Array(tooLong[..<9000]))
                try await peer.send(
                    tooLong[9000...] + RawPeer.bytes(ClientFrame(callID: 3, body: .call(.getServerInfo))))
                let error = try await peer.failure(of: 2)
                #expect(error.code == .resourceExhausted)
                #expect(error.reason == "FRAME_TOO_LONG")
                guard case .getServerInfo = try await peer.reply(of: 3) else { return }
                peer.lastCallID = 3
                let page = try await peer.call(.listWorkflows(ListWorkflows(query: ListQuery())))
                guard case .listWorkflows(let list) = page else { return }
                #expect(list.page.rows.count == 1)
            }
        }

        @Test func answerThatIsTooLongFailsItsCallOnly() async throws {
            try await Rig.with {
                $0.maxResponseBytes = 4000
            } _: { rig in
                let peer = try await rig.peer()
                let big = JSON(.array([.string(String(repeating: "x", count: 5000))]))
                let steps = (0..<60).map { "step-\($0)-" + String(repeating: "y", count: 100) }
                let call = try await peer.begin(
                    .startWorkflow(StartWorkflow(spec: Rig.gated(steps, id: "big", args: big))))
                #expect(try await peer.failure(of: call).reason == "ANSWER_TOO_LONG")
                let small = try await peer.start(Rig.gated(id: "small")).id
                // A stream whose first event is too long ends with that, and says nothing after it.
                let request = WatchProgress(targets: [WatchTarget(workflowID: "big")])
                let watch = try await peer.begin(.watchProgress(request))
                #expect(try await peer.failure(of: watch).reason == "ANSWER_TOO_LONG")
                rig.gates.succeed("big", steps[0])
                rig.gates.succeed("small", "one")
                try await peer.until(small, is: .success)
                #expect(try await peer.isSilent(for: .milliseconds(50)))
                #expect(try await peer.info().watches == 0)
            }
        }

        @Test func deadlineEndsTheWaitingNotTheWork() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let watch = WatchProgress(targets: [WatchTarget(workflowID: id)])
                let call = try await peer.begin(.watchProgress(watch), timeout: 60)
                try await eventually("the watch ends by its deadline") {
                    guard case .status(let error?) = try await peer.next(of: call) else { return false }
                    return error.code == .deadlineExceeded
                }
                #expect(try await peer.info().calls == 1)
                rig.gates.succeed(id, "one")
                try await peer.until(id, is: .success)
            }
        }

        @Test func cancelEndsACallOnce() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let call = try await peer.begin(.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)])))
                _ = try await peer.next(of: call)
                for _ in 0..<3 { try await peer.send(ClientFrame(callID: call, body: .cancel)) }
                var statuses = 0
                _ = try await peer.info()
                while !(try await peer.isSilent(for: .milliseconds(50))) {
                    if case .status(let error?) = try await peer.next(of: call) {
                        #expect(error.code == .cancelled)
                        statuses += 1
                    }
                }
                #expect(statuses == 1)
                let info = try await peer.info()
                #expect(info.calls == 1 && info.watches == 0)
            }
        }

        @Test func pingIsAnswered() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                try await peer.send(ClientFrame(callID: 0, body: .ping(0xDEAD_BEEF)))
                #expect(try await peer.next() == ServerFrame(callID: 0, body: .pong(0xDEAD_BEEF)))
            }
        }

        static func frame(_ body: [UInt8]) -> [UInt8] {
            withUnsafeBytes(of: UInt32(body.count).bigEndian) { Array($0) } + body
        }
    }
}
