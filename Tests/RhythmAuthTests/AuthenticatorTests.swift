import RhythmAuth
import RhythmCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct AuthenticatorTests {
    private typealias Evidence = Authenticator.Evidence
    private let token: Token
    private let entry: AccessEntry
    private let certificate = AccessEntry(
        name: "batch", role: .operate, scope: .all, proof: .certificate(subject: "CN=batch"), createdAt: nil)
    private let list: AccessList

    init() throws {
        (token, entry) = AccessEntry.make(
            name: "ci", role: .read, scope: .only(["a"]), createdAt: Timestamp(microseconds: 1))
        list = try AccessList(text: entry.line + "\n" + certificate.line)
    }

    private func verdict(
        _ authenticator: Authenticator, _ token: String, _ evidence: Evidence
    ) -> (caller: Caller?, reason: String?) {
        switch authenticator.authenticate(token: token, evidence) {
        case .success(let caller): (caller, nil)
        case .failure(let error): (nil, error.reason)
        }
    }

    @Test func whereNothingIsConfiguredEverybodyGetsIn() {
        let open = Authenticator(allowedUIDs: [7])
        #expect(verdict(open, "", Evidence()).caller == .anyone)
        #expect(verdict(open, "whatever", Evidence()).caller == .anyone, "nobody asked for it")
        #expect(verdict(open, "", Evidence(uid: 7, isUnix: true)).caller?.role == .admin)
    }

    @Test func aUserWhoIsNotAllowedIsRefusedWhateverElseHeShows() {
        for list in [nil, list] {
            let strict = Authenticator(list: list, allowedUIDs: [7])
            #expect(verdict(strict, token.revealed, Evidence(uid: 8, isUnix: true)).reason == "UID")
            #expect(verdict(strict, "", Evidence(uid: nil, isUnix: true)).reason == "UID")
        }
    }

    @Test func tokensWhereTheyAreAskedFor() {
        let strict = Authenticator(list: list, allowedUIDs: [7])
        #expect(verdict(strict, "", Evidence()).reason == "NO_TOKEN")
        #expect(verdict(strict, "nonsense", Evidence()).reason == "BAD_TOKEN")
        #expect(verdict(strict, Token.make().revealed, Evidence()).reason == "BAD_TOKEN")
        let caller = verdict(strict, token.revealed, Evidence()).caller
        #expect(caller?.role == .read && caller?.scope == .only(["a"]))
        #expect(caller?.description.contains("ci") == true)
        // On a unix socket the user suffices; a token that is given counts.
        #expect(verdict(strict, "", Evidence(uid: 7, isUnix: true)).caller?.role == .admin)
        #expect(verdict(strict, token.revealed, Evidence(uid: 7, isUnix: true)).caller?.role == .read)
        #expect(verdict(strict, "nonsense", Evidence(uid: 7, isUnix: true)).reason == "BAD_TOKEN")
    }

    @Test func certificates() {
        let mutual = Authenticator(allowedUIDs: [], verifiesCertificates: true)
        #expect(verdict(mutual, "", Evidence()).reason == "NO_TOKEN", "nothing was shown")
        #expect(verdict(mutual, "", Evidence(certificate: "CN=any")).caller?.role == .admin)
        let both = Authenticator(list: list, allowedUIDs: [], verifiesCertificates: true)
        #expect(verdict(both, "", Evidence(certificate: "CN=batch")).caller?.role == .operate)
        #expect(verdict(both, "", Evidence(certificate: "CN=any")).reason == "UNKNOWN_CERTIFICATE")
        #expect(verdict(both, token.revealed, Evidence(certificate: "CN=any")).caller?.role == .read)
        #expect(verdict(both, "nonsense", Evidence(certificate: "CN=batch")).reason == "BAD_TOKEN")
    }

    @Test func noRefusalRepeatsWhatWasShown() {
        let strict = Authenticator(list: list, allowedUIDs: [])
        let wrong = Token.make().revealed
        guard case .failure(let error) = strict.authenticate(token: wrong, Evidence()) else {
            Issue.record("a wrong token got in")
            return
        }
        #expect(error.code == .unauthenticated)
        #expect(!"\(error)".contains(wrong.suffix(32)))
    }

    @Test func afterAReload() throws {
        let strict = Authenticator(list: list, allowedUIDs: [7], verifiesCertificates: true)
        let callers = [
            verdict(strict, token.revealed, Evidence()).caller,
            verdict(strict, "", Evidence(certificate: "CN=batch")).caller,
            verdict(strict, "", Evidence(uid: 7, isUnix: true)).caller,
        ].compactMap(\.self)
        #expect(callers.count == 3 && callers.allSatisfy { strict.stillHolds($0) })
        var less = strict
        less.list = try AccessList(text: certificate.line)
        #expect(callers.map { less.stillHolds($0) } == [false, true, true], "the token was revoked")
        less.list = try AccessList(text: entry.line.replacing("\"read\"", with: "\"admin\"") + "\n")
        #expect(callers.map { less.stillHolds($0) } == [false, false, true], "its role was changed")
        less.allowedUIDs = [8]
        #expect(callers.map { less.stillHolds($0) } == [false, false, false])
        #expect(!less.stillHolds(.anyone) && Authenticator(allowedUIDs: []).stillHolds(.anyone))
    }
}
