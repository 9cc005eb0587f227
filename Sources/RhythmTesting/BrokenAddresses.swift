/// Addresses that are more or less broken, each with a secret somewhere in it.
package struct BrokenAddresses: RandomNumberGenerator {
    /// What must never be shown; no part of it is a word of any message.
    package static let secret = "Xq7Zk9"
    private var state: UInt64

    /// The same seed gives the same addresses.
    package init(seed: UInt64) { state = seed }

    /// SplitMix64.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// The next one. The secret is the password, or what somebody took for one, and may be a value of an option.
    package mutating func next(schemes: [String], options: [String]) -> String {
        let secret = Self.secret
        let password = pick([
            secret, "\(secret)%40", "1/\(secret)", "1?\(secret)", "1#\(secret)", "1;\(secret)", "1:\(secret)",
            "1@\(secret)", "%\(secret)", "1%00\(secret)", "1 \(secret)", "\(secret);", "1;amqp://\(secret)",
            "[\(secret)",
            "1/\(secret)?tls=true&x", "%2F\(secret)%", "é\(secret)", "1?tls=\(secret)", "1\n\(secret)", "",
        ])
        let login = pick([
            "u:\(password)@", ":\(password)@", "u:\(password)@", "\(secret)@", "u:\(secret):\(password)@", "",
        ])
        let host = pick([
            "h", "h:1", "h:0", "h:99999", "", "[::1]:5", "[::1", "h,i", "h,,i:1", "h:x", "%2Ftmp%2Fx.sock", "a.b.c",
        ])
        let path = pick(["", "/", "/db", "//", "/%2F", "/a b", "/%zz", "/db.coll", "/a/b", "/$x"])
        var text = "\(pick(schemes))\(pick(["://", "://", "://", ":/", ":", "//", ""]))\(login)\(host)\(path)"
        for index in 0..<Int.random(in: 0...3, using: &self) {
            let value = pick([
                secret, "true", "false", "1", "0", "-1", "majority", "", "a:\(secret)", "%\(secret)", "MONGODB-X509",
                "PLAIN", "SCRAM-SHA-256", "GSSAPI", "MONGODB-AWS", "99999999999999999999", "snappy,zlib,nothing",
                "/tmp/x",
            ])
            text += "\(index == 0 ? "?" : "&")\(pick(options))\(pick(["=", "=", "=", "", "=="]))\(value)"
        }
        return Int.random(in: 0..<6, using: &self) == 0 ? "\(text);\(pick(schemes))://v:\(password)@k" : text
    }

    private mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[Int.random(in: 0..<choices.count, using: &self)]
    }
}
