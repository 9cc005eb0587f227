import RhythmAMQP
import RhythmTesting
import Testing

/// A broker that dies, hangs, or runs out of memory. One after the other: they share the broker that suffers.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct FaultTests {
    @Test("A broker that is killed: what was confirmed survives, the rest is known not to be known")
    func killed() async throws {
        let server = try await Broker.faulty
        try await withPublisher(to: server) { publisher, inspector, states in
            let queue = Broker.newName()
            try await states.waitForReady()
            try await inspector.declare([.queue(queue)])
            // A broker stores its queues some seconds after it has confirmed them, or when it stops.
            try await server.restart()
            try await states.wait { $0.last == .ready(again: true) }
            let failures = states.failures.count
            let outcomes = Collected<PublishOutcome>()
            // More than fit into the window: some are on their way, some wait, when it happens.
            for number in 0..<20_000 {
                let message = AMQPMessage(routingKey: queue, body: Array("\(number)".utf8))
                publisher.publish(message, patience: .seconds(60)) { outcomes.add($0) }
            }
            try await outcomes.wait { $0.count > 500 }
            try await server.kill()
            try await states.wait { _ in states.failures.count > failures }
            try await server.start()
            try await outcomes.wait(seconds: 60) { $0.count == 20_000 }

            let all = outcomes.all
            let confirmed = all.filter { $0 == .confirmed }.count
            let undecided = all.filter { if case .undecided = $0 { true } else { false } }.count
            #expect(confirmed + undecided == 20_000, "each has one outcome, and nothing was given up")
            #expect(undecided <= Broker.settings.window)
            guard case .found(let ready, _) = await inspector.queue(queue) else {
                Issue.record("the queue is gone")
                return
            }
            #expect(confirmed <= ready && ready <= confirmed + undecided, "\(confirmed) \(undecided) \(ready)")
            #expect(states.all.last == .ready(again: true))
            try await inspector.delete(queue: queue)
        }
    }

    @Test("A broker that hangs is noticed by its missing heartbeats, and closing does not hang")
    func suspended() async throws {
        let server = try await Broker.faulty
        try await withPublisher(to: server, heartbeat: 1) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [])) == .confirmed)
            server.suspend()
            defer { server.resume() }
            let outcome = await publisher.publish(AMQPMessage(routingKey: queue, body: []))
            guard case .undecided(let reason) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(reason.contains("heartbeat"))
            // It tries again, in vain.
            let waiting = await publisher.publish(
                AMQPMessage(routingKey: queue, body: []), patience: .milliseconds(100))
            guard case .notSent = waiting else {
                Issue.record("\(waiting)")
                return
            }
            let began = ContinuousClock.now
            publisher.close()
            inspector.close()
            #expect(ContinuousClock.now - began < .seconds(10))
        }
    }

    @Test("Closing does not wait for a broker that hangs, with a connection full of data")
    func closingWhileSuspended() async throws {
        let server = try await Broker.faulty
        let outcomes = Collected<PublishOutcome>()
        try await withPublisher(to: server, heartbeat: 60) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            try await states.waitForReady()
            server.suspend()
            defer { server.resume() }
            let body = [UInt8](repeating: 7, count: 1 << 20)
            for _ in 0..<64 { publisher.publish(AMQPMessage(routingKey: queue, body: body)) { outcomes.add($0) } }
            let began = ContinuousClock.now
            publisher.close()
            #expect(ContinuousClock.now - began < .seconds(6))
            #expect(outcomes.count == 64, "every message has its outcome")
            #expect(!outcomes.all.contains(.confirmed))
        }
    }

    @Test("A broker short of memory: reported, messages wait here, and go out when it has passed")
    func blocked() async throws {
        let server = try await Broker.faulty
        try await withPublisher(to: server) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            try await server.control(["set_vm_memory_high_watermark", "absolute", "1"])
            let first = Collected<PublishOutcome>()
            publisher.publish(AMQPMessage(routingKey: queue, body: [])) { first.add($0) }
            try await states.wait { $0.contains { if case .blocked = $0 { true } else { false } } }
            let late = await publisher.publish(AMQPMessage(routingKey: queue, body: []), patience: .milliseconds(100))
            #expect(late == .notSent(reason: "the broker takes no messages for now"))
            let patient = Collected<PublishOutcome>()
            publisher.publish(AMQPMessage(routingKey: queue, body: []), patience: .seconds(60)) { patient.add($0) }
            // The one that shows the broker that we publish may still be taken.
            guard case .found(0...1, 0) = await inspector.queue(queue) else {
                Issue.record("looking at a queue does not work meanwhile")
                return
            }
            #expect(patient.count == 0)
            try await server.control(["set_vm_memory_high_watermark", "absolute", "512MiB"])
            try await patient.wait { $0 == [.confirmed] }
            try await first.wait { $0 == [.confirmed] }
            #expect(await inspector.queue(queue) == .found(ready: 2, consumers: 0))
            #expect(states.failures == [])
        }
    }

    @Test("A broker that restarts: subscribers come back and say so")
    func restarted() async throws {
        let server = try await Broker.faulty
        try await withPublisher(to: server) { publisher, _, _ in
            let queue = Broker.newName()
            let states = Collected<AMQPConnectionState>()
            let deliveries = Collected<AMQPDelivery>()
            let subscriber = AMQPSubscriber(
                try server.address(), declarations: [.queue(queue, durable: false)],
                consume: [AMQPConsumption(queue: queue)], settings: Broker.settings, onState: { states.add($0) },
                onDelivery: { deliveries.add($0) })
            defer { subscriber.close() }
            try await states.waitForReady()
            try await server.restart()
            try await states.waitForReady(times: 2)
            #expect(states.all.last == .ready(again: true))
            #expect(states.failures.first?.contains("320") == true, "the broker says why it goes")
            let outcome = await publisher.publish(AMQPMessage(routingKey: queue, body: [1]), patience: .seconds(30))
            #expect(outcome == .confirmed)
            try await deliveries.wait { $0.count == 1 }
        }
    }
}
