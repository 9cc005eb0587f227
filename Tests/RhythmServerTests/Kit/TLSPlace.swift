import Foundation
import RhythmAuth
import RhythmEngine
import RhythmServer
import RhythmTLS
import RhythmTesting
import RhythmWire

/// Certificates for one test, and servers that use them.
struct TLSPlace {
    let folder: String
    let authority: TestCertificates
    let server: TestCertificates.Identity
    let client: TestCertificates.Identity

    static func with(_ body: (TLSPlace) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "rhythm-tls-" + RandomUUID.make().prefix(13)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let authority = try await TestCertificates(in: folder)
        try await body(
            TLSPlace(
                folder: folder, authority: authority, server: try await authority.issue("server", for: .server),
                client: try await authority.issue("batch", for: .client)))
    }

    /// What a server needs to speak TLS.
    ///
    /// - Parameter asks: clients have to show a certificate.
    func security(asks: Bool = false, tokens: Tokens? = nil) throws -> Security {
        var security = Security()
        security.authenticator.list = try tokens?.list()
        security.authenticator.verifiesCertificates = asks
        security.tls = try TLSContext.server(
            certificate: server.certificate, key: server.key, clientCA: asks ? authority.ca : nil)
        return security
    }

    /// A server that listens with TLS, and plainly as well.
    func withRig(
        _ security: Security, _ change: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (Rig) async throws -> Void
    ) async throws {
        try await Rig.with {
            $0.endpoints.append(.tls(host: "127.0.0.1", port: 0))
            $0.security = security
            change(&$0)
        } _: { rig in
            try await body(rig)
        }
    }

    /// A peer that has yet to say hello.
    ///
    /// - Parameter identity: the certificate that it shows.
    func stranger(_ rig: Rig, showing identity: TestCertificates.Identity? = nil) throws -> RawPeer {
        try RawPeer(
            rig.tls,
            tls: TLSContext.client(ca: authority.ca, identity: identity.map { ($0.certificate, $0.key) }))
    }

    /// A peer that has said hello.
    func peer(
        _ rig: Rig, showing identity: TestCertificates.Identity? = nil, token: String = ""
    ) async throws -> RawPeer {
        let peer = try stranger(rig, showing: identity)
        try await peer.greet(token: token)
        return peer
    }
}
