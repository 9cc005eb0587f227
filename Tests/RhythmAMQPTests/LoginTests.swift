import Logging
import RhythmAMQP
import RhythmTesting
import Synchronization
import Testing

/// Who may not get in is told what to do, and nobody is told a password.
@Suite(.timeLimit(.minutes(2)))
struct LoginTests {
    /// Connects with settings that fail, and returns why it is down, with everything that was logged.
    private func failure(_ address: AMQPAddress) async throws -> (reason: String, log: String) {
        let lines = Collected<String>()
        var settings = Broker.settings
        settings.logger = Logger(label: "test") { _ in LineHandler(lines) }
        settings.logger.logLevel = .trace
        settings.connectTimeout = .seconds(2)
        let states = Collected<AMQPConnectionState>()
        let publisher = AMQPPublisher(address, settings: settings) { states.add($0) }
        defer { publisher.close() }
        try await states.wait { _ in !states.failures.isEmpty }
        return (states.failures[0], lines.all.joined(separator: "\n") + "\(states.all)\(address)")
    }

    @Test("A wrong password")
    func wrongPassword() async throws {
        var address = try await Broker.shared.address()
        address.password = "open-sesame"
        let (reason, log) = try await failure(address)
        #expect(reason.contains("403") && reason.contains("\"guest\"") && reason.contains("password"))
        #expect(!log.contains("sesame"))
    }

    @Test("A virtual host that does not exist")
    func wrongVirtualHost() async throws {
        var address = try await Broker.shared.address()
        address.virtualHost = "elsewhere"
        let (reason, _) = try await failure(address)
        #expect(reason.contains("530") && reason.contains("elsewhere") && reason.contains("add_vhost"))
    }

    @Test("Nobody listens, and a host that does not exist")
    func nobodyThere() async throws {
        let address = AMQPAddress(port: try freePort())
        let reason = try await failure(address).reason
        #expect(reason.contains("127.0.0.1:\(address.port)") && reason.contains("running"))
        let other = try await failure(AMQPAddress(host: "no-such-host.invalid")).reason
        #expect(other.contains("no-such-host.invalid") && other.contains("spelt"))
    }

    @Test("TLS: the certificate is checked, unless it is said not to be")
    func tls() async throws {
        let server = try await Broker.shared
        let base = try #require(server.tlsAddress)
        let certificates = try Certificates.shared.get()
        func address(_ options: String) throws -> AMQPAddress { try AMQPAddress(parsing: base + options) }

        let good = [
            try address("?cacertfile=\(certificates.server.authorities)"), try address("?verify=verify_none"),
        ]
        for address in good {
            let queue = Broker.newName()
            let inspector = AMQPInspector(address, settings: Broker.settings)
            let publisher = AMQPPublisher(address, settings: Broker.settings)
            try await inspector.declare([.queue(queue)])
            let body = (0..<500_000).map { UInt8(truncatingIfNeeded: $0) }
            #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: body)) == .confirmed)
            let deliveries = Collected<AMQPDelivery>()
            let subscriber = AMQPSubscriber(
                address, declarations: [], consume: [AMQPConsumption(queue: queue)], settings: Broker.settings
            ) { deliveries.add($0) }
            try await deliveries.wait { $0.count == 1 }
            #expect(deliveries.all.first?.body == body)
            subscriber.close()
            publisher.close()
            inspector.close()
        }
        let strangers = try await failure(address("?cacertfile=\(certificates.strangers)")).reason
        #expect(strangers.contains("cacertfile"))
        let system = try await failure(address("")).reason
        #expect(system.contains("cacertfile"))
        let missing = try await failure(address("?cacertfile=/no/such/file")).reason
        #expect(missing.contains("cacertfile names"))
        var elsewhere = try address("?cacertfile=\(certificates.server.authorities)")
        elsewhere.host = "127.0.0.1"
        let name = try await failure(elsewhere).reason
        #expect(name.contains("127.0.0.1") && name.contains("certificate"))
    }

    @Test(
        "A port where somebody listens and says nothing: given up in time, with TLS and without",
        arguments: [false, true])
    func silence(tls: Bool) async throws {
        let listener = try SilentListener()
        var address = AMQPAddress(port: listener.port)
        if tls {
            address.tls = AMQPAddress.TLS()
            address.tls?.verifies = false
        }
        let began = ContinuousClock.now
        let reason = try await failure(address).reason
        #expect(reason.contains("127.0.0.1:\(listener.port)"))
        // The publisher was closed as well, while it tried again.
        #expect(ContinuousClock.now - began < .seconds(10))
    }

    @Test("TLS to a broker that does not speak it ends in time")
    func tlsToPlainPort() async throws {
        var address = try await Broker.shared.address()
        address.tls = AMQPAddress.TLS()
        address.tls?.verifies = false
        let reason = try await failure(address).reason
        #expect(reason.contains("TLS"))
    }
}

private struct LineHandler: LogHandler {
    let lines: Collected<String>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    init(_ lines: Collected<String>) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.add("\(event.message) \(event.metadata ?? [:])") }
}
