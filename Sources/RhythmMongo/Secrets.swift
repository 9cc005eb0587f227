import Synchronization

/// What must not be shown to anybody: passwords, in the spelling of an address and decoded.
struct Secrets: Sendable, Hashable {
    private(set) var texts: Set<String> = []

    mutating func insert(_ text: String?) {
        if let text, !text.isEmpty { texts.insert(text) }
    }

    mutating func formUnion(_ other: Secrets) { texts.formUnion(other.texts) }

    /// The text with stars in the place of each secret.
    func removed(from text: String) -> String {
        // The longer first: one may be part of another.
        texts.sorted { $0.utf8.count > $1.utf8.count }.reduce(text) { text, secret in
            Self.replacing(secret, in: text)
        }
    }

    private static func replacing(_ secret: String, in text: String) -> String {
        var result = ""
        var rest = text[...]
        while let found = rest.firstRange(of: secret) {
            result += rest[..<found.lowerBound] + "***"
            rest = rest[found.upperBound...]
        }
        return result + rest
    }

    /// The password of an address and the values of its options that hold one, found without the driver, which refuses
    /// some addresses.
    init(address: String) {
        guard let scheme = address.firstRange(of: "://") else { return }
        let rest = address[scheme.upperBound...]
        // A password with an unescaped `/` or `?` is wrong, but should not be shown for that.
        if let at = rest.lastIndex(of: "@"), let colon = rest[..<at].firstIndex(of: ":") {
            insert(rest[rest.index(after: colon)..<at])
        }
        guard let question = rest.firstIndex(of: "?") else { return }
        for option in rest[rest.index(after: question)...].split(separator: "&") {
            let parts = option.split(separator: "=", maxSplits: 1)
            if parts.count == 2, Self.holdsSecret(String(parts[0])) { insert(parts[1]) }
        }
    }

    init() {}

    private static func holdsSecret(_ option: String) -> Bool {
        let name = option.lowercased()
        return name.contains("password") || name == "authmechanismproperties"
            || name == "sslclientcertificatekeypassword"
    }

    private mutating func insert(_ text: Substring) {
        insert(String(text))
        insert(Self.decoded(text))
    }

    /// With `%40` and its like decoded; nil if that makes no text.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// The secrets of every pool of this process, for what the driver logs, which belongs to no pool.
enum KnownSecrets {
    private static let all = Mutex(Secrets())

    static func add(_ secrets: Secrets) { all.withLock { $0.formUnion(secrets) } }

    static func removed(from text: String) -> String { all.withLock { $0 }.removed(from: text) }
}
