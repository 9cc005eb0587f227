import Foundation
import RhythmCore
import RhythmWire
import Testing

@Suite struct HostileInputTests {
    private func refusal(_ bytes: [UInt8], limit: Int = wideLimit) -> FrameError? {
        var decoder = FrameDecoder(limit: limit)
        guard case .refused(let error) = decoder.client(framed(bytes)).first else { return nil }
        return error
    }

    @Test func textsHoldUTF8WithoutNUL() {
        let bad: [[UInt8]] = [
            Array("a\0b".utf8), [0], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82],
        ]
        for text in bad {
            let status = refusal(field(1, 9) + field(25, field(1, text)))
            #expect(status?.kind == .badText(field: "workflow_id"))
            #expect(status?.callID == 9)
            #expect(status?.isFatal == false)
            #expect(status?.isAnswerable == true)
            #expect(status?.rhythmError.code == .invalidArgument)
            let step = field(1, Array("s".utf8)) + field(2, text)
            let label = field(5, field(1, text))
            #expect(
                refusal(field(1, 9) + field(20, field(1, field(8, []) + field(8, step))))?.kind
                    == .badText(field: "steps[1].task"))
            #expect(
                refusal(field(1, 9) + field(20, field(1, label)))?.kind == .badText(field: "labels[0].key"))
            #expect(
                refusal(field(1, 9) + field(26, field(1, field(4, field(1, Array("ok".utf8)) + field(1, text)))))?.kind
                    == .badText(field: "filter.workflow_ids[1]"))
        }
    }

    @Test func meaningIsCheckedToo() {
        func kind(_ bytes: [UInt8]) -> FrameError.Kind? { refusal(field(1, 9) + bytes)?.kind }
        func isBadValue(_ bytes: [UInt8], _ path: String) -> Bool {
            if case .badValue(path, _) = kind(bytes) { true } else { false }
        }
        func isBadJSON(_ bytes: [UInt8], _ path: String) -> Bool {
            if case .badJSON(path, _) = kind(bytes) { true } else { false }
        }
        let id = field(1, Array("w".utf8))
        let minusOne = UInt64(bitPattern: -1)
        #expect(isBadValue(field(25, []), "workflow_id"))
        #expect(isBadValue(field(20, []), "spec"))
        #expect(isBadValue(field(21, id + field(2, 7)), "mode"))
        #expect(isBadValue(field(21, id + field(4, minusOne)), "expected_version"))
        #expect(isBadValue(field(26, field(1, field(1, 0))), "filter.statuses[0]"))
        #expect(isBadValue(field(26, field(1, field(1, 6))), "filter.statuses[0]"))
        #expect(isBadValue(field(26, field(2, 2)), "sort"))
        #expect(isBadValue(field(26, field(5, Array("nonsense".utf8))), "cursor"))
        #expect(isBadValue(field(28, field(1, id + field(2, minusOne))), "targets[0].after_version"))
        #expect(isBadValue(field(29, id + field(5, minusOne)), "max_bytes"))
        #expect(isBadJSON(field(20, field(1, field(6, Array("[1,".utf8)))), "args"))
        #expect(isBadJSON(field(22, id + field(4, Array("nope".utf8))), "args"))
        let label = field(5, field(1, Array("k".utf8)))
        #expect(isBadValue(field(20, field(1, label + label)), "labels[1].key"))
        let metadata = (0..<17).flatMap { _ in field(3, field(1, [65])) }
        #expect(isBadValue(metadata + field(30, []), "metadata"))
        #expect(isBadValue(field(3, field(2, [UInt8](repeating: 65, count: 4097))) + field(30, []), "metadata"))
    }

    @Test func anUnknownBodyIsAnswerableAndUnknownFieldsAreIgnored() {
        let unknown = refusal(field(1, 9) + field(99, [1, 2, 3]))
        guard case .unknownBody(number: 99, let near) = unknown?.kind else {
            Issue.record("\(String(describing: unknown))")
            return
        }
        #expect(near.count == 3 && near.contains("get_stats (34)"), "it names what is there: \(near)")
        #expect(unknown?.rhythmError.message.contains("get_stats (34)") == true)
        #expect(refusal(field(1, 9) + field(19, []))?.rhythmError.message.contains("start_workflow (20)") == true)
        #expect(unknown?.callID == 9)
        #expect(unknown?.isFatal == false)
        #expect(unknown?.rhythmError.code == .unimplemented)
        // About the connection itself: nobody to answer, nothing to close.
        let aboutConnection = refusal(field(99, [1, 2, 3]))
        #expect(aboutConnection?.isFatal == false)
        #expect(aboutConnection?.isAnswerable == false)
        let extras = field(98, [0xFF]) + field(97, 5)
        var decoder = FrameDecoder(limit: wideLimit)
        let bytes = framed(field(1, 9) + extras + field(25, field(1, Array("w".utf8)) + extras) + extras)
        #expect(
            decoder.client(bytes) == [
                .frame(ClientFrame(callID: 9, body: .call(.getStatus(GetStatus(workflowID: "w")))))
            ])
    }

    @Test func aFrameThatMakesNoSenseNamesItsCallIfItCan() {
        let broken: [UInt8] = [25 << 3 & 0x7F | 2]
        #expect(refusal(field(1, 300) + broken)?.kind == .malformed)
        #expect(refusal(field(1, 300) + broken)?.callID == 300)
        #expect(refusal(field(1, 300) + broken)?.isFatal == false)
        #expect(refusal(field(98, [1]) + field(1, 300) + broken)?.callID == 300)
        #expect(refusal(field(2, 5) + field(1, 300) + broken)?.callID == 300)
        #expect(refusal(broken)?.isFatal == true)
        #expect(refusal([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])?.isFatal == true)
        #expect(refusal([8])?.callID == nil)
        #expect(refusal([])?.kind == .unknownBody(number: nil, near: []))
    }

    @Test func bombsStayWithinTheBudget() {
        let limit = 1 << 20
        let call = field(1, 9)
        func wrapped(_ filler: [UInt8], _ wrap: ([UInt8]) -> [UInt8]) -> [UInt8] {
            call + wrap([UInt8](repeating: 0, count: (limit - 64) / filler.count).flatMap { _ in filler })
        }
        // Empty steps, empty labels, unknown two-byte fields, empty targets, empty ids.
        let bombs = [
            wrapped([8 << 3 | 2, 0]) { field(20, field(1, $0)) },
            wrapped([5 << 3 | 2, 0]) { field(20, field(1, $0)) },
            wrapped([15 << 3, 0]) { field(20, $0) },
            wrapped([15 << 3, 0]) { $0 },
            wrapped([1 << 3 | 2, 0]) { field(28, $0) },
            wrapped([1 << 3 | 2, 0]) { field(26, field(1, field(4, $0))) },
        ]
        for (index, bomb) in bombs.enumerated() {
            let error = refusal(bomb, limit: limit)
            #expect(error?.kind == .overBudget(bytes: 8 * limit), "bomb \(index)")
            #expect(error?.callID == 9)
            #expect(error?.isFatal == false)
            #expect(error?.rhythmError.code == .resourceExhausted)
        }
    }

    @Test func aFrameFullOfSenseIsWithinTheBudget() throws {
        let json = JSON(.string(String(repeating: "x", count: 500_000)))
        let spec = WorkflowSpec(
            name: "n", appID: "a", args: .array(of: [json]),
            steps: (0..<1000).map { StepSpec(name: "step \($0)", task: "tasks.run", priority: 3) })
        let ids = (0..<25_000).map { WorkflowID("workflow-\(String(repeating: "0", count: 20))\($0)") }
        let requests: [Request] = [
            .startWorkflow(StartWorkflow(spec: spec, requestID: "r")),
            .watchProgress(WatchProgress(targets: ids.prefix(20_000).map { WatchTarget(workflowID: $0) })),
            .listWorkflows(ListWorkflows(query: ListQuery(filter: WorkflowFilter(ids: ids)))),
        ]
        for request in requests {
            let frame = ClientFrame(callID: 1, body: .call(request))
            var decoder = FrameDecoder(limit: 1 << 20)
            #expect(decoder.client(try frame.encoded) == [.frame(frame)])
        }
    }

    /// `make mutate` asks for a million, which take half a minute.
    private var mutations: Int {
        ProcessInfo.processInfo.environment["RHYTHM_MUTATIONS"].flatMap { Int($0) } ?? 100_000
    }

    @Test func mutatedFramesDoNoHarm() throws {
        let seed = freshSeed()
        var generator = Generator(seed: seed)
        var seeds = try (0..<Generator.clientKinds).map { try generator.clientFrame(kind: $0).encoded }
        seeds += try (0..<Generator.serverKinds).map { try generator.serverFrame(kind: $0).encoded }
        let marker = ClientFrame(callID: 5, body: .ping(1))
        let after = try marker.encoded
        var read = 0
        for round in 0..<mutations {
            var body = Array(seeds[generator.below(seeds.count)].dropFirst(4))
            for _ in 0...generator.below(4) where !body.isEmpty {
                let at = generator.below(body.count)
                switch generator.below(4) {
                case 0: body[at] = UInt8(truncatingIfNeeded: generator.next())
                case 1: body[at] ^= 1 << UInt8(generator.below(8))
                case 2: body.remove(at: at)
                default: body.insert(UInt8(truncatingIfNeeded: generator.next()), at: at)
                }
            }
            var decoder = FrameDecoder(limit: 1 << 20)
            let outcomes = decoder.client(framed(body) + after)
            if case .frame = outcomes.first { read += 1 }
            if case .refused(let error) = outcomes.first, error.isFatal { continue }
            #expect(outcomes.last == .frame(marker), "seed \(seed), round \(round)")
            var other = FrameDecoder(limit: 1 << 20)
            _ = other.server(framed(body))
        }
        // Some mutations hit text or numbers and give another valid frame, most do not.
        #expect((mutations / 100..<mutations / 10 * 9).contains(read), "\(read) were read; seed \(seed)")
    }
}
