import RhythmAMQP
import RhythmTesting
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SubscribeTests {
    @Test("Exchange, queue and binding are made, and what is published there arrives")
    func declares() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { publisher, _, _ in
            let exchange = Broker.newName("exchange")
            let deliveries = Collected<AMQPDelivery>()
            let states = Collected<AMQPConnectionState>()
            let subscriber = AMQPSubscriber(
                try server.address(),
                declarations: [
                    .exchange(exchange, .topic, durable: false, autoDelete: true), .existingExchange("amq.fanout"),
                    // The broker names it; an empty name then means that one.
                    .queue("", durable: false, exclusive: true, autoDelete: true),
                    .binding(queue: "", exchange: exchange, routingKey: "task.#"),
                ], consume: [AMQPConsumption(queue: "", exclusive: true)], settings: Broker.settings,
                onState: { states.add($0) }, onDelivery: { deliveries.add($0) })
            defer { subscriber.close() }
            try await states.waitForReady()
            for key in ["task.multi", "worker.online", "task.a.b"] {
                let message = AMQPMessage(exchange: exchange, routingKey: key, mandatory: false, body: Array(key.utf8))
                #expect(await publisher.publish(message) == .confirmed)
            }
            try await deliveries.wait { $0.count == 2 }
            #expect(deliveries.all.map(\.routingKey) == ["task.multi", "task.a.b"])
            #expect(states.all.contains(.ready(again: false)))
        }
    }

    @Test("Manual acknowledgement: no more than the prefetch ahead, unacknowledged ones come again")
    func acknowledges() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { publisher, inspector, _ in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            for number in UInt8(0)..<10 {
                #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [number])) == .confirmed)
            }
            let states = Collected<AMQPConnectionState>()
            func subscribe(_ deliveries: Collected<AMQPDelivery>) throws -> AMQPSubscriber {
                AMQPSubscriber(
                    try server.address(), declarations: [.existingQueue(queue)],
                    consume: [AMQPConsumption(queue: queue, acknowledgement: .manual(prefetch: 4))],
                    settings: Broker.settings, onState: { states.add($0) }, onDelivery: { deliveries.add($0) })
            }
            let first = Collected<AMQPDelivery>()
            let subscriber = try subscribe(first)
            try await first.wait { $0.count == 4 }
            subscriber.acknowledge(first.all[2].tag, upTo: true)
            try await first.wait { $0.count == 7 }
            subscriber.acknowledge(first.all[4].tag)
            try await first.wait { $0.count == 8 }
            #expect(first.all.map(\.body) == (UInt8(0)..<8).map { [$0] })
            subscriber.close()

            let second = Collected<AMQPDelivery>()
            let other = try subscribe(second)
            defer { other.close() }
            // A tag of another connection means nothing here.
            other.acknowledge(first.all[7].tag, upTo: true)
            try await second.wait { $0.count == 4 }
            #expect(second.all.map(\.body) == [[3], [5], [6], [7]])
            #expect(second.all.allSatisfy { $0.redelivered })
            if let last = second.all.last { other.acknowledge(last.tag, upTo: true) }
            try await second.wait { $0.count == 6 }
            #expect(second.all.suffix(2).map(\.body) == [[8], [9]])
            #expect(states.failures == [], "the broker ends a channel for a tag that it does not know")
        }
    }

    @Test("A queue that is deleted under its consumer is made again")
    func deletedQueue() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { publisher, inspector, _ in
            let queue = Broker.newName()
            let deliveries = Collected<AMQPDelivery>()
            let states = Collected<AMQPConnectionState>()
            let subscriber = AMQPSubscriber(
                try server.address(), declarations: [.queue(queue)], consume: [AMQPConsumption(queue: queue)],
                settings: Broker.settings, onState: { states.add($0) }, onDelivery: { deliveries.add($0) })
            defer { subscriber.close() }
            try await states.waitForReady()
            try await inspector.delete(queue: queue)
            try await states.waitForReady(times: 2)
            #expect(states.all.last == .ready(again: true))
            #expect(states.failures.count == 1 && states.failures[0].contains("\"\(queue)\" was deleted"))
            #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [1])) == .confirmed)
            try await deliveries.wait { $0.count == 1 }
        }
    }

    @Test("A declaration that the broker refuses is tried again until it is possible")
    func refusedDeclaration() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { _, inspector, _ in
            let queue = Broker.newName()
            let states = Collected<AMQPConnectionState>()
            let subscriber = AMQPSubscriber(
                try server.address(), declarations: [.existingQueue(queue)], consume: [AMQPConsumption(queue: queue)],
                settings: Broker.settings, onState: { states.add($0) }, onDelivery: { _ in })
            defer { subscriber.close() }
            try await states.wait { _ in !states.failures.isEmpty }
            #expect(states.failures[0].contains("404") && states.failures[0].contains(queue))
            try await inspector.declare([.queue(queue)])
            try await states.waitForReady()
        }
    }

    @Test("Higher priorities come first")
    func priorities() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { publisher, inspector, _ in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue, arguments: ["x-max-priority": .int32(10)])])
            for priority in [UInt8(0), 9, 3, 5] {
                let message = AMQPMessage(routingKey: queue, priority: priority, body: [priority])
                #expect(await publisher.publish(message) == .confirmed)
            }
            let deliveries = Collected<AMQPDelivery>()
            let subscriber = AMQPSubscriber(
                try server.address(), declarations: [], consume: [AMQPConsumption(queue: queue)],
                settings: Broker.settings
            ) { deliveries.add($0) }
            defer { subscriber.close() }
            try await deliveries.wait { $0.count == 4 }
            #expect(deliveries.all.map(\.body) == [[9], [5], [3], [0]])
        }
    }

    @Test("Connections that have nothing to do live on: heartbeats go out and come in")
    func idle() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server, heartbeat: 1) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            let deliveries = Collected<AMQPDelivery>()
            let own = Collected<AMQPConnectionState>()
            let subscriber = AMQPSubscriber(
                try server.address(heartbeat: 1), declarations: [], consume: [AMQPConsumption(queue: queue)],
                settings: Broker.settings, onState: { own.add($0) }, onDelivery: { deliveries.add($0) })
            defer { subscriber.close() }
            try await own.waitForReady()
            // The time itself is what is tried: either side gives up after two to three silent heartbeats.
            try await Task.sleep(for: .seconds(5))
            #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [])) == .confirmed)
            try await deliveries.wait { $0.count == 1 }
            #expect(await inspector.queue(queue) == .found(ready: 0, consumers: 1))
            #expect(states.failures == [] && own.failures == [])
        }
    }
}
