import Glibc
import RhythmTesting
import Testing

@testable import RhythmMongo

/// Addresses are refused in words before the driver sees them, or they are safe to use.
@Suite struct MongoAddressTests {
    @Test(
        arguments: [
            ("mongodb://h", ["h"], nil), ("mongodb://h/", ["h"], nil), ("mongodb://h:1,i:2/db", ["h:1", "i:2"], "db"),
            ("mongodb://u:p@h/db?tls=true", ["h"], "db"), ("mongodb://u%40x:p%2F@[::1]:27017/d", ["[::1]:27017"], "d"),
            ("mongodb://%2Ftmp%2Fmongodb-27017.sock/d", ["/tmp/mongodb-27017.sock"], "d"),
            ("mongodb+srv://u:p@c.example.org/d", ["c.example.org"], "d"), ("mongodb://h/db.coll", ["h"], "db"),
            ("mongodb://h/?replicaSet=rs", ["h"], nil), ("mongodb://u:p@h/?authMechanism=SCRAM-SHA-1", ["h"], nil),
            ("mongodb://u:p@h/?authMechanism=PLAIN", ["h"], nil),
            ("mongodb://u%40R@h/?authMechanism=GSSAPI", ["h"], nil),
            ("mongodb://h/?authMechanism=MONGODB-AWS", ["h"], nil),
            (
                "mongodb://u:p@h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:x", ["h"], nil
            ),
            ("mongodb://h/?authMechanism=MONGODB-X509&tlsCertificateKeyFile=/c", ["h"], nil),
        ] as [(String, [String], String?)])
    func parses(_ text: String, _ hosts: [String], _ database: String?) throws {
        let address = try MongoAddress(parsing: text)
        #expect(address.hosts == hosts && address.database == database)
        #expect(address.driverText == text.replacing(".coll", with: ""))
    }

    @Test(arguments: [
        ("mongodb://SECRET@h/db", "no password"), ("mongodb://u:@h/SECRET", "no password"),
        ("mongodb://:SECRET@h", "no user"), ("mongodb://@h", "no user"), ("mongodb://u:SECRET@h@i", "%40"),
        ("mongodb://u:a:SECRET@h", "%3A"), ("mongodb://u:SEC%RET@h", "%25"), ("mongodb://u:SECRET%ff@h", "UTF-8"),
        ("mongodb://u:SECRET%00@h", "NUL"), ("mongodb://u:1/SECRET@h/db", "%2F"), ("mongodb://u:1?SECRET@h/db", "%3F"),
        ("mongodb://u:1#SECRET@h/db", "%23"), ("mongodb://u:SEC RET@h/db", "blank"),
        ("mongodb:///tmp/SECRET.sock", "unix socket"), ("mongodb://%2Ftmp%2FSECRET/db", ".sock"),
        ("mongodb://u:SECRET@/db", "no host"), ("mongodb://u:SECRET@h,,i/db", "empty"),
        ("mongodb://u:SECRET@h:0/db", "port"), ("mongodb://u:SECRET@h:99999/db", "port"),
        ("mongodb://u:SECRET@h:x/db", "port"), ("mongodb://u:SECRET@:1/db", "name"),
        ("mongodb://u:SECRET@h!/db", "letters"), ("mongodb://u:SECRET@[::1/db", "IPv6"),
        ("mongodb://u:SECRET@[SECRET]/db", "IPv6"), ("mongodb://u:SECRET@[::1]x/db", "port"),
        ("mongodb://u:SECRET@h?tls=true", "a / comes"), ("mongodb://u:SECRET@h/a$b", "database"),
        ("mongodb://u:SECRET@h/%zz", "database"), ("mongodb://u:SECRET@h/?tls", "NAME=VALUE"),
        ("mongodb://u:SECRET@h/?tls=SECRET", "true or false"), ("mongodb://u:SECRET@h/?=x", "NAME=VALUE"),
        ("mongodb+srv://u:SECRET@h/db", "three parts"), ("mongodb+srv://u:SECRET@a.b.c:1/db", "no port"),
        ("mongodb+srv://u:SECRET@a.b.c,d.e.f/db", "one name"), ("postgres://u:SECRET@h/db", "mongodb://"),
        ("mongodb://h/?authMechanism=MONGODB-X509", "tlsCertificateKeyFile"),
        ("mongodb://h/?authMechanism=MONGODB-X509&tls=true", "tlsCertificateKeyFile"),
        ("mongodb://h/?authMechanism=MONGODB-X509&tls=false&tlsCertificateKeyFile=/c", "tls=true"),
        ("mongodb://u:SECRET@h/?authMechanism=MONGODB-X509&tlsCertificateKeyFile=/c", "no password"),
        ("mongodb://SECRET@h/?authMechanism=MONGODB-AWS", "neither"), ("mongodb://h/?authMechanism=GSSAPI", "user"),
        ("mongodb://h/?authMechanism=PLAIN", "a user and a password"),
        ("mongodb://SECRET@h/?authMechanism=PLAIN", "a user and a password"),
        ("mongodb://h/?authMechanism=SCRAM-SHA-256", "a user and a password"),
        ("mongodb://SECRET@h/?authMechanism=scram-sha-1", "a user and a password"),
        ("mongodb://u:p@h/?authMechanism=SECRET", "SCRAM-SHA-256"),
        ("mongodb://u:p@h/?authMechanism=GSSAPI&authMechanismProperties=SECRET", "NAME:VALUE"),
    ])
    func refuses(_ text: String, _ words: String) {
        let error = #expect(throws: MongoAddress.Malformed.self) { try MongoAddress(parsing: text) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("SEC") == false)
        let refused = #expect(throws: MongoError.self) { try MongoPool(uri: text) }
        #expect(refused?.kind == .invalidAddress && refused?.message == error?.description)
    }

    @Test func filesAreLookedAt() throws {
        var name = Array("/tmp/rhythm-address-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        defer { close(file) }
        let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        for (options, words) in [
            ("tlsCAFile=/nowhere/ca.pem", "cannot be read"), ("tlsCertificateKeyFile=/tmp", "cannot be read"),
            ("tlsCertificateKeyFile=\(path)", "no certificate"),
            ("authMechanism=MONGODB-X509&tls=true&tlsCertificateKeyFile=/nowhere.pem", "cannot be read"),
        ] {
            let error = #expect(throws: MongoError.self) { try MongoPool(uri: "mongodb://h/?\(options)") }
            #expect(error?.kind == .invalidAddress && error?.message.contains(words) == true, "\(options)")
        }
    }

    @Test func onlyHostsAndDatabaseAreShown() throws {
        let text = "mongodb+srv://user:SECRET@c.example.org/db?tlsCertificateKeyFilePassword=SECRET&appName=x"
        let address = try MongoAddress(parsing: text)
        var dumped = ""
        dump(address, to: &dumped)
        for shown in ["\(address)", String(reflecting: address), dumped, "\([address])"] {
            #expect(!shown.contains("SECRET") && !shown.contains("user"), "\(shown)")
        }
        #expect(address.description == "mongodb+srv://c.example.org/db")
        let pool = try MongoPool(uri: "mongodb://u:SECRET@h:1,[::1]/?replicaSet=rs", defaultDatabase: "own")
        #expect(pool.description == "mongodb://h:1,[::1]/own" && pool.database == "own")
    }

    /// Whatever an address is made of: it is refused without a part of the secret in it, or a pool is made of it; and the
    /// process lives.
    @Test func nothingOfABrokenAddressIsShown() {
        var random = SystemRandomNumberGenerator()
        let seed = random.next()
        var broken = BrokenAddresses(seed: seed)
        for _ in 0..<3000 {
            let text = broken.next(schemes: ["mongodb", "mongodb+srv", "mongo"], options: Self.options)
            // A name to be looked up in the DNS, which takes its time.
            guard !text.hasPrefix("mongodb+srv://") || (try? MongoAddress(parsing: text)) == nil else { continue }
            do throws(MongoError) {
                let pool = try MongoPool(uri: text)
                #expect(!pool.description.contains(BrokenAddresses.secret), "seed \(seed)")
            } catch {
                #expect(!"\(error)".contains(BrokenAddresses.secret), "seed \(seed)")
            }
        }
    }

    private static let options = [
        "tls", "ssl", "authMechanism", "authMechanismProperties", "authSource", "replicaSet", "w", "journal",
        "maxPoolSize", "minPoolSize", "appName", "compressors", "zlibCompressionLevel", "readPreference",
        "readPreferenceTags", "directConnection", "loadBalanced", "tlsInsecure", "tlsCAFile", "tlsCertificateKeyFile",
        "tlsCertificateKeyFilePassword", "socketTimeoutMS", "connectTimeoutMS", "heartbeatFrequencyMS", "srvMaxHosts",
        "srvServiceName", "unheardOf", "gssapiServiceName", "readConcernLevel", "retryWrites", "localThresholdMS",
    ]
}
