import CMongoC
import Glibc

/// What each way of logging in needs. The driver looks for it only when it connects, and does not survive all that it
/// finds missing.
extension MongoAddress {
    /// Ways to log in that the driver was built with.
    static let mechanisms: [String] = {
        var known = ["SCRAM-SHA-256", "SCRAM-SHA-1"]
        if MONGOC_ENABLE_SSL != 0 { known.append("MONGODB-X509") }
        if MONGOC_ENABLE_SASL != 0 { known += ["GSSAPI", "PLAIN"] }
        if MONGOC_ENABLE_MONGODB_AWS_AUTH != 0 { known.append("MONGODB-AWS") }
        return known
    }()

    /// The connection is encrypted: asked for, or by an option that means nothing else.
    var usesTLS: Bool {
        if let flag = options["tls"] ?? options["ssl"] { return flag == "true" }
        return scheme == "mongodb+srv" || options.keys.contains { $0.hasPrefix("tls") || $0.hasPrefix("ssl") }
    }

    private var certificateFile: String? {
        options["tlscertificatekeyfile"] ?? options["sslclientcertificatekeyfile"]
    }

    func checkLogin() throws(Malformed) {
        for name in ["tls", "ssl"] {
            if let flag = options[name], flag != "true", flag != "false" {
                throw Malformed("\(name) is true or false")
            }
        }
        guard let asked = options["authmechanism"] else {
            guard user == nil || hasPassword else {
                throw Malformed("there is a user but no password: mongodb://USER:PASSWORD@HOST")
            }
            return
        }
        let mechanism = asked.uppercased()
        guard Self.mechanisms.contains(mechanism) else {
            throw Malformed(
                "authMechanism: this is none of what the MongoDB driver was built with:"
                    + " \(Self.mechanisms.joined(separator: ", "))")
        }
        try checkProperties()
        switch mechanism {
        case "MONGODB-X509":
            guard usesTLS, certificateFile != nil else {
                throw Malformed(
                    "authMechanism=MONGODB-X509 logs in with a certificate: it needs tls=true and"
                        + " tlsCertificateKeyFile=FILE")
            }
            guard !hasPassword else { throw Malformed("authMechanism=MONGODB-X509 takes no password") }
        case "MONGODB-AWS":
            guard (user == nil) != hasPassword else {
                throw Malformed(
                    "authMechanism=MONGODB-AWS takes a key id with its secret as user and password, or neither of them")
            }
        case "GSSAPI":
            guard user != nil else { throw Malformed("authMechanism=GSSAPI needs a user: mongodb://USER%40REALM@HOST") }
        default:
            guard user != nil, hasPassword else {
                throw Malformed("authMechanism=\(mechanism) needs a user and a password: mongodb://USER:PASSWORD@HOST")
            }
        }
    }

    private func checkProperties() throws(Malformed) {
        guard let properties = options["authmechanismproperties"] else { return }
        let isRight = properties.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { property in
            let sides = property.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return sides.count == 2 && !sides[0].isEmpty && !sides[1].isEmpty
        }
        guard isRight else { throw Malformed("authMechanismProperties are written NAME:VALUE,NAME:VALUE") }
    }

    /// Looks at the files that the address names; the driver's words about them go to its log, if anywhere.
    func checkFiles() throws(Malformed) {
        for (name, option) in [
            ("tlsCAFile", "tlscafile"), ("tlsCAFile", "sslcertificateauthorityfile"),
            ("tlsCertificateKeyFile", "tlscertificatekeyfile"),
            ("tlsCertificateKeyFile", "sslclientcertificatekeyfile"),
        ] {
            guard let path = options[option] else { continue }
            let text = try Self.contents(path, name)
            guard text.contains("-----BEGIN CERTIFICATE-----") else {
                throw Malformed("\(name): the file holds no certificate in PEM")
            }
            guard name == "tlsCAFile" || text.contains("PRIVATE KEY-----") else {
                throw Malformed("\(name): the file holds a certificate, but no private key in PEM")
            }
        }
    }

    private static func contents(_ path: String, _ name: String) throws(Malformed) -> String {
        guard let file = fopen(path, "re") else {
            throw Malformed("\(name): the file cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        guard count > 0 || ferror(file) == 0 else {
            throw Malformed("\(name): the file cannot be read: \(String(cString: strerror(errno)))")
        }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
