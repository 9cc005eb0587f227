extension AMQPAddress {
    package init(parsing text: String) throws(Malformed) {
        self.init()
        let rest: Substring
        if text.hasPrefix("amqp://") {
            rest = text.dropFirst(7)
        } else if text.hasPrefix("amqps://") {
            rest = text.dropFirst(8)
            tls = TLS()
            port = 5671
        } else {
            throw Malformed(description: "a broker's address begins with amqp:// or amqps://")
        }
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let place = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        try readAuthority(place[0])
        if place.count > 1, !place[1].isEmpty { virtualHost = try Self.decode(place[1], "the virtual host") }
        if parts.count > 1 { try readOptions(parts[1]) }
        if (tls?.certificate == nil) != (tls?.key == nil) {
            throw Malformed(description: "certfile and keyfile go together: give both or none")
        }
    }

    /// `user:password@host:port`; everything but the host may be missing.
    private mutating func readAuthority(_ text: Substring) throws(Malformed) {
        var place = text
        if let at = text.lastIndex(of: "@") {
            let login = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decode(login[0], "the user")
            if login.count > 1 { password = try Self.decode(login[1], "the password") }
            place = text[text.index(after: at)...]
        }
        if place.first == "[", let end = place.firstIndex(of: "]") {
            host = String(place[place.index(after: place.startIndex)..<end])
            place = place[place.index(after: end)...]
        } else {
            let end = place.lastIndex(of: ":") ?? place.endIndex
            host = try Self.decode(place[..<end], "the host")
            place = place[end...]
        }
        if place.first == ":", place.count > 1 {
            guard let number = Int(place.dropFirst()), 1...65535 ~= number else {
                throw Malformed(description: "the port of a broker's address is a number from 1 to 65535")
            }
            port = number
        }
        guard !host.isEmpty else { throw Malformed(description: "a broker's address names a host") }
    }

    private mutating func readOptions(_ text: Substring) throws(Malformed) {
        for option in text.split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(pair[0])
            let value = pair.count > 1 ? try Self.decode(pair[1], name) : ""
            if name == "heartbeat" {
                guard let seconds = Int(value), 0...3600 ~= seconds else {
                    throw Malformed(description: "heartbeat is a number of seconds from 0 to 3600, not \"\(value)\"")
                }
                heartbeat = seconds
            } else if ["cacertfile", "certfile", "keyfile", "verify"].contains(name) {
                try readTLS(name, value)
            } else {
                throw Malformed(
                    description: "\"\(name)\" is no option of a broker's address:"
                        + " there are heartbeat, cacertfile, certfile, keyfile and verify")
            }
        }
    }

    private mutating func readTLS(_ name: String, _ value: String) throws(Malformed) {
        guard var tls else { throw Malformed(description: "\(name) belongs to amqps://, not to amqp://") }
        switch (name, value) {
        case ("verify", "verify_peer"): tls.verifies = true
        case ("verify", "verify_none"): tls.verifies = false
        case ("verify", _): throw Malformed(description: "verify is verify_peer or verify_none, not \"\(value)\"")
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
            guard digits.count == 2, let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) else {
                throw Malformed(description: "\(what): % is followed by two hexadecimal digits")
            }
            bytes.append(code)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw Malformed(description: "\(what): not UTF-8 without NUL")
        }
        return decoded
    }
}
