extension AMQPAddress {
    private static let options = ["heartbeat", "cacertfile", "certfile", "keyfile", "verify"]
    /// AMQP's short strings, which the virtual host is one of.
    private static let shortBytes = 255

    /// Reads an address. What it refuses it never shows, in no part: nobody can tell what it was meant to be.
    package init(parsing text: String) throws(Malformed) {
        self.init()
        guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }) else {
            throw Malformed(description: "an address holds no blanks and no control characters: write %20 for a blank")
        }
        let rest = try readScheme(text)
        guard !rest.contains("#") else { throw Malformed(description: "a # in an address is written %23") }
        // As for Celery, what logs in ends at the first / or ?, so a password with one of them is no password.
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let tail = rest.dropFirst(authority.count)
        guard !tail.contains("@") else {
            throw Malformed(
                description: "an @ comes after the first / or ?: in a user or password / is written %2F and ? %3F, and"
                    + " elsewhere an @ is written %40")
        }
        try readAuthority(authority)
        let parts = tail.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        if let path = parts.first, path.count > 1 {
            virtualHost = try Self.decode(path.dropFirst(), "the virtual host")
            guard virtualHost.utf8.count <= Self.shortBytes else {
                throw Malformed(description: "the virtual host has more than \(Self.shortBytes) bytes")
            }
        }
        if parts.count > 1 { try readOptions(parts[1]) }
        if (tls?.certificate == nil) != (tls?.key == nil) {
            throw Malformed(description: "certfile and keyfile go together: give both or none")
        }
    }

    private mutating func readScheme(_ text: String) throws(Malformed) -> Substring {
        for scheme in ["amqp://", "pyamqp://", "amqps://"] where text.hasPrefix(scheme) {
            if scheme == "amqps://" {
                tls = TLS()
                port = 5671
            }
            return text.dropFirst(scheme.count)
        }
        throw Malformed(description: "a broker's address begins with amqp:// or amqps://")
    }

    /// `user:password@host:port`; everything but the host may be missing.
    private mutating func readAuthority(_ text: Substring) throws(Malformed) {
        var place = text
        if let at = text.lastIndex(of: "@") {
            let login = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            // Empty is as good as missing, as in Celery.
            let named = try Self.decode(login[0], "the user")
            if !named.isEmpty { user = named }
            let secret = login.count > 1 ? try Self.decode(login[1], "the password") : ""
            if !secret.isEmpty { password = secret }
            place = text[text.index(after: at)...]
        }
        if place.first == "[" {
            guard let end = place.firstIndex(of: "]") else {
                throw Malformed(description: "the host: an IPv6 address is written [::1]")
            }
            host = String(place[place.index(after: place.startIndex)..<end])
            place = place[place.index(after: end)...]
            guard !host.isEmpty, host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
                throw Malformed(description: "the host: what stands between [ and ] is no IPv6 address")
            }
        } else {
            let end = place.firstIndex(of: ":") ?? place.endIndex
            host = try Self.decode(place[..<end], "the host")
            place = place[end...]
            guard !host.isEmpty else { throw Malformed(description: "a broker's address names a host") }
            guard Self.isHostName(host) else {
                throw Malformed(
                    description: "the host holds something else than letters, digits, dots and hyphens; in a password"
                        + " : is written %3A, / %2F and @ %40")
            }
        }
        guard place.isEmpty || place.first == ":" else {
            throw Malformed(description: "the host: after the ] of an IPv6 address comes : and the port, or nothing")
        }
        if place.count > 1 {
            guard place.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(place.dropFirst()),
                1...65535 ~= number
            else { throw Malformed(description: "the port of a broker's address is a number from 1 to 65535") }
            port = number
        }
    }

    /// Whether a text can be the name of a host; by far not all that can exist.
    static func isHostName(_ text: String) -> Bool {
        (1...shortBytes).contains(text.utf8.count)
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
    }

    private mutating func readOptions(_ text: Substring) throws(Malformed) {
        for option in text.split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(pair[0])
            guard Self.options.contains(name) else {
                throw Malformed(
                    description: "an option of a broker's address is none of \(Self.options.joined(separator: ", "))")
            }
            let value = pair.count > 1 ? try Self.decode(pair[1], name) : ""
            if name == "heartbeat" {
                guard let seconds = Int(value), 0...3600 ~= seconds else {
                    throw Malformed(description: "heartbeat is a number of seconds from 0 to 3600")
                }
                heartbeat = seconds
            } else {
                try readTLS(name, value)
            }
        }
    }

    private mutating func readTLS(_ name: String, _ value: String) throws(Malformed) {
        guard var tls else { throw Malformed(description: "\(name) belongs to amqps://, not to amqp://") }
        switch (name, value) {
        case ("verify", "verify_peer"): tls.verifies = true
        case ("verify", "verify_none"): tls.verifies = false
        case ("verify", _): throw Malformed(description: "verify is verify_peer or verify_none")
        case (_, ""): throw Malformed(description: "\(name) names a file")
        case ("cacertfile", _): tls.authorities = value
        case ("certfile", _): tls.certificate = value
        default: tls.key = value
        }
        self.tls = tls
    }

    /// Undoes percent-encoding. Refuses NUL, which would cut the text short in the C library.
    private static func decode(_ text: Substring, _ what: String) throws(Malformed) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { throw Malformed(description: "\(what): % is followed by two hexadecimal digits") }
            bytes.append(code)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw Malformed(description: "\(what): not UTF-8 without NUL")
        }
        return decoded
    }
}
