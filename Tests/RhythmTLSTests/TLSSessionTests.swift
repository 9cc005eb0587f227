import Foundation
import RhythmTesting
import Testing

@testable import RhythmTLS

/// Sessions against each other, without a socket: every byte goes through the hands of the test.
@Suite(.timeLimit(.minutes(1))) struct TLSSessionTests {
    /// Certificates, made once for all tests of this suite.
    private struct Files: Sendable {
        let authority: TestCertificates
        let server: TestCertificates.Identity
        let client: TestCertificates.Identity
        let elsewhere: TestCertificates.Identity
        let stranger: TestCertificates
        let strangersClient: TestCertificates.Identity
    }

    private static func withFiles(_ body: (Files, String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "rhythm-tls-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let authority = try await TestCertificates(in: folder)
        let stranger = try await TestCertificates(in: folder, name: "stranger")
        try await body(
            Files(
                authority: authority, server: try await authority.issue("server", for: .server),
                client: try await authority.issue("batch", for: .client),
                elsewhere: try await authority.issue("elsewhere", for: .elsewhere), stranger: stranger,
                strangersClient: try await stranger.issue("spy", for: .client)), folder)
    }

    private static func server(_ files: Files, asks: Bool = false) throws(TLSError) -> TLSContext {
        try TLSContext.server(
            certificate: files.server.certificate, key: files.server.key, clientCA: asks ? files.authority.ca : nil)
    }

    private static func client(_ files: Files, _ identity: TestCertificates.Identity? = nil) throws(TLSError)
        -> TLSContext
    {
        try TLSContext.client(ca: files.authority.ca, identity: identity.map { ($0.certificate, $0.key) })
    }

    /// Two sessions and what each has read.
    private final class Pair {
        let client: TLSSession
        let server: TLSSession
        var atClient: [UInt8] = []
        var atServer: [UInt8] = []
        var clientError: TLSError?
        var serverError: TLSError?
        var serverEnded = false

        init(_ client: TLSContext, _ server: TLSContext, host: String = "localhost") throws {
            self.client = try TLSSession(client, .client(host: host))
            self.server = try TLSSession(server, .server)
        }

        /// Carries bytes to and fro, in pieces, until nothing moves.
        func settle(pieces: Int = .max) {
            while true {
                var out: [UInt8] = []
                client.takeOutput(into: &out)
                var back: [UInt8] = []
                server.takeOutput(into: &back)
                if out.isEmpty, back.isEmpty { return }
                give(out, to: server, pieces, &atServer, &serverError)
                give(back, to: client, pieces, &atClient, &clientError)
            }
        }

        private func give(
            _ bytes: [UInt8], to session: TLSSession, _ pieces: Int, _ plain: inout [UInt8], _ failure: inout TLSError?
        ) {
            var rest = bytes[...]
            repeat {
                Array(rest.prefix(pieces)).withUnsafeBytes { session.receive($0) }
                rest = rest.dropFirst(pieces)
                var buffer = [UInt8](repeating: 0, count: 1000)
                var hasMore = true
                while hasMore, failure == nil {
                    switch Self.read(session, &buffer) {
                    case .success(.bytes(let count)): plain += buffer[..<count]
                    case .success(.needsMore): hasMore = false
                    case .success(.ended):
                        if session === server { serverEnded = true }
                        hasMore = false
                    case .failure(let error): failure = error
                    }
                }
            } while !rest.isEmpty
        }

        private static func read(
            _ session: TLSSession, _ buffer: inout [UInt8]
        ) -> Result<TLSSession.ReadResult, TLSError> {
            buffer.withUnsafeMutableBytes { buffer in
                Result { () throws(TLSError) in try session.read(into: buffer) }
            }
        }

        func write(_ bytes: [UInt8], from session: TLSSession) throws {
            try bytes.withUnsafeBytes { try session.write($0) }
        }
    }

    @Test func whatGoesInComesOutHoweverItIsCut() async throws {
        try await Self.withFiles { files, _ in
            let big = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            for pieces in [1, 7, 1000, Int.max] {
                let pair = try Pair(Self.client(files), Self.server(files))
                #expect(!pair.client.isEstablished && !pair.server.isEstablished)
                pair.settle(pieces: pieces)
                #expect(pair.client.isEstablished && pair.server.isEstablished)
                #expect(pair.client.version == "TLSv1.3")
                #expect(pair.server.peerSubject == nil, "nobody asked")
                let data = pieces == 1 ? Array(big.prefix(20_000)) : big
                try pair.write(data, from: pair.client)
                try pair.write(data.reversed(), from: pair.server)
                pair.settle(pieces: pieces)
                #expect(pair.atServer == data)
                #expect(pair.atClient == data.reversed())
                pair.client.end()
                pair.settle(pieces: pieces)
                #expect(pair.serverEnded)
            }
        }
    }

    @Test func certificatesOfClients() async throws {
        try await Self.withFiles { files, _ in
            let good = try Pair(Self.client(files, files.client), Self.server(files, asks: true), host: "127.0.0.1")
            good.settle()
            #expect(good.server.peerSubject == "CN=batch,O=Example")
            for identity in [nil, files.strangersClient] {
                let pair = try Pair(Self.client(files, identity), Self.server(files, asks: true))
                pair.settle()
                #expect(pair.serverError?.kind == .certificate, "\(String(describing: pair.serverError))")
                #expect(!pair.server.isEstablished && pair.server.peerSubject == nil)
                // With TLS 1.3 the client learns it by an alert after its own part of the handshake.
                #expect(pair.clientError?.kind == .certificate, "\(String(describing: pair.clientError))")
            }
            // A server's certificate is none for a client.
            let wrongUse = try Pair(Self.client(files, files.server), Self.server(files, asks: true))
            wrongUse.settle()
            #expect(wrongUse.serverError?.kind == .certificate)
        }
    }

    @Test func certificatesOfServers() async throws {
        try await Self.withFiles { files, _ in
            let elsewhere = try TLSContext.server(
                certificate: files.elsewhere.certificate, key: files.elsewhere.key, clientCA: nil)
            for host in ["localhost", "127.0.0.1"] {
                let pair = try Pair(Self.client(files), elsewhere, host: host)
                pair.settle()
                #expect(pair.clientError?.kind == .certificate)
                #expect(
                    pair.clientError?.description.contains("mismatch") == true,
                    "\(String(describing: pair.clientError))")
            }
            let right = try Pair(Self.client(files), elsewhere, host: "elsewhere.example")
            right.settle()
            #expect(right.client.isEstablished)
            let strange = try Pair(TLSContext.client(ca: files.stranger.ca), Self.server(files))
            strange.settle()
            #expect(strange.clientError?.kind == .certificate && strange.serverError != nil)
            let system = try Pair(TLSContext.client(ca: nil), Self.server(files))
            system.settle()
            #expect(system.clientError?.kind == .certificate, "the system knows nothing of this authority")
        }
    }

    @Test func whatIsNoTLSIsSeenAtOnce() async throws {
        try await Self.withFiles { files, _ in
            let context = try Self.server(files)
            for bytes in [
                Array("GET / HTTP/1.1\r\n\r\n".utf8), [0, 0, 0, 15, 0x52, 13, 8, 1, 18, 4, 100, 101],
                [UInt8](repeating: 0xFF, count: 32), Array("SSH-2.0-OpenSSH_9.2\r\n".utf8),
            ] {
                let session = try TLSSession(context, .server)
                bytes.withUnsafeBytes { session.receive($0) }
                var buffer = [UInt8](repeating: 0, count: 100)
                let error = #expect(throws: TLSError.self) {
                    try buffer.withUnsafeMutableBytes { try session.read(into: $0) }
                }
                #expect(error?.kind != .certificate && error?.kind != .file)
                // It stays failed.
                #expect(throws: TLSError.self) { try buffer.withUnsafeMutableBytes { try session.read(into: $0) } }
                #expect(throws: TLSError.self) { try [1].withUnsafeBytes { try session.write($0) } }
            }
        }
    }

    @Test func changedBytesAreNoticed() async throws {
        try await Self.withFiles { files, _ in
            let pair = try Pair(Self.client(files), Self.server(files))
            pair.settle()
            try pair.write([1, 2, 3], from: pair.client)
            var sealed: [UInt8] = []
            pair.client.takeOutput(into: &sealed)
            sealed[sealed.count - 1] ^= 1
            sealed.withUnsafeBytes { pair.server.receive($0) }
            var buffer = [UInt8](repeating: 0, count: 100)
            let error = #expect(throws: TLSError.self) {
                try buffer.withUnsafeMutableBytes { try pair.server.read(into: $0) }
            }
            #expect(error?.kind == .failed)
        }
    }

    @Test func oldVersionsAreRefused() async throws {
        try await Self.withFiles { files, folder in
            let context = try Self.server(files)
            // A ClientHello of TLS 1.1 as the openssl program would send it, by hand: version 3.2, one old cipher.
            var body: [UInt8] = [3, 2] + [UInt8](repeating: 7, count: 32) + [0, 0, 2, 0, 0x2F, 1, 0]
            body = [1, 0, 0, UInt8(body.count)] + body
            let record: [UInt8] = [22, 3, 1, 0, UInt8(body.count)] + body
            let session = try TLSSession(context, .server)
            record.withUnsafeBytes { session.receive($0) }
            var buffer = [UInt8](repeating: 0, count: 100)
            let error = #expect(throws: TLSError.self) {
                try buffer.withUnsafeMutableBytes { try session.read(into: $0) }
            }
            #expect(error?.description.contains("protocol") == true, "\(String(describing: error))")
            var alert: [UInt8] = []
            session.takeOutput(into: &alert)
            #expect(alert.first == 21, "the peer is told")
        }
    }

    @Test func filesThatCannotBeUsedAreNamed() async throws {
        try await Self.withFiles { files, folder in
            let nowhere = folder + "/nowhere.pem"
            let text = folder + "/text.pem"
            try Data("nothing\n".utf8).write(to: URL(fileURLWithPath: text))
            let encrypted = folder + "/encrypted.key"
            try await TestCertificates.run(
                folder, ["ec", "-in", files.server.key, "-aes128", "-passout", "pass:x", "-out", encrypted])
            let (certificate, key) = (files.server.certificate, files.server.key)
            let cases: [(String, String, String?, String)] = [
                (nowhere, key, nil, nowhere), (certificate, nowhere, nil, nowhere), (text, key, nil, text),
                (certificate, text, nil, text), (certificate, files.client.key, nil, files.client.key),
                (certificate, key, nowhere, nowhere), (certificate, key, text, text),
                (certificate, encrypted, nil, encrypted),
            ]
            for (certificate, key, ca, named) in cases {
                let error = #expect(throws: TLSError.self) {
                    try TLSContext.server(certificate: certificate, key: key, clientCA: ca)
                }
                #expect(error?.kind == .file)
                #expect(error?.description.contains(named) == true, "\(String(describing: error))")
            }
            #expect(throws: TLSError.self) { try TLSContext.client(ca: text) }
        }
    }
}
