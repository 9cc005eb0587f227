import Testing

@testable import RhythmAMQP

@Suite struct AddressTests {
    @Test(
        "Addresses",
        arguments: [
            ("amqp://broker", "guest", "guest", "broker", 5672, "/"),
            ("amqp://broker/", "guest", "guest", "broker", 5672, "/"),
            ("amqp://u:p@broker:1234//", "u", "p", "broker", 1234, "/"),
            ("amqp://u:p@broker/%2F", "u", "p", "broker", 5672, "/"),
            ("amqp://u%40x:p%2f%3a%23@broker/my%20host", "u@x", "p/:#", "broker", 5672, "my host"),
            ("amqp://u:p:q@broker/a/b", "u", "p:q", "broker", 5672, "a/b"),
            ("amqp://u@[::1]:77/v", "u", "guest", "::1", 77, "v"),
            ("amqps://broker/v?heartbeat=3", "guest", "guest", "broker", 5671, "v"),
            ("pyamqp://u:p@broker:/v", "u", "p", "broker", 5672, "v"),
            ("amqp://:@broker//", "guest", "guest", "broker", 5672, "/"),
            ("amqp://u:@broker/a:b", "u", "guest", "broker", 5672, "a:b"),
        ])
    func parses(text: String, user: String, password: String, host: String, port: Int, virtualHost: String) throws {
        let address = try AMQPAddress(parsing: text)
        #expect(address.user == user && address.password == password && address.host == host)
        #expect(address.port == port && address.virtualHost == virtualHost)
        #expect((address.tls != nil) == text.hasPrefix("amqps"))
        #expect(address.heartbeat == (text.contains("heartbeat") ? 3 : 10))
    }

    @Test("Options of TLS")
    func options() throws {
        let address = try AMQPAddress(
            parsing: "amqps://b?cacertfile=%2Fca.pem&certfile=/c.pem&keyfile=/k.pem&verify=verify_none")
        let tls = try #require(address.tls)
        #expect(tls.authorities == "/ca.pem" && tls.certificate == "/c.pem" && tls.key == "/k.pem" && !tls.verifies)
        #expect(try AMQPAddress(parsing: "amqps://b").tls?.verifies == true)
    }

    @Test(
        "What is no address is refused, in words that say what is wrong and give nothing away",
        arguments: [
            ("http://secret@b", "amqp://"), ("amqp://u:secret@b:x", "port"), ("amqp://u:secret@b:0", "port"),
            ("amqp://u:secret@", "host"), ("amqp://u:secret%zz@b", "password"), ("amqp://u:secret%00@b", "password"),
            ("amqp://u:secret%ff@b", "password"), ("amqp://u:secret@b?verfiy=verify_none", "verify"),
            ("amqp://u:secret@b?verify=verify_none", "amqps"), ("amqps://u:secret@b?verify=no", "verify_peer"),
            ("amqps://u:secret@b?heartbeat=x", "heartbeat"), ("amqps://u:secret@b?certfile=/c", "keyfile"),
            ("amqps://u:secret@b?cacertfile=", "cacertfile"), ("amqp://u:secret@b/%2", "virtual host"),
            // What a / or ? within a password makes of an address.
            ("amqp://u:1/secret@b/v", "%2F"), ("amqp://u:1?secret@b/v", "%3F"), ("amqp://u:pa/secret@b", "%2F"),
            ("amqp://u:1#secret@b", "%23"), ("amqp://u:se cret@secret", "blank"),
            ("amqp://u:1?secret=secret", "option"),
            ("amqp://b?heartbeat=secret", "heartbeat"), ("amqps://b?verify=secret", "verify_peer"),
            ("amqp://u:secret@b:99999", "port"), ("amqp://u:secret@b:5672x", "port"), ("amqp://u:secret@b:-1", "port"),
            ("amqp://u:secret@:5672", "host"), ("amqp://u:secret@[::1", "IPv6"), ("amqp://u:secret@[secret]", "IPv6"),
            ("amqp://u:secret@[::1]secret", "port"), ("amqp://u:secret@b,c", "host"),
            ("amqp://u:secret@a@secret!", "host"),
            ("redis://:secret@b/0", "amqp://"), ("secret", "amqp://"), ("", "amqp://"),
            ("amqp://u:secret@b/" + String(repeating: "v", count: 256), "255"),
        ])
    func refuses(text: String, word: String) {
        let error = #expect(throws: AMQPAddress.Malformed.self) { try AMQPAddress(parsing: text) }
        let words = "\(String(describing: error))"
        #expect(words.contains(word) && !words.contains("secret"))
    }

    @Test("No password in any form of text")
    func description() throws {
        let address = try AMQPAddress(parsing: "amqps://user:secret@broker/v?cacertfile=/x")
        #expect(address.description == "amqps://broker:5671/v")
        #expect(try AMQPAddress(parsing: "amqp://b/a%0Ab%25").description == "amqp://b:5672/a%0Ab%25")
        var dumped = ""
        dump(address, to: &dumped)
        for text in ["\(address)", String(reflecting: address), dumped, "\([address])", "\(Optional(address) as Any)"] {
            #expect(!text.contains("secret"), "\(text)")
        }
    }
}
