@preconcurrency import Dispatch
package import Logging
package import RhythmAMQP
import RhythmCore
package import RhythmEngine
import Synchronization

/// Carries news between the servers that share a store: a fanout exchange of our own, and a queue a server.
///
/// Messages are transient and nobody waits for them. What is missed while a connection is down is made good when it is
/// back: then everything that somebody watches is read again, here or by the others (``Telling``). Thread-safe.
package final class PeerExchange: Sendable {
    private let engine: EngineService
    private let publisher: AMQPPublisher
    private let subscriber: AMQPSubscriber
    private let telling = Mutex(Telling())
    /// What the engine was told last of what the others hear; changed in the order in which it is told.
    private let told = Mutex<String?>(nil)
    private let ticks: any DispatchSourceTimer
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
        self.engine = engine
        engine.hearsPeers(trouble: "the broker is not connected yet")
        var settings = AMQPSettings(logger: logger)
        // Old news is no news: whoever is back reads the store.
        settings.patience = .seconds(1)
        let events = ConnectionEvents()
        publisher = AMQPPublisher(brokers, settings: settings) { events.put($0) }
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
        ticks = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "rhythm.peers", qos: .utility))
        ticks.schedule(deadline: .now() + .seconds(1), repeating: .seconds(1), leeway: .milliseconds(100))
        ticks.setEventHandler { @Sendable [weak self] in self?.note { $0.recheckIfDue() } }
        engine.observe { [weak self] publication in self?.tell(publication) }
        note { _ in .nothing }
        events.give { [weak self] state in self?.note { $0.connection(state) } }
        ticks.activate()
    }

    deinit { ticks.cancel() }

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
        telling.withLock { $0.submitted(at: .now) }
        publisher.publish(message(news)) { [weak self] outcome in self?.note { $0.ended(outcome, at: .now) } }
    }

    private func message(_ news: PeerNews) -> AMQPMessage {
        AMQPMessage(
            exchange: exchange, routingKey: "", mandatory: false, contentType: "application/json", persistent: false,
            body: Array(news.text.utf8))
    }

    /// Something has become of the way to the others.
    private func note(_ change: (inout Telling) -> Telling.Step) {
        if telling.withLock({ change(&$0) }) == .recheck {
            publisher.publish(message(.recheck(server: serverID, incarnation: incarnation))) { [weak self] outcome in
                self?.note { telling in
                    telling.rechecked(outcome, at: .now)
                    return .nothing
                }
            }
        }
        told.withLock { told in
            let trouble = telling.withLock { $0.muteBecause(at: .now) }
            guard trouble != told else { return }
            told = trouble
            engine.isHeardByPeers(trouble: trouble)
        }
    }

    /// Ends both connections. Returns within some ten seconds, whatever the broker does.
    package func close() {
        ticks.cancel()
        publisher.close()
        subscriber.close()
    }
}

/// Keeps what a connection says until somebody can take it.
private final class ConnectionEvents: Sendable {
    private struct State {
        var waiting: [AMQPConnectionState] = []
        var take: (@Sendable (AMQPConnectionState) -> Void)?
    }

    private let state = Mutex(State())

    func put(_ event: AMQPConnectionState) {
        let take = state.withLock { state in
            if state.take == nil { state.waiting.append(event) }
            return state.take
        }
        take?(event)
    }

    /// Called once.
    func give(to take: @escaping @Sendable (AMQPConnectionState) -> Void) {
        // Under the lock, so that nothing overtakes what has waited.
        state.withLock { state in
            for event in state.waiting { take(event) }
            state = State(waiting: [], take: take)
        }
    }
}
