import Foundation
import RhythmWire
import Testing

/// What the fuzzers begin with, and whatever they found once.
@Suite struct CorpusTests {
    @Test(arguments: ["frames", "messages"]) func everyInputOfTheFuzzersIsHarmless(folder: String) throws {
        let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fuzz/Corpus").appending(path: folder)
        let names = try FileManager.default.contentsOfDirectory(atPath: corpus.path)
        #expect(names.count >= 9)
        for name in names {
            let input = [UInt8](try Data(contentsOf: corpus.appending(path: name)))
            guard folder == "frames" else {
                try checkMessage(input, name)
                continue
            }
            // As the fuzzer reads it: the limit, the length of the pieces, the bytes.
            try #require(input.count > 2)
            let (limit, piece, bytes) = (max(1, Int(input[0]) * 64), Int(input[1]) + 1, Array(input[2...]))
            var cut = FrameDecoder(limit: limit)
            var (frames, isOver) = (0, false)
            for start in stride(from: 0, to: bytes.count, by: piece) where !isOver {
                for outcome in cut.client(Array(bytes[start..<min(bytes.count, start + piece)])) {
                    if case .frame = outcome { frames += 1 }
                    if case .refused(let error) = outcome { isOver = isOver || error.isFatal }
                }
            }
            var whole = FrameDecoder(limit: limit)
            let expected = whole.client(bytes).count { if case .frame = $0 { true } else { false } }
            #expect(frames == expected, "\(name)")
        }
    }

    private func checkMessage(_ body: [UInt8], _ name: String) throws {
        var decoder = FrameDecoder(limit: wideLimit)
        if case .frame(let frame) = decoder.client(framed(body)).first {
            let written = try frame.encoded
            guard case .frame(let again) = decoder.client(written).first else {
                Issue.record("\(name) cannot be read again")
                return
            }
            #expect(try again.encoded == written, "\(name)")
        }
        var other = FrameDecoder(limit: wideLimit)
        if case .frame(let frame) = other.server(framed(body)).first {
            let written = try frame.encoded
            guard case .frame(let again) = other.server(written).first else {
                Issue.record("\(name) cannot be read again")
                return
            }
            #expect(try again.encoded == written, "\(name)")
        }
    }
}
