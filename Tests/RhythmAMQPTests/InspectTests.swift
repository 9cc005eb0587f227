import RhythmAMQP
import RhythmTesting
import Testing

@Suite(.timeLimit(.minutes(2)))
struct InspectTests {
    @Test("Queues that are there, missing, locked, one after the other on one connection")
    func looks() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { publisher, inspector, _ in
            let queue = Broker.newName()
            #expect(await inspector.queue(queue) == .missing)
            try await inspector.declare([.queue(queue)])
            #expect(await inspector.queue(queue) == .found(ready: 0, consumers: 0))
            #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [])) == .confirmed)
            #expect(await inspector.queue(queue) == .found(ready: 1, consumers: 0))

            let own = Broker.newName()
            let states = Collected<AMQPConnectionState>()
            let subscriber = AMQPSubscriber(
                try server.address(), declarations: [.queue(own, durable: false, exclusive: true)],
                consume: [
                    AMQPConsumption(queue: own), AMQPConsumption(queue: queue, acknowledgement: .manual(prefetch: 1)),
                ],
                settings: Broker.settings, onState: { states.add($0) }, onDelivery: { _ in })
            try await states.waitForReady()
            #expect(await inspector.queue(own) == .locked)
            #expect(await inspector.queue(queue) == .found(ready: 0, consumers: 1), "not ready: the consumer has it")
            subscriber.close()
            try await inspector.delete(queue: queue)
            try await inspector.delete(queue: queue)
            #expect(await inspector.queue(queue) == .missing)
        }
    }

    @Test("Declaring a queue with other settings fails, with the broker's words, and is survived")
    func otherSettings() async throws {
        try await withPublisher(to: Broker.shared) { _, inspector, _ in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            let failure = await #expect(throws: AMQPFailure.self) {
                try await inspector.declare([.queue(queue, arguments: ["x-max-priority": .int32(10)])])
            }
            #expect(failure?.code == 406 && failure?.description.contains("x-max-priority") == true)
            #expect(await inspector.queue(queue) == .found(ready: 0, consumers: 0))
        }
    }

    @Test("Without a broker the answer is unknown, after the patience")
    func nobodyThere() async throws {
        var settings = Broker.settings
        settings.patience = .milliseconds(200)
        let inspector = AMQPInspector(AMQPAddress(port: try freePort()), settings: settings)
        defer { inspector.close() }
        guard case .unknown(let reason) = await inspector.queue("any") else {
            Issue.record("an answer")
            return
        }
        #expect(reason.contains("no connection"))
    }
}
