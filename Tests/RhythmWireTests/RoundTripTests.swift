import RhythmCore
import RhythmWire
import Testing

@Suite struct RoundTripTests {
    @Test(arguments: 0..<Generator.clientKinds)
    func everyClientFrameComesBack(kind: Int) throws {
        let seed = freshSeed()
        var generator = Generator(seed: seed)
        for round in 0..<200 {
            let frame = generator.clientFrame(kind: kind)
            var decoder = FrameDecoder(limit: wideLimit)
            #expect(decoder.client(try frame.encoded) == [.frame(frame)], "seed \(seed), round \(round)")
        }
    }

    @Test(arguments: 0..<Generator.serverKinds)
    func everyServerFrameComesBack(kind: Int) throws {
        let seed = freshSeed()
        var generator = Generator(seed: seed)
        for round in 0..<200 {
            let frame = generator.serverFrame(kind: kind)
            var decoder = FrameDecoder(limit: wideLimit)
            #expect(decoder.server(try frame.encoded) == [.frame(frame)], "seed \(seed), round \(round)")
        }
    }

    @Test func everyEnumValueComesBack() throws {
        func check(_ body: ServerBody) throws {
            let frame = ServerFrame(callID: 1, body: body)
            var decoder = FrameDecoder(limit: wideLimit)
            #expect(decoder.server(try frame.encoded) == [.frame(frame)])
        }
        for code in RhythmError.Code.allCases where code != .ok {
            for effect in RhythmError.Effect.allCases {
                try check(.status(RhythmError(code, reason: "R", "m", effect: effect)))
            }
        }
        for kind in Event.Kind.allCases {
            for status in WorkflowStatus.allCases {
                try check(
                    .watchEvent(
                        .transition(
                            Event(
                                workflowID: "w", version: 1, at: Timestamp(microseconds: 1), kind: kind,
                                status: status, stepsDone: 0))))
            }
        }
    }

    @Test func progressKeepsWhatFollowsFromIt() throws {
        var progress = Progress(
            ProgressReport(name: "copy", done: 0, total: 100, units: "files", at: Timestamp(microseconds: 5_000_000)))
        for (second, done) in [(6, 3.0), (7, 11), (9, 12), (12, 40)] {
            let at = Timestamp(microseconds: Int64(second) * 1_000_000)
            let changed = progress.update(
                ProgressReport(name: "copy", done: done, total: 100, units: "files", at: at))
            #expect(changed)
        }
        let frame = ServerFrame(
            callID: 1,
            body: .watchEvent(
                .progress(ProgressUpdate(workflowID: "w", step: "s", taskID: "t", progress: progress))))
        var decoder = FrameDecoder(limit: wideLimit)
        guard case .frame(let back) = decoder.server(try frame.encoded).first,
            case .watchEvent(.progress(let update)) = back.body
        else {
            Issue.record("no progress came back")
            return
        }
        #expect(update.progress.fractionDone == progress.fractionDone)
        #expect(update.progress.weightedRate == progress.weightedRate)
        #expect(update.progress.averageRate == progress.averageRate)
        #expect(update.progress.timeRemaining == progress.timeRemaining)
        #expect(update.progress.updatedAt == progress.updatedAt)
        #expect(progress.timeRemaining != nil)
    }

    @Test func anEncodedBodyServesEveryCall() throws {
        let seed = freshSeed()
        var generator = Generator(seed: seed)
        for kind in 0..<Generator.serverKinds {
            let body = generator.serverFrame(kind: kind).body
            let encoded = EncodedBody(body)
            for callID in [0, 1, 127, 128, 16_383, 16_384, UInt64(UInt32.max), .max - 1, .max] {
                let frame = ServerFrame(callID: callID, body: body)
                var shared: [UInt8] = [0xAA]
                encoded.append(callID: callID, to: &shared)
                #expect(shared == [0xAA] + (try frame.encoded), "seed \(seed), call \(callID)")
                #expect(shared.count == 5 + encoded.frameLength(callID: callID))
                var decoder = FrameDecoder(limit: wideLimit)
                #expect(decoder.server(Array(shared.dropFirst())) == [.frame(frame)], "seed \(seed)")
            }
        }
    }

    @Test func sparseRequestsHaveTheDocumentedDefaults() {
        var decoder = FrameDecoder(limit: wideLimit)
        let step = field(1, Array("s".utf8)) + field(2, Array("t".utf8)) + field(7, field(1, 3))
        let spec = field(2, Array("n".utf8)) + field(3, Array("a".utf8)) + field(8, step)
        let start = framed(field(1, 7) + field(20, field(1, spec)))
        let expected = WorkflowSpec(
            name: "n", appID: "a", steps: [StepSpec(name: "s", task: "t", retry: RetryPolicy(maxAttempts: 3))])
        #expect(
            decoder.client(start) == [
                .frame(ClientFrame(callID: 7, body: .call(.startWorkflow(StartWorkflow(spec: expected)))))
            ])
        #expect(
            decoder.client(framed(field(1, 8) + field(26, []))) == [
                .frame(ClientFrame(callID: 8, body: .call(.listWorkflows(ListWorkflows(query: ListQuery())))))
            ])
    }

    @Test func durationsBelowAMillisecondDoNotBecomeNone() throws {
        let spec = WorkflowSpec(
            name: "n", appID: "a", steps: [StepSpec(name: "s", task: "t", timeout: .microseconds(1))])
        let frame = ClientFrame(callID: 1, body: .call(.startWorkflow(StartWorkflow(spec: spec))))
        var decoder = FrameDecoder(limit: wideLimit)
        guard case .frame(let back) = decoder.client(try frame.encoded).first,
            case .call(.startWorkflow(let start)) = back.body
        else {
            Issue.record("no start came back")
            return
        }
        #expect(start.spec.steps[0].timeout == .milliseconds(1))
    }

    @Test func aNulInATasksMessageDoesNotMakeTheAnswerUnreadable() throws {
        let error = RhythmError(.internal, reason: "R", "before\0after")
        var decoder = FrameDecoder(limit: wideLimit)
        let frame = ServerFrame(callID: 1, body: .status(error))
        var expected = error
        expected.message = "before\u{FFFD}after"
        #expect(decoder.server(try frame.encoded) == [.frame(ServerFrame(callID: 1, body: .status(expected)))])
    }

    @Test func aStatusLeavesOutWhatNobodyAskedFor() {
        var generator = Generator(seed: freshSeed())
        var workflow = generator.workflow()
        var attempts = [generator.attempt(), generator.attempt(), generator.attempt()]
        for index in attempts.indices { attempts[index].result = .emptyArray }
        workflow.steps = [
            Step(spec: generator.stepSpec(), attempts: attempts), Step(spec: generator.stepSpec()),
        ]
        let plain = GetStatusReply(workflow, for: GetStatus(workflowID: "w")).workflow
        #expect(plain.steps.map(\.attempts) == [[attempts[2]], []])
        let all = GetStatusReply(workflow, for: GetStatus(workflowID: "w", includePreviousAttempts: true)).workflow
        #expect(all == workflow)
        let bare = GetStatusReply(workflow, for: GetStatus(workflowID: "w", omitResults: true)).workflow
        #expect(bare.steps[0].attempts.map(\.result) == [nil])
        #expect(bare.status == workflow.status)
    }
}
