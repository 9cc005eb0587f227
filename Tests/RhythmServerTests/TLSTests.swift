import Foundation
import RhythmAuth
import RhythmClient
import RhythmCore
import RhythmServer
import RhythmTLS
import RhythmTesting
import RhythmWire
import Testing

extension ServerTests {
    /// The same server behind TLS.
    @Suite(.timeLimit(.minutes(2))) struct TLSTests {
        @Test func servesEverythingAndMore() async throws {
            try await TLSPlace.with { place in
                try await place.withRig(place.security()) { rig in
                    let peer = try await place.peer(rig)
                    // Frames of many records, both ways.
                    let args = try JSON(parsing: "[\"" + String(repeating: "ab", count: 200_000) + "\"]")
                    let id = try await peer.start(Rig.gated(["one", "two"], args: args)).id
                    #expect(try await peer.status(id).args == args)
                    let watch = try await peer.begin(
                        .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)], untilDone: true)))
                    rig.gates.succeed(id, "one")
                    rig.gates.succeed(id, "two")
                    var last: WorkflowStatus?
                    while case .watchEvent(let event) = try await peer.next(of: watch) {
                        if case .transition(let event) = event { last = event.status }
                    }
                    #expect(last == .success)
                    // Plain ones are served beside it.
                    _ = try await rig.peer().info()
                    peer.finishSending()
                    try await expectNothingIsLeft(rig)
                }
            }
        }

        /// Much asked for at once by somebody who reads late: nothing is lost in the session's buffers.
        @Test func answersWaitForASlowReader() async throws {
            try await TLSPlace.with { place in
                try await place.withRig(place.security()) { rig in
                    let peer = try await place.peer(rig)
                    let args = try JSON(parsing: "[\"" + String(repeating: "x", count: 100_000) + "\"]")
                    let id = try await peer.start(Rig.gated(args: args)).id
                    let calls = try await Array(0..<100).asyncMap { _ in
                        try await peer.begin(.getStatus(GetStatus(workflowID: id)))
                    }
                    let other = try await place.peer(rig)
                    _ = try await other.info()
                    for call in calls {
                        guard case .getStatus(let answer) = try await peer.reply(of: call) else {
                            Issue.record("no status")
                            return
                        }
                        #expect(answer.workflow.args == args)
                    }
                }
            }
        }

        @Test func certificatesAreWhoSomebodyIs() async throws {
            try await TLSPlace.with { place in
                var tokens = Tokens()
                let token = tokens.make(.read)
                tokens.add(
                    AccessEntry(
                        name: "batch", role: .operate, scope: .only(["own"]),
                        proof: .certificate(subject: "CN=batch,O=Example"), createdAt: nil))
                let unlisted = try await place.authority.issue("unlisted", for: .client)
                try await place.withRig(place.security(asks: true, tokens: tokens)) { rig in
                    let batch = try await place.peer(rig, showing: place.client)
                    _ = try await batch.start(Rig.gated(appID: "own"))
                    let foreign = await #expect(throws: RhythmError.self) {
                        _ = try await batch.start(Rig.gated(appID: "foreign"))
                    }
                    #expect(foreign?.reason == "APP_ID" && foreign?.message.contains("certificate 'batch'") == true)
                    let refused = await #expect(throws: RhythmError.self) {
                        _ = try await place.peer(rig, showing: unlisted)
                    }
                    #expect(refused?.reason == "UNKNOWN_CERTIFICATE")
                    let reader = try await place.peer(rig, showing: unlisted, token: token)
                    let start = await #expect(throws: RhythmError.self) { _ = try await reader.start(Rig.gated()) }
                    #expect(start?.reason == "ROLE")
                    // Without a certificate there is no hello to be answered, whatever the token.
                    let nobody = try place.stranger(rig)
                    await #expect(throws: TLSError.self) { try await nobody.greet(token: token) }
                    // And without TLS there is none.
                    let plain = await #expect(throws: RhythmError.self) { _ = try await rig.peer() }
                    #expect(plain?.reason == "NO_TOKEN")
                }
                // Without a tokens file every certificate of the authority will do, and nothing else.
                try await place.withRig(place.security(asks: true)) { rig in
                    _ = try await place.peer(rig, showing: unlisted).start(Rig.gated(appID: "any"))
                    let plain = await #expect(throws: RhythmError.self) { _ = try await rig.peer() }
                    #expect(plain?.reason == "NO_TOKEN")
                }
            }
        }

        /// Whoever speaks something else is gone at once.
        @Test func theWrongLanguageIsClosedAtOnce() async throws {
            try await TLSPlace.with { place in
                try await place.withRig(place.security()) { rig in
                    let probes = [
                        try RawPeer.bytes(RawPeer.hello()), Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8),
                        Array("SSH-2.0-OpenSSH_9.2\r\n".utf8), [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                    ]
                    for bytes in probes {
                        let peer = try RawPeer(rig.tls)
                        peer.takesAnything = bytes.first != 0
                        try await peer.send(bytes)
                        let last = try await peer.untilClosed(within: .seconds(4)).last?.body
                        if peer.takesAnything { continue }
                        guard case .goAway(let goAway)? = last else {
                            Issue.record("a plain client is not told: \(String(describing: last))")
                            continue
                        }
                        #expect(goAway.reason == "TLS_REQUIRED")
                    }
                    // TLS where plain frames are expected.
                    let tls = try RawPeer(
                        .tls(host: "127.0.0.1", port: Self.port(rig.tcp)),
                        tls: TLSContext.client(ca: place.authority.ca))
                    let error = await #expect(throws: TLSError.self) { try await tls.shakeHands(within: .seconds(4)) }
                    #expect(error?.kind == .noTLS, "\(String(describing: error))")
                    try await expectNothingIsLeft(rig)
                }
            }
        }

        private static func port(_ endpoint: Endpoint) -> UInt16 {
            switch endpoint {
            case .tcp(_, let port), .tls(_, let port): port
            case .unix: 0
            }
        }

        /// A session that breaks off, in the handshake or later, leaves nothing behind.
        @Test func truncatedSessionsLeaveNothingBehind() async throws {
            try await TLSPlace.with { place in
                try await place.withRig(place.security()) { rig in
                    let whole = try await place.peer(rig)
                    let id = try await whole.start(Rig.gated()).id
                    for cut in [0, 1, 4, 5, 6, 50, 200] {
                        let peer = try place.stranger(rig)
                        try await peer.sendFirstFlight(upTo: cut)
                        peer.finishSending()
                        _ = try? await peer.untilClosed(within: .seconds(10))
                    }
                    for cut in [1, 5, 10, 30] {
                        let peer = try await place.peer(rig)
                        let watch = try await peer.begin(
                            .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)])))
                        _ = try await peer.next(of: watch)
                        try await peer.send(
                            ClientFrame(callID: 9, body: .call(.getServerInfo)), upTo: cut)
                        peer.finishSending()
                        _ = try? await peer.untilClosed(within: .seconds(10))
                    }
                    // Bytes that are no record, in the middle of a good session.
                    let broken = try await place.peer(rig)
                    try await broken.sendRaw([UInt8](repeating: 0x17, count: 40))
                    await #expect(throws: TLSError.self) { _ = try await broken.untilClosed(within: .seconds(10)) }
                    try await eventually("all are gone") { try await whole.info().connections == 1 }
                }
            }
        }

        @Test func aSlowHandshakeIsGivenUp() async throws {
            try await TLSPlace.with { place in
                try await place.withRig(place.security()) {
                    $0.helloTimeout = .milliseconds(150)
                } _: { rig in
                    let silent = try RawPeer(rig.tls)
                    let slow = try place.stranger(rig)
                    try await slow.sendFirstFlight(upTo: 20)
                    let mute = try place.stranger(rig)
                    let start = ContinuousClock.now
                    try await mute.shakeHands()
                    // The handshake counts as part of the hello's time.
                    for peer in [silent, slow] { #expect(try await peer.untilClosed(within: .seconds(5)).isEmpty) }
                    guard case .goAway(let goAway)? = try await mute.untilClosed(within: .seconds(5)).last?.body else {
                        Issue.record("no GoAway")
                        return
                    }
                    #expect(goAway.reason == "HELLO_TIMEOUT")
                    #expect(ContinuousClock.now - start < .seconds(5))
                }
            }
        }

        @Test func newCertificatesAreForNewConnections() async throws {
            try await TLSPlace.with { place in
                let next = try await TestCertificates(in: place.folder, name: "next")
                let identity = try await next.issue("renewed", for: .server)
                try await place.withRig(place.security()) { rig in
                    let old = try await place.peer(rig)
                    var security = try place.security()
                    security.tls = try TLSContext.server(
                        certificate: identity.certificate, key: identity.key, clientCA: nil)
                    await rig.server?.replace(security)
                    let renewed = TLSPlace(
                        folder: place.folder, authority: next, server: identity, client: place.client)
                    try await eventually("the new certificate is shown") {
                        (try? await renewed.peer(rig)) != nil
                    }
                    await #expect(throws: TLSError.self) { _ = try await place.peer(rig) }
                    _ = try await old.start(Rig.gated())
                    _ = try await old.info()
                }
            }
        }

        @Test func theClientLibrary() async throws {
            try await TLSPlace.with { place in
                var tokens = Tokens()
                let token = tokens.make(.operate)
                try await place.withRig(place.security(asks: true, tokens: tokens)) { rig in
                    var options = RhythmClient.Options()
                    options.patience = .zero
                    options.token = token
                    options.tls = TLSOptions(
                        caFile: place.authority.ca, certificateFile: place.client.certificate,
                        keyFile: place.client.key)
                    let address = "127.0.0.1:\(Self.port(rig.tls))"
                    let client = try RhythmClient(endpoint: address, options: options)
                    #expect(client.endpoint == "tls://" + address)
                    let args = try JSON(parsing: "[\"" + String(repeating: "y", count: 400_000) + "\"]")
                    let id = try await client.start(Rig.gated(args: args)).workflow.id
                    #expect(try await client.status(id).args == args)
                    rig.gates.succeed(id, "one")
                    var updates = 0
                    for try await _ in client.watch([id], options: .init(untilDone: true)) { updates += 1 }
                    #expect(updates > 0)

                    options.tls?.certificateFile = nil
                    options.tls?.keyFile = nil
                    try await expectFailure(address, options, .unauthenticated, "CERTIFICATE")
                    options.tls = TLSOptions(
                        certificateFile: place.client.certificate, keyFile: place.client.key)
                    try await expectFailure(address, options, .unauthenticated, "CERTIFICATE")
                    options.tls?.caFile = place.authority.ca
                    options.token = "wrong"
                    try await expectFailure(address, options, .unauthenticated, "BAD_TOKEN")
                    // TLS to a plain port, and plain frames to one that speaks TLS.
                    let plain = "127.0.0.1:\(Self.port(rig.tcp))"
                    let why = try await expectFailure("tls://" + plain, options, .unavailable, "UNREACHABLE")
                    #expect(why.contains("does not speak TLS"), "\(why)")
                    let hint = try await expectFailure("tcp://" + address, options, .unavailable, "UNREACHABLE")
                    #expect(hint.contains("tls://"), "\(hint)")
                    options.tls?.caFile = place.folder + "/nowhere"
                    #expect(throws: RhythmError.self) { _ = try RhythmClient(endpoint: address, options: options) }
                    options.tls = TLSOptions(certificateFile: place.client.certificate)
                    #expect(throws: RhythmError.self) { _ = try RhythmClient(endpoint: address, options: options) }
                }
            }
        }

        @discardableResult
        private func expectFailure(
            _ address: String, _ options: RhythmClient.Options, _ code: RhythmError.Code, _ reason: String,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws -> String {
            let client = try RhythmClient(endpoint: address, options: options)
            let error = await #expect(throws: RhythmError.self, sourceLocation: sourceLocation) {
                _ = try await client.serverInfo()
            }
            #expect(
                error?.code == code && error?.reason == reason, "\(String(describing: error))",
                sourceLocation: sourceLocation)
            return error?.message ?? ""
        }
    }
}
