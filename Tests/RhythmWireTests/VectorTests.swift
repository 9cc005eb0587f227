import RhythmCore
import RhythmWire
import Testing

/// The recorded frames in `proto/vectors` were made by another implementation (`protoc --encode` of their `text`), so
/// they hold this one to the protocol and not to itself.
@Suite struct VectorTests {
    @Test func clientFramesAreThoseRecorded() throws {
        let vectors = try Vector.all("client-frames")
        #expect(Set(vectors.map(\.name)) == Set(ExpectedFrames.client.keys))
        for vector in vectors {
            let frame = try #require(ExpectedFrames.client[vector.name])
            var decoder = FrameDecoder(limit: wideLimit)
            #expect(decoder.client(vector.bytes) == [.frame(frame)], "\(vector.name)")
            #expect(hex(try frame.encoded) == hex(vector.bytes), "\(vector.name)")
        }
    }

    @Test func serverFramesAreThoseRecorded() throws {
        let vectors = try Vector.all("server-frames")
        #expect(Set(vectors.map(\.name)) == Set(ExpectedFrames.server.keys))
        for vector in vectors {
            let frame = try #require(ExpectedFrames.server[vector.name])
            var decoder = FrameDecoder(limit: wideLimit)
            #expect(decoder.server(vector.bytes) == [.frame(frame)], "\(vector.name)")
            #expect(hex(try frame.encoded) == hex(vector.bytes), "\(vector.name)")
        }
    }

    @Test func framesToBeRefusedAreRefused() throws {
        let vectors = try Vector.all("refused-client-frames")
        #expect(vectors.count >= 7)
        for vector in vectors {
            var decoder = FrameDecoder(limit: wideLimit)
            guard case .refused(let error) = decoder.client(vector.bytes).first else {
                Issue.record("\(vector.name) was read")
                continue
            }
            #expect(error.callID == vector.callID, "\(vector.name)")
            #expect(error.rhythmError.reason == vector.reason, "\(vector.name)")
            #expect(error.rhythmError.field == vector.field, "\(vector.name)")
            #expect(!error.isFatal, "\(vector.name)")
        }
    }

    /// The blocks between ```` ```hex ```` and ```` ``` ```` in the README are the frames that its text describes.
    @Test func theExampleOfTheReadmeIsTrue() throws {
        let blocks = try ProtoFolder.text("README.md").components(between: "```hex\n", and: "```")
        let bytes = blocks.map { block in
            hex(block.split(separator: "\n").map { $0.prefix { $0 != "#" } }.joined())
        }
        let call: (UInt64, Request) -> ClientFrame = { ClientFrame(callID: $0, body: .call($1)) }
        let sent = [
            ClientFrame(callID: 0, body: .hello(Hello(clientName: "demo", clientVersion: "0.1"))),
            call(1, .pauseWorkflow(PauseWorkflow(workflowID: "w1", requestID: "r1"))),
        ]
        let answered = ServerFrame(
            callID: 1,
            body: .status(
                RhythmError(.notFound, reason: "NO_SUCH_WORKFLOW", "there is no workflow 'w1'", field: "workflow_id")))
        try #require(bytes.count == 3)
        #expect(bytes[0] == (try sent[0].encoded))
        #expect(bytes[1] == (try sent[1].encoded))
        #expect(bytes[2] == (try answered.encoded))
    }
}

extension String {
    /// The texts between each `opening` and the next `closing`.
    fileprivate func components(between opening: String, and closing: String) -> [Substring] {
        var found: [Substring] = []
        var rest = self[...]
        while let start = rest.range(of: opening), let end = rest[start.upperBound...].range(of: closing) {
            found.append(rest[start.upperBound..<end.lowerBound])
            rest = rest[end.upperBound...]
        }
        return found
    }

    fileprivate func range(of text: String) -> Range<Index>? { self[...].range(of: text) }
}

extension Substring {
    fileprivate func range(of text: String) -> Range<Index>? { ranges(of: text).first }
}
