import RhythmCore
import RhythmWire
import Testing

@Suite struct FramingTests {
    /// A session of 60 frames of all kinds.
    private func session(seed: UInt64) throws -> (frames: [ClientFrame], bytes: [UInt8]) {
        var generator = Generator(seed: seed)
        let frames = (0..<60).map { _ in generator.clientFrame() }
        var bytes: [UInt8] = []
        for frame in frames { try frame.append(to: &bytes) }
        return (frames, bytes)
    }

    @Test func anyChunkingGivesTheSameFrames() throws {
        let seed = freshSeed()
        let (frames, bytes) = try session(seed: seed)
        var generator = Generator(seed: seed &+ 1)
        for round in 0..<200 {
            let largest = [1, 2, 5, 17, 300, 5000][round % 6]
            var decoder = FrameDecoder(limit: wideLimit)
            var outcomes: [Outcome<ClientFrame>] = []
            var offset = 0
            while offset < bytes.count {
                let end = min(bytes.count, offset + 1 + generator.below(largest))
                outcomes += decoder.client(Array(bytes[offset..<end]))
                offset = end
            }
            #expect(outcomes == frames.map { .frame($0) }, "seed \(seed), round \(round)")
            #expect(!decoder.isMidFrame)
        }
    }

    @Test func aSessionCutAnywhereGivesTheFramesThatWereWhole() throws {
        let seed = freshSeed()
        let (frames, bytes) = try session(seed: seed)
        var ends: [Int] = [0]
        for frame in frames { ends.append(ends[ends.count - 1] + (try frame.encoded.count)) }
        var whole = 0
        for cut in 0...bytes.count {
            if whole < frames.count, ends[whole + 1] <= cut { whole += 1 }
            var decoder = FrameDecoder(limit: wideLimit)
            // Only the tail of it, so that the test is not quadratic; all frames before are whole.
            let from = max(0, whole - 1)
            let outcomes = decoder.client(Array(bytes[ends[from]..<cut]))
            #expect(outcomes == frames[from..<whole].map { .frame($0) }, "seed \(seed), cut at \(cut)")
            #expect(decoder.isMidFrame == (cut != ends[whole]), "seed \(seed), cut at \(cut)")
        }
    }

    @Test func everyFrameCutInItselfIsRefusedOrReadAndNothingElse() throws {
        let seed = freshSeed()
        var generator = Generator(seed: seed)
        for kind in 0..<Generator.clientKinds {
            let body = Array(try generator.clientFrame(kind: kind).encoded.dropFirst(4))
            for cut in 0..<body.count {
                var decoder = FrameDecoder(limit: wideLimit)
                let outcomes = decoder.client(framed(Array(body[..<cut])) + framed(field(1, 5) + field(12, [])))
                guard case .refused(let error) = outcomes.first, error.isFatal else {
                    #expect(outcomes.count == 2, "seed \(seed), kind \(kind), cut \(cut)")
                    #expect(outcomes.last == .frame(ClientFrame(callID: 5, body: .ping(0))))
                    continue
                }
                #expect(error.callID == nil || error.callID == 0)
            }
        }
    }

    @Test func theLimitIsExact() throws {
        let frame = ServerFrame(
            callID: 3,
            body: .logData(
                LogData(
                    taskID: "t", offset: 0, data: [UInt8](repeating: 7, count: 1000), endOffset: 1000,
                    isComplete: true)))
        let bytes = try frame.encoded
        let length = bytes.count - 4
        let ping = ServerFrame(callID: 4, body: .ping(9))
        for chunk in [1, 7, bytes.count * 2] {
            var decoder = FrameDecoder(limit: length)
            #expect(outcomes(bytes, of: &decoder, chunk: chunk) == [.frame(frame)])
        }
        // A hello's limit is the end of the connection; a negotiated one is not.
        for chunk in [1, 7, bytes.count * 2] {
            let limit = length - 1
            var decoder = FrameDecoder(limit: limit)
            let found = outcomes(bytes + (try ping.encoded), of: &decoder, chunk: chunk)
            guard case .refused(let error) = found.first else {
                Issue.record("a frame above the limit was read")
                continue
            }
            #expect(error.kind == .tooLong(length: length, limit: limit))
            #expect(error.isFatal)
        }
        let longer = [UInt8](repeating: 7, count: 10_000)
        let long = ServerFrame(
            callID: 77, body: .logData(LogData(taskID: "t", offset: 0, data: longer, endOffset: 0, isComplete: false)))
        for chunk in [1, 7, 50_000] {
            var decoder = FrameDecoder(limit: 5000)
            let found = outcomes(try long.encoded + ping.encoded, of: &decoder, chunk: chunk)
            #expect(
                found == [
                    .refused(
                        FrameError(
                            kind: .tooLong(length: try long.encoded.count - 4, limit: 5000), callID: 77,
                            isFatal: false)),
                    .frame(ping),
                ], "chunk \(chunk)")
            #expect(!decoder.isMidFrame)
        }
    }

    private func outcomes(
        _ bytes: [UInt8], of decoder: inout FrameDecoder, chunk: Int
    ) -> [Outcome<ServerFrame>] {
        var found: [Outcome<ServerFrame>] = []
        for start in stride(from: 0, to: bytes.count, by: chunk) {
            found += decoder.server(Array(bytes[start..<min(bytes.count, start + chunk)]))
            if case .refused(let error) = found.last, error.isFatal { return found }
        }
        return found
    }

    @Test(arguments: [FrameDecoder.helloLimit, 1 << 20])
    func otherProtocolsAreRefusedByTheirFirstBytes(limit: Int) {
        let probes: [[UInt8]] = [
            [0xFF, 0xFF, 0xFF, 0xFF],
            Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8),
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8),
            Array("SSH-2.0-OpenSSH_9.2\r\n".utf8),
            [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03],
        ]
        for probe in probes {
            var decoder = FrameDecoder(limit: limit)
            guard case .refused(let error) = decoder.client(Array(probe.prefix(4))).first else {
                Issue.record("four bytes of \(probe) were not enough")
                continue
            }
            #expect(error.isFatal)
        }
    }

    @Test func theLimitMayGrowBetweenTwoFramesOfOneChunk() throws {
        let hello = ClientFrame(callID: 0, body: .hello(Hello(clientName: "c", clientVersion: "1")))
        let long = ClientFrame(
            callID: 1, body: .call(.resolveID(ResolveID(prefix: String(repeating: "x", count: 5000)))))
        let bytes = try hello.encoded + long.encoded
        let frames = try bytes.withUnsafeBytes { buffer in
            var rest = buffer
            var decoder = FrameDecoder()
            let first = try decoder.nextClientFrame(from: &rest)
            decoder.limit = 1 << 20
            let second = try decoder.nextClientFrame(from: &rest)
            return [first, second, try decoder.nextClientFrame(from: &rest)]
        }
        #expect(frames == [hello, long, nil])
    }

    @Test func anEncoderKeepsToItsLimit() throws {
        let frame = ServerFrame(callID: 3, body: .ping(1))
        let length = try frame.encoded.count - 4
        var output: [UInt8] = [1]
        try frame.append(to: &output, limit: length)
        #expect(output.count == 1 + 4 + length)
        #expect(throws: FrameError.self) { try frame.append(to: &output, limit: length - 1) }
        #expect(output.count == 1 + 4 + length)
    }
}
