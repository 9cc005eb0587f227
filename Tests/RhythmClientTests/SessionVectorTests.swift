import Foundation
import RhythmClient
import RhythmCore
import RhythmWire
import Synchronization
import Testing

/// The recorded sessions of `proto/vectors/client-sessions.json`, with a server that does what they say: what the author
/// of a client in any language can run too.
@Suite(.timeLimit(.minutes(1))) struct SessionVectorTests {
    @Test func sessionsGoAsRecorded() async throws {
        let sessions = try Self.read("client-sessions")
        #expect(sessions.count >= 8)
        for session in sessions { try await run(session) }
    }

    private func run(_ session: JSONValue) async throws {
        let name = session["name"]?.stringValue ?? "?"
        let parts = (session["steps"]?.arrayValue ?? []).split { $0["reconnect"] != nil }.map { Array($0) }
        let served = Mutex(0)
        let peer = ScriptedPeer { connection, index in
            guard index < parts.count else { return }
            for step in parts[index] { Self.serve(step, of: name, connection) }
            served.withLock { $0 += 1 }
            // The last connection is the client's to close.
            if index == parts.count - 1 { _ = connection.receive() }
        }
        var options = RhythmClient.Options()
        options.timeout = .seconds(20)
        let client = try RhythmClient(endpoint: peer.address, options: options)
        let outcome = try #require(session["outcome"])
        do throws(RhythmError) {
            switch session["call"]?["name"]?.stringValue {
            case "resolve_id":
                let found = try await client.resolve(prefix: session["call"]?["prefix"]?.stringValue ?? "")
                let wanted = outcome["workflow_ids"]?.arrayValue?.compactMap(\.stringValue)
                #expect(found.map(\.rawValue) == wanted, "\(name)")
            case "pause_workflow":
                let id = WorkflowID(session["call"]?["workflow_id"]?.stringValue ?? "")
                let receipt = try await client.pause(id).receipt
                #expect(.bool(receipt.accepted) == outcome["accepted"], "\(name)")
                #expect(receipt.reason == outcome["reason"]?.stringValue, "\(name)")
            case let other: Issue.record("\(name): a call that this test does not know: \(String(describing: other))")
            }
            #expect(outcome["code"] == nil, "\(name) should have failed")
        } catch {
            #expect(Int64(error.code.rawValue) == outcome["code"]?.intValue, "\(name): \(error)")
            #expect(error.reason == outcome["reason"]?.stringValue, "\(name)")
            #expect(error.field == outcome["field"]?.stringValue, "\(name)")
            #expect("\(error.effect)" == outcome["effect"]?.stringValue, "\(name)")
        }
        #expect(served.withLock { $0 } == parts.count, "\(name): all of it happened")
    }

    private static func serve(_ step: JSONValue, of name: String, _ connection: PeerConnection) {
        if let hex = step["receive"]?.stringValue {
            connection.write(bytes(hex))
        } else if let hex = step["send"]?.stringValue {
            let ignoring = Set((step["ignoring"]?.arrayValue ?? []).compactMap(\.stringValue))
            let got = connection.receive()?.ignoring(ignoring)
            #expect(got == frame(hex)?.ignoring(ignoring), "\(name)")
        } else {
            Issue.record("\(name): a step that this test does not know: \(step)")
        }
    }

    private static func read(_ name: String) throws -> [JSONValue] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "proto/vectors/\(name).json"), encoding: .utf8)
        return try JSON(parsing: text).value.arrayValue ?? []
    }

    private static func bytes(_ hex: String) -> [UInt8] {
        var digits = hex[...]
        var bytes: [UInt8] = []
        while digits.count >= 2, let byte = UInt8(digits.prefix(2), radix: 16) {
            bytes.append(byte)
            digits = digits.dropFirst(2)
        }
        return bytes
    }

    private static func frame(_ hex: String) -> ClientFrame? {
        var decoder = FrameDecoder(limit: 1 << 20)
        return bytes(hex).withUnsafeBytes { buffer in
            var rest = buffer
            return try? decoder.nextClientFrame(from: &rest)
        }
    }
}

extension ClientFrame {
    /// Without what every client chooses for itself.
    fileprivate func ignoring(_ fields: Set<String>) -> ClientFrame {
        var copy = self
        if fields.contains("timeout_ms") { copy.timeoutMilliseconds = 0 }
        if fields.contains("request_id"), case .call(.pauseWorkflow(var pause)) = body {
            pause.requestID = ""
            copy.body = .call(.pauseWorkflow(pause))
        }
        return copy
    }
}
