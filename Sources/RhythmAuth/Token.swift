/// A bearer token: whoever has its text is let in. `rhythm_ID_SECRET`, with 12 and 64 hexadecimal digits.
///
/// The id says which entry of the tokens file is meant and is no secret; it may be logged. The secret is shown once,
/// when the token is made, and kept nowhere. It is in no description, so that no log can hold it by mistake.
package struct Token: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let id: String
    /// The digits of the secret.
    let secret: [UInt8]

    private static let prefix = "rhythm_"
    private static let idDigits = 12
    private static let secretDigits = 64

    /// A fresh one, from the system's random number generator.
    package static func make() -> Token {
        Token(id: Hex.text(randomBytes(6)), secret: Array(Hex.text(randomBytes(32)).utf8))
    }

    /// Reads the text of a token; nil if it is none.
    package init?(_ text: String) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, text.hasPrefix(Self.prefix), Self.isID(String(parts[1])),
            parts[2].utf8.count == Self.secretDigits, Hex.bytes(String(parts[2])) != nil
        else { return nil }
        self.init(id: String(parts[1]), secret: Array(parts[2].utf8))
    }

    private init(id: String, secret: [UInt8]) {
        self.id = id
        self.secret = secret
    }

    static func isID(_ text: String) -> Bool { text.utf8.count == idDigits && Hex.bytes(text) != nil }

    static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// The whole text, secret included: for the one who is to have it.
    package var revealed: String { Self.prefix + id + "_" + String(decoding: secret, as: UTF8.self) }

    package var description: String { "token \(id)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}
