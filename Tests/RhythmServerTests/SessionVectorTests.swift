import Foundation
import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// The recorded sessions of `proto/vectors`, with a running server: what a client in any language can run too.
    @Suite(.timeLimit(.minutes(2))) struct SessionVectorTests {
        @Test func sessionsGoAsRecorded() async throws {
            let sessions = try Vectors.read("server-sessions")
            #expect(sessions.count >= 20)
            try await Rig.with { rig in
                for session in sessions {
                    let name = session["name"]?.stringValue ?? "?"
                    let peer = try RawPeer(rig.tcp)
                    for step in session["steps"]?.arrayValue ?? [] { try await run(step, of: name, peer) }
                    if !peer.isAtEnd {
                        #expect(try await peer.isSilent(for: .milliseconds(10)), "\(name): more than was recorded")
                    }
                }
            }
        }

        private func run(_ step: JSONValue, of name: String, _ peer: RawPeer) async throws {
            if let bytes = step["send"]?.stringValue {
                try await peer.send(Vectors.bytes(bytes))
            } else if let hex = step["receive"]?.stringValue {
                let ignoring = Set((step["ignoring"]?.arrayValue ?? []).compactMap(\.stringValue))
                let wanted = try Vectors.serverFrame(hex)
                let got = try await peer.next()
                if ignoring.contains("*") {
                    guard case (.helloReply, .helloReply) = (wanted.body, got.body) else {
                        Issue.record("\(name): \(got)")
                        return
                    }
                } else if ignoring.contains("message") {
                    #expect(got.withoutMessage == wanted.withoutMessage, "\(name)")
                } else {
                    var bytes: [UInt8] = []
                    try got.append(to: &bytes)
                    #expect(bytes == Vectors.bytes(hex), "\(name): \(got)")
                }
            } else if step["closed"] == .bool(true) {
                #expect(try await peer.untilClosed().isEmpty, "\(name)")
                #expect(!peer.wasReset, "\(name)")
            } else {
                Issue.record("\(name): a step that this test does not know: \(step)")
            }
        }

        @Test func framesThatAreToBeRefusedEndTheirCallOnly() async throws {
            let vectors = try Vectors.read("refused-client-frames")
            #expect(vectors.count >= 7)
            try await Rig.with { rig in
                for vector in vectors {
                    let name = vector["name"]?.stringValue ?? "?"
                    let peer = try await rig.peer()
                    try await peer.send(Vectors.bytes(vector["hex"]?.stringValue ?? ""))
                    let call = UInt64(vector["call_id"]?.intValue ?? 0)
                    let error = try await peer.failure(of: call)
                    #expect(error.reason == vector["reason"]?.stringValue, "\(name)")
                    #expect(error.field == vector["field"]?.stringValue, "\(name)")
                    peer.lastCallID = call
                    _ = try await peer.info()
                }
            }
        }

        /// Every recorded request, with its own call id: each is answered somehow, and none hurts the connection.
        @Test func everyRecordedRequestIsAnswered() async throws {
            try await Rig.with { rig in
                for vector in try Vectors.read("client-frames") {
                    let name = vector["name"]?.stringValue ?? "?"
                    let bytes = Vectors.bytes(vector["hex"]?.stringValue ?? "")
                    var decoder = FrameDecoder(limit: 1 << 20)
                    let frame = try bytes.withUnsafeBytes { buffer in
                        var rest = buffer
                        return try decoder.nextClientFrame(from: &rest)
                    }
                    guard let frame, case .call = frame.body else { continue }
                    let peer = try await rig.peer()
                    try await peer.send(bytes)
                    _ = try await peer.next(of: frame.callID)
                    try await peer.send(ClientFrame(callID: 0, body: .ping(7)))
                    while try await peer.next().body != .pong(7) {}
                    #expect(!peer.isAtEnd, "\(name)")
                }
            }
        }
    }
}

/// The files of `proto/vectors`.
private enum Vectors {
    static func read(_ name: String) throws -> [JSONValue] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "proto/vectors/\(name).json"), encoding: .utf8)
        return try JSON(parsing: text).value.arrayValue ?? []
    }

    static func bytes(_ hex: String) -> [UInt8] {
        var digits = hex[...]
        var bytes: [UInt8] = []
        while digits.count >= 2, let byte = UInt8(digits.prefix(2), radix: 16) {
            bytes.append(byte)
            digits = digits.dropFirst(2)
        }
        return bytes
    }

    static func serverFrame(_ hex: String) throws -> ServerFrame {
        var decoder = FrameDecoder(limit: 1 << 20)
        let frame = try bytes(hex).withUnsafeBytes { buffer in
            var rest = buffer
            return try decoder.nextServerFrame(from: &rest)
        }
        return try #require(frame)
    }
}

extension ServerFrame {
    /// Without what is for people: it may become clearer, and no client may depend on it.
    fileprivate var withoutMessage: ServerFrame {
        switch body {
        case .status(let error?):
            ServerFrame(
                callID: callID,
                body: .status(
                    RhythmError(
                        error.code, reason: error.reason, "", field: error.field, effect: error.effect,
                        retryAfter: error.retryAfter)))
        case .goAway(let goAway):
            ServerFrame(
                callID: callID,
                body: .goAway(
                    GoAway(
                        reason: goAway.reason, message: "", graceMilliseconds: goAway.graceMilliseconds,
                        lastCallID: goAway.lastCallID)))
        default: self
        }
    }
}
