/// An address of a MongoDB deployment, taken apart and checked before the driver sees it.
///
/// The driver takes addresses that end the process later, such as a user without a password, and its own words about
/// what it refuses may hold a part of a password. What is refused here is never shown, and what is shown was parsed.
package struct MongoAddress: Sendable, Hashable {
    /// The address cannot be used. `description` names the part and what would be right, and shows nothing of it.
    package struct Malformed: Error, Sendable, Hashable, CustomStringConvertible {
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// `mongodb`, or `mongodb+srv` for a name whose hosts the DNS knows.
    package let scheme: String
    /// Hosts with ports, or paths of sockets.
    package let hosts: [String]
    /// The database; nil if the address names none.
    package let database: String?
    let user: String?
    let hasPassword: Bool
    /// By their names in lower case, as they are when decoded.
    let options: [String: String]
    /// The address as the driver is given it.
    let driverText: String

    /// - Throws: ``Malformed``.
    package init(parsing text: String) throws(Malformed) {
        guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }) else {
            throw Malformed("an address holds no blanks and no control characters: write %20 for a blank")
        }
        guard let scheme = ["mongodb", "mongodb+srv"].first(where: { text.hasPrefix($0 + "://") }) else {
            throw Malformed("the address begins with neither mongodb:// nor mongodb+srv://")
        }
        self.scheme = scheme
        let rest = text.dropFirst(scheme.count + 3)
        guard !rest.contains("#") else { throw Malformed("a # in an address is written %23") }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let tail = rest.dropFirst(authority.count)
        guard !tail.contains("@") else {
            throw Malformed(
                "an @ comes after the first / or ?: in a user or a password / is written %2F and ? %3F, and elsewhere an @"
                    + " is written %40")
        }
        let at = authority.lastIndex(of: "@")
        (user, hasPassword) = try Self.login(at.map { authority[..<$0] })
        hosts = try Self.hosts(at.map { authority[authority.index(after: $0)...] } ?? authority, scheme: scheme)
        let parts = tail.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count < 2 || parts[0].hasPrefix("/") else {
            throw Malformed("a / comes between the hosts and the options: mongodb://HOST/?NAME=VALUE")
        }
        let path = parts.first?.dropFirst() ?? ""
        // What stands behind a dot is the name of a collection, which Celery passes over.
        let name = path.prefix { $0 != "." }
        database = try Self.database(name)
        options = try Self.options(parts.count > 1 ? parts[1] : "")
        driverText =
            name.count == path.count
            ? text
            : "\(scheme)://\(authority)/\(name)" + (parts.count > 1 ? "?\(parts[1])" : "")
        try checkLogin()
    }

    /// The user, and whether there is a password. Nobody if there is no `@`.
    private static func login(_ text: Substring?) throws(Malformed) -> (user: String?, hasPassword: Bool) {
        guard let text else { return (nil, false) }
        guard !text.contains("@") else { throw Malformed("an @ in the user or the password is written %40") }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = try decode(parts[0], "the user")
        guard !user.isEmpty else {
            throw Malformed("there is an @, but no user before it: mongodb://USER:PASSWORD@HOST")
        }
        guard parts.count > 1 else { return (user, false) }
        guard !parts[1].contains(":") else { throw Malformed("a : in the password is written %3A") }
        return (user, !(try decode(parts[1], "the password").isEmpty))
    }

    private static func hosts(_ text: Substring, scheme: String) throws(Malformed) -> [String] {
        guard !text.isEmpty else {
            throw Malformed(
                "the address names no host; a unix socket is written %2Ftmp%2Fmongodb-27017.sock, with %2F for each /")
        }
        var hosts: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) { hosts.append(try host(part)) }
        guard scheme == "mongodb+srv" else { return hosts }
        guard hosts.count == 1, hosts[0].allSatisfy({ $0 != ":" && $0 != "/" }),
            hosts[0].split(separator: ".").count >= 3
        else {
            throw Malformed(
                "mongodb+srv:// is followed by one name of at least three parts and no port, such as cluster.example.org"
            )
        }
        return hosts
    }

    private static func host(_ text: Substring) throws(Malformed) -> String {
        guard !text.isEmpty else { throw Malformed("one of the hosts between the commas is empty") }
        let decoded = try decode(text, "a host")
        if decoded.hasPrefix("/") {
            guard decoded.hasSuffix(".sock"), decoded.utf8.count < 100 else {
                throw Malformed("the path of a unix socket ends in .sock and has less than 100 bytes")
            }
            return decoded
        }
        var name = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw Malformed("an IPv6 address is written [::1]:27017") }
            name = text[...end]
            port = text[text.index(after: end)...]
            guard name.dropFirst().dropLast().allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }), name.count > 2
            else { throw Malformed("what stands between [ and ] is no IPv6 address") }
        } else if let colon = text.firstIndex(of: ":") {
            name = text[..<colon]
            port = text[colon...]
        }
        if let port, !port.isEmpty {
            guard port.hasPrefix(":"), port.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber }),
                let number = Int(port.dropFirst()),
                (1...65_535).contains(number)
            else { throw Malformed("the port of a host is a number from 1 to 65535") }
        }
        guard !name.isEmpty, name.utf8.count <= 255 else { throw Malformed("a host has no name, or too long a one") }
        guard
            name.hasPrefix("[") || name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) })
        else {
            throw Malformed("a host's name holds something else than letters, digits, dots and hyphens")
        }
        return String(text)
    }

    private static func database(_ text: Substring) throws(Malformed) -> String? {
        let name = try decode(text, "the database")
        guard !name.contains(where: { "/\\ \"$*<>:|?.".contains($0) }), name.utf8.count < 64 else {
            throw Malformed(
                "the database's name holds one of / \\ \" $ * < > : | ? or a blank, or has 64 bytes or more")
        }
        return name.isEmpty ? nil : name
    }

    private static func options(_ text: Substring) throws(Malformed) -> [String: String] {
        var options: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty,
                sides[0].allSatisfy({ $0.isLetter || $0.isNumber })
            else { throw Malformed("options are written NAME=VALUE&NAME=VALUE, none of them empty") }
            options[sides[0].lowercased()] = try decode(sides[1], "the value of an option")
        }
        return options
    }

    /// Undoes percent-encoding. Refuses NUL, which would cut the text short in the driver.
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
            else { throw Malformed("\(what): a % is followed by two hexadecimal digits; a % itself is written %25") }
            bytes.append(code)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw Malformed("\(what): not UTF-8 without NUL")
        }
        return decoded
    }
}

extension MongoAddress: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Scheme, hosts and database: no user, no password, no option.
    package var description: String { described(database: database ?? "") }

    /// The same with the database that is used.
    func described(database: String) -> String { "\(scheme)://\(hosts.joined(separator: ","))/\(database)" }

    package var debugDescription: String { description }

    package var customMirror: Mirror { Mirror(self, children: ["address": description]) }
}
