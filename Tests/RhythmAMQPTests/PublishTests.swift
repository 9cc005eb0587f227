import RhythmAMQP
import RhythmTesting
import Testing

@Suite(.timeLimit(.minutes(2)))
struct PublishTests {
    @Test("What is published arrives unchanged, and is confirmed")
    func arrivesUnchanged() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { publisher, inspector, _ in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue, arguments: ["x-max-priority": .int32(10)])])
            let headers: AMQPTable = [
                "text": "grüße", "empty": "", "int": .int32(-7), "long": .int64(1 << 40), "flag": true,
                "double": .double(0.1), "null": .null, "time": .timestamp(1_700_000_000), "raw": .bytes([0, 255, 10]),
                "list": .array([.null, .int32(1), .array([])]), "table": .table(["inner": .table([:]), "x": "y"]),
            ]
            // Larger than a frame: the library has to split it.
            let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
            let message = AMQPMessage(
                routingKey: queue, contentType: "application/json", contentEncoding: "utf-8", priority: 7,
                correlationID: "c-1", replyTo: "r-1", headers: headers, body: body)
            #expect(await publisher.publish(message) == .confirmed)

            let deliveries = Collected<AMQPDelivery>()
            let subscriber = AMQPSubscriber(
                try server.address(), declarations: [], consume: [AMQPConsumption(queue: queue)],
                settings: Broker.settings
            ) { deliveries.add($0) }
            defer { subscriber.close() }
            try await deliveries.wait { $0.count == 1 }
            let delivery = try #require(deliveries.all.first)
            #expect(delivery.queue == queue && delivery.routingKey == queue && delivery.exchange == "")
            #expect(delivery.contentType == "application/json" && delivery.contentEncoding == "utf-8")
            #expect(delivery.priority == 7 && delivery.persistent && !delivery.redelivered)
            #expect(delivery.correlationID == "c-1" && delivery.replyTo == "r-1")
            for entry in headers.entries { #expect(delivery.headers[entry.key] == entry.value, "\(entry.key)") }
            #expect(delivery.body == body)
        }
    }

    @Test("A message that no queue takes is unroutable, whatever is confirmed around it")
    func unroutable() async throws {
        try await withPublisher(to: Broker.shared) { publisher, inspector, _ in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            let outcomes = Collected<(Int, PublishOutcome)>()
            for number in 0..<100 {
                let key = number % 10 == 3 ? "no-such-\(queue)" : queue
                publisher.publish(AMQPMessage(routingKey: key, body: [])) { outcomes.add((number, $0)) }
            }
            try await outcomes.wait { $0.count == 100 }
            for (number, outcome) in outcomes.all {
                let expected: PublishOutcome =
                    number % 10 == 3 ? .unroutable(code: 312, text: "NO_ROUTE") : .confirmed
                #expect(outcome == expected, "\(number)")
            }
            let optional = AMQPMessage(routingKey: "no-such-\(queue)", mandatory: false, body: [])
            #expect(await publisher.publish(optional) == .confirmed)
            #expect(await inspector.queue(queue) == .found(ready: 90, consumers: 0))
        }
    }

    @Test("A full queue refuses, and says so")
    func rejected() async throws {
        try await withPublisher(to: Broker.shared) { publisher, inspector, _ in
            let queue = Broker.newName()
            let arguments: AMQPTable = ["x-max-length": .int32(1), "x-overflow": "reject-publish"]
            try await inspector.declare([.queue(queue, arguments: arguments)])
            var outcomes: [PublishOutcome] = []
            for _ in 0..<4 { outcomes.append(await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))) }
            #expect(outcomes.first == .confirmed)
            #expect(outcomes.last == .rejected)
        }
    }

    @Test("A channel that the broker closes: undecided, and the next message goes through")
    func closedChannel() async throws {
        try await withPublisher(to: Broker.shared) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            for _ in 0..<3 {
                let lost = await publisher.publish(
                    AMQPMessage(exchange: "no-such-exchange", routingKey: queue, body: []))
                guard case .undecided(let reason) = lost else {
                    Issue.record("\(lost)")
                    return
                }
                #expect(reason.contains("404") && reason.contains("no-such-exchange"))
                #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [])) == .confirmed)
            }
            #expect(await inspector.queue(queue) == .found(ready: 3, consumers: 0))
            #expect(states.failures == [], "the connection stays")
        }
    }

    @Test("What would break the protocol is refused before it is written")
    func refusesWhatDoesNotFit() async throws {
        try await withPublisher(to: Broker.shared) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            let long = String(repeating: "x", count: 256)
            let faulty = [
                "correlation": AMQPMessage(routingKey: queue, correlationID: long, body: []),
                "routing key": AMQPMessage(routingKey: long, body: []),
                "header": AMQPMessage(routingKey: queue, headers: AMQPTable([.init(long, .null)]), body: []),
                "frame": AMQPMessage(
                    routingKey: queue, headers: ["big": .string(String(repeating: "x", count: 131_072))], body: []),
                "of 134217728": AMQPMessage(
                    routingKey: queue, body: [UInt8](repeating: 0, count: 134_217_729)),
            ]
            for (word, message) in faulty {
                guard case .notSent(let reason) = await publisher.publish(message) else {
                    Issue.record("sent: \(word)")
                    continue
                }
                #expect(reason.contains(word))
            }
            #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [])) == .confirmed)
            #expect(states.failures == [])
        }
    }

    @Test("The largest headers that are let through do go through", arguments: [0, 1, 2, 3, 100, 1000])
    func headersNearTheLimit(slack: Int) async throws {
        try await withPublisher(to: Broker.shared) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            var size = 131_072
            var outcome = PublishOutcome.rejected
            // Downwards to the first size that is accepted, then a bit further: each must be accepted as well.
            while size > 130_000 {
                let headers: AMQPTable = ["big": .string(String(repeating: "x", count: size))]
                outcome = await publisher.publish(
                    AMQPMessage(routingKey: queue, contentType: "a", priority: 1, headers: headers, body: [1]))
                if case .notSent = outcome { size -= 1 } else { break }
            }
            #expect(outcome == .confirmed && size > 130_900, "\(size)")
            let headers: AMQPTable = ["big": .string(String(repeating: "x", count: size - slack))]
            outcome = await publisher.publish(
                AMQPMessage(routingKey: queue, contentType: "a", priority: 1, headers: headers, body: [1]))
            #expect(outcome == .confirmed)
            #expect(states.failures == [])
        }
    }

    @Test("Messages from many threads at once are all confirmed, and arrive")
    func manyThreads() async throws {
        let server = try await Broker.shared
        try await withPublisher(to: server) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            try await states.waitForReady()
            let outcomes = Collected<PublishOutcome>()
            let began = ContinuousClock.now
            await withTaskGroup { group in
                for thread in 0..<8 {
                    group.addTask {
                        for number in 0..<1250 {
                            let headers: AMQPTable = ["task": "steps.noop", "id": .string("\(thread)-\(number)")]
                            let message = AMQPMessage(
                                routingKey: queue, contentType: "application/json", headers: headers,
                                body: Array("[[],{},{}]".utf8))
                            publisher.publish(message, patience: .seconds(60)) { outcomes.add($0) }
                        }
                    }
                }
            }
            try await outcomes.wait(seconds: 60) { $0.count == 10_000 }
            let seconds = (ContinuousClock.now - began) / .seconds(1)
            print("10,000 publishes, each confirmed: \(Int(10_000 / seconds)) a second")
            #expect(outcomes.all.allSatisfy { $0 == .confirmed })
            #expect(await inspector.queue(queue) == .found(ready: 10_000, consumers: 0))
            try await inspector.delete(queue: queue)
        }
    }

    @Test("Quorum queues take messages as others do")
    func quorumQueue() async throws {
        try await withPublisher(to: Broker.shared) { publisher, inspector, _ in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue, arguments: ["x-queue-type": "quorum"])])
            for _ in 0..<5 {
                #expect(await publisher.publish(AMQPMessage(routingKey: queue, body: [1, 2])) == .confirmed)
            }
            try await inspector.delete(queue: queue)
        }
    }

    @Test("A closed publisher answers, and closing ends what is on its way")
    func closing() async throws {
        try await withPublisher(to: Broker.shared) { publisher, inspector, states in
            let queue = Broker.newName()
            try await inspector.declare([.queue(queue)])
            try await states.waitForReady()
            let outcomes = Collected<PublishOutcome>()
            for _ in 0..<200 { publisher.publish(AMQPMessage(routingKey: queue, body: [])) { outcomes.add($0) } }
            publisher.close()
            #expect(outcomes.count == 200)
            #expect(outcomes.all.allSatisfy { $0 == .confirmed }, "what was handed over goes out first")
            guard case .notSent = await publisher.publish(AMQPMessage(routingKey: queue, body: [])) else {
                Issue.record("sent after the close")
                return
            }
            publisher.close()
        }
    }
}
