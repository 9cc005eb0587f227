import RhythmCore
import Testing

@testable import RhythmAuth

@Suite(.timeLimit(.minutes(1))) struct AccessListTests {
    private static let time = Timestamp(microseconds: 1_700_000_000_000_000)

    private func make(_ name: String, _ role: Role = .read, _ scope: AppScope = .all) -> (Token, AccessEntry) {
        AccessEntry.make(name: name, role: role, scope: scope, createdAt: Self.time)
    }

    @Test func whatIsWrittenIsRead() throws {
        let (first, one) = make("one", .operate, .only(["a b", "\"q\"", "ü"]))
        let (second, two) = make("two", .admin)
        let certificate = AccessEntry(
            name: "three", role: .read, scope: .only(["x"]), proof: .certificate(subject: "CN=batch,O=Example"),
            createdAt: nil)
        let text = "# people\n\n\(one.line)\r\n  # machines\n\(two.line)\n\(certificate.line)"
        let list = try AccessList(text: text)
        #expect(list.entries == [one, two, certificate])
        #expect(list.entry(for: try #require(Token(first.revealed))) == one)
        #expect(list.entry(for: second) == two)
        #expect(list.entry(forCertificate: "CN=batch,O=Example") == certificate)
        #expect(list.entry(forCertificate: "CN=batch") == nil)
    }

    @Test func onlyTheWholeSecretIsRight() throws {
        let (token, entry) = make("one")
        let (other, _) = make("two")
        let list = try AccessList(text: entry.line)
        #expect(list.entry(for: other) == nil, "an id that nobody has")
        let text = token.revealed
        for index in text.indices.dropFirst("rhythm_0123456789ab_".count) {
            var wrong = text
            wrong.replaceSubrange(index...index, with: text[index] == "0" ? "1" : "0")
            #expect(list.entry(for: try #require(Token(wrong))) == nil)
        }
        #expect(list.entry(for: token) == entry)
    }

    /// HMAC-SHA-256 under a known salt, as anything else computes it.
    @Test func theHashIsTheOneThatIsDocumented() throws {
        let hash = SaltedHash(of: Array("what do ya want for nothing?".utf8), salt: Array("Jefe".utf8))
        #expect(Hex.text(hash.digest) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    @Test func everyTokenHasSaltAndSecretOfItsOwn() throws {
        let made = (0..<50).map { make("n\($0)") }
        #expect(Set(made.map(\.0.revealed)).count == 50)
        #expect(Set(made.map(\.0.id)).count == 50)
        let salts = made.compactMap { if case .token(_, let hash) = $0.1.proof { hash.salt } else { nil } }
        #expect(Set(salts).count == 50)
    }

    @Test func nothingPrintsASecret() throws {
        let (token, entry) = make("one")
        let secret = try #require(token.revealed.split(separator: "_").last.map { String($0) })
        #expect(secret.count == 64)
        var dumped = ""
        dump(token, to: &dumped)
        let wrapped: [Any] = [token, [token], Optional(token) as Any]
        for text in ["\(token)", String(reflecting: token), dumped, "\(wrapped)", entry.line, "\(entry)"] {
            #expect(!text.contains(secret) && !text.contains(secret.prefix(16)))
        }
    }

    @Test(arguments: [
        "", "rhythm", "rhythm_", "rhythm__", "rhythm_0123456789ab_", "rhythm_0123456789ab_00",
        "Rhythm_0123456789ab_" + String(repeating: "0", count: 64),
        "rhythm_0123456789AB_" + String(repeating: "0", count: 64),
        "rhythm_0123456789ab_" + String(repeating: "g", count: 64),
        "rhythm_0123456789ab_" + String(repeating: "0", count: 65),
        "rhythm_0123456789ab_" + String(repeating: "0", count: 64) + "_",
    ])
    func whatIsNoToken(text: String) { #expect(Token(text) == nil) }

    private static let hash =
        #""salt":"\#(String(repeating: "0", count: 32))","hash":"\#(String(repeating: "1", count: 64))""#
    private static func line(_ rest: String, id: String = "0123456789ab") -> String {
        #"{"id":"\#(id)",\#(hash),\#(rest)}"#
    }

    @Test(arguments: [
        ("nonsense", "not a JSON object"), ("[]", "not a JSON object"), ("{", "not a JSON object"),
        (line(#""role":"read""#), "'name' is missing"), (line(#""name":"","role":"read""#), "'name' is no text"),
        (line(#""name":3,"role":"read""#), "'name' is no text"), (line(#""name":"n""#), "'role' has to be one of read"),
        (line(#""name":"n","role":"root""#), "'role' has to be one of read, operate, admin"),
        (line(#""name":"n","role":"read","rolle":1"#), "unknown key 'rolle'; did you mean 'role'?"),
        (line(#""name":"n","role":"read","role":"admin""#), "'role' occurs twice"),
        (line(#""name":"n","role":"read","app_ids":[]"#), "'app_ids' is not a list with at least one"),
        (line(#""name":"n","role":"read","app_ids":"a""#), "'app_ids' is not a list"),
        (line(#""name":"n","role":"read","app_ids":["a",""]"#), "'app_ids' holds"),
        (line(#""name":"n","role":"read","created_at":"soon""#), "'created_at' is no time"),
        (line(#""name":"n","role":"read","certificate":"CN=x""#), "exclude each other"),
        (line(#""name":"n","role":"read""#, id: "0123"), "'id' has to be 12"),
        (#"{"name":"n","role":"read","id":"0123456789ab","salt":"00","hash":"00"}"#, "'salt' and 'hash'"),
        (#"{"name":"n","role":"read"}"#, "'id' has to be 12"),
        (line(#""name":"first","role":"read""#, id: "ba9876543210"), "the name 'first' occurs twice"),
        (line(#""name":"n","role":"read""#, id: "aaaaaaaaaaaa"), "the id 'aaaaaaaaaaaa' occurs twice"),
    ])
    func mistakesNameTheirLine(line: String, message: String) throws {
        let good = Self.line(#""name":"first","role":"read""#, id: "aaaaaaaaaaaa")
        let error = #expect(throws: TokensFileError.self) {
            try AccessList(text: "# a comment\n\(good)\n\n\(line)\n")
        }
        #expect(error?.line == 4)
        #expect(error?.description.contains(message) == true, "\(String(describing: error))")
        #expect(error?.description.contains("1111") == false, "no hash is quoted")
    }

    @Test func anEntryNamesOnlySoManyApplications() throws {
        let many = (0...AccessEntry.appIDsMax).map { "\"a\($0)\"" }.joined(separator: ",")
        let error = #expect(throws: TokensFileError.self) {
            try AccessList(text: Self.line(#""name":"n","role":"read","app_ids":[\#(many)]"#))
        }
        #expect(error?.message.contains("more than \(AccessEntry.appIDsMax)") == true)
    }
}
