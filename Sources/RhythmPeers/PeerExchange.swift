package import Logging
package import RhythmAMQP
import RhythmCore
package import RhythmEngine

/// Carries news between the servers that share a store: a fanout exchange of our own, and a queue a server.
///
/// Messages are transient and nobody waits for them. What is missed while a connection is down is made good when it is
/// back: then everything that somebody watches is read again. Thread-safe.
package final class PeerExchange: Sendable {
    private let publisher: AMQPPublisher
    private let subscriber: AMQPSubscriber
    private let exchange: String
    private let serverID: String
    private let incarnation: String

    /// Begins to carry the engine's news to the others, and theirs to it.
    ///
    /// - Parameters:
    ///   - group: what the servers have in common, such as the name of their database.
    ///   - serverID: names this server.
    ///   - incarnation: tells this server's own messages from those of others, should they go by its id.
    package init(
        _ brokers: AMQPBrokers, group: String, serverID: String, incarnation: String,
        engine: EngineService,
        logger: Logger = Logger(label: "rhythm.peers")
    ) {
        exchange = "rhythm.\(group).changes"
        self.serverID = serverID
        self.incarnation = incarnation
        engine.hearsPeers(trouble: "the broker is not connected yet")
        var settings = AMQPSettings(logger: logger)
        // Old news is no news: whoever is back reads the store.
        settings.patience = .seconds(1)
        publisher = AMQPPublisher(brokers, settings: settings)
        // Its own, also of two that go by one id: else each would get half of the news.
        let queue = "\(exchange).\(serverID).\(incarnation.prefix(8))"
        subscriber = AMQPSubscriber(
            brokers,
            declarations: [
                .exchange(exchange, .fanout),
                .queue(
                    queue, durable: false, autoDelete: false,
                    arguments: ["x-expires": .int32(60_000), "x-max-length": .int32(100_000)]),
                .binding(queue: queue, exchange: exchange, routingKey: ""),
            ],
            consume: [AMQPConsumption(queue: queue)], settings: settings,
            onState: { [weak engine] state in
                switch state {
                case .ready(let again):
                    if again { engine?.recheckForeign() }
                    engine?.hearsPeers(trouble: nil)
                case .down(let reason, _): engine?.hearsPeers(trouble: reason)
                case .connecting, .blocked, .closed: break
                }
            },
            onDelivery: { [weak engine] delivery in
                guard let news = PeerNews(delivery.body), news.incarnation != incarnation else { return }
                engine?.take(news.publication)
            })
        engine.observe { [weak self] publication in self?.tell(publication) }
    }

    /// The same with a single broker.
    package convenience init(
        _ address: AMQPAddress, group: String, serverID: String, incarnation: String, engine: EngineService,
        logger: Logger = Logger(label: "rhythm.peers")
    ) {
        self.init(
            AMQPBrokers(address), group: group, serverID: serverID, incarnation: incarnation, engine: engine,
            logger: logger)
    }

    private func tell(_ publication: Publication) {
        // What came from another server must not go round for ever.
        if publication.isNews { return }
        let news = PeerNews(server: serverID, incarnation: incarnation, publication)
        guard !news.isEmpty else { return }
        let message = AMQPMessage(
            exchange: exchange, routingKey: "", mandatory: false, contentType: "application/json", persistent: false,
            body: Array(news.text.utf8))
        publisher.publish(message) { _ in }
    }

    /// Ends both connections. Returns within some ten seconds, whatever the broker does.
    package func close() {
        publisher.close()
        subscriber.close()
    }
}
