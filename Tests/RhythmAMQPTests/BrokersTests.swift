import RhythmTesting
import Testing

@testable import RhythmAMQP

/// Lists of brokers, as Celery means them.
@Suite struct BrokersTests {
    @Test func severalAddressesInOneText() throws {
        let brokers = try AMQPBrokers(parsing: "amqp://u:p@a:1/v?heartbeat=3;amqps://x:y@b/w;c")
        #expect(brokers.addresses.map(\.host) == ["a", "b", "c"])
        #expect(brokers.addresses.map(\.port) == [1, 5671, 1])
        #expect(brokers.addresses.map(\.virtualHost) == ["v", "w", "v"])
        #expect(brokers.addresses.map(\.user) == ["u", "x", "u"] && brokers.addresses[2].password == "p")
        #expect(brokers.description == "amqp://a:1/v, amqps://b:5671/w, amqp://c:1/v")
        #expect(try AMQPBrokers(parsing: "amqp://a").addresses.count == 1)
    }

    /// Celery splits at every `;`, whatever it belongs to. Nothing of what cannot be read is shown.
    @Test(arguments: [
        ("amqp://u:SECRET@a;", "address 2 of 2"), (";amqp://u:SECRET@a", "address 1 of 2"),
        ("amqp://u:1;SECRET@a", "address 2 of 2"), ("amqp://u:pa;SECRET@a", "address 1 of 2"),
        ("amqp://u:1;SECRET;x@a", "address 3 of 3"), ("a;amqp://u:SECRET@b", "amqp://"),
        ("amqp://u:SECRET@a;redis://:SECRET@b", "address 2 of 2"), ("amqp://u:SECRET@a;b:5672", "address 2 of 2"),
        ("", "amqp://"),
    ])
    func whatIsNoListIsRefused(_ text: String, _ words: String) {
        let error = #expect(throws: AMQPAddress.Malformed.self) { try AMQPBrokers(parsing: text) }
        #expect(error?.description.contains(words) == true && error?.description.contains("SECRET") == false)
    }

    /// Round and round, with a pause only when nobody was there; back to the one that was lost, or that others found.
    @Test func takesTurns() {
        /// Whether each of so many turns asks for a pause, and where the last of them leads.
        func turns(_ turn: inout BrokerTurn, _ count: Int) -> ([Bool], Int) {
            let pauses = (0..<count).map { _ in turn.next() }
            return (pauses, turn.index)
        }
        var turn = BrokerTurn(of: 3, at: 1)
        let (pauses, back) = turns(&turn, 3)
        #expect(pauses == [false, false, true] && back == 1, "a pause once all were tried")
        let (further, _) = turns(&turn, 1)
        #expect(further == [false])
        let moved = turn.begin(at: 0)
        #expect(moved && turn.index == 0)
        var alone = BrokerTurn(of: 1, at: 0)
        let (waits, only) = turns(&alone, 2)
        #expect(waits == [true, true] && only == 0)
    }
}

extension BrokersTests {
    /// Whatever an address is made of, nothing of the secret in it is shown.
    @Test func nothingOfABrokenAddressIsShown() {
        var random = SystemRandomNumberGenerator()
        let seed = random.next()
        var broken = BrokenAddresses(seed: seed)
        var read = 0
        for _ in 0..<20_000 {
            let text = broken.next(
                schemes: ["amqp", "amqp", "amqps", "pyamqp", "redis"],
                options: ["heartbeat", "verify", "cacertfile", "certfile", "keyfile", "unheardOf"])
            do throws(AMQPAddress.Malformed) {
                let brokers = try AMQPBrokers(parsing: text)
                read += 1
                #expect(!"\(brokers)".contains(BrokenAddresses.secret), "seed \(seed)")
                for address in brokers.addresses {
                    #expect(!"\(address)".contains(BrokenAddresses.secret), "seed \(seed)")
                }
            } catch {
                #expect(!"\(error)".contains(BrokenAddresses.secret), "seed \(seed)")
            }
        }
        #expect(read > 100, "the generator makes whole ones, too: seed \(seed)")
    }
}
