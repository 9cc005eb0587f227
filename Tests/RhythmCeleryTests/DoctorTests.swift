import Logging
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

/// A real broker, a real database, and real workers with wrong settings: what the examination says of each.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct DoctorTests {
    private static let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// Broker, database and a runner that is at work.
    private struct Place {
        let broker: RabbitMQServer
        let database: MongoServer
        let runner: CeleryRunner

        func examine(_ needs: [TaskNeed] = []) async -> [Finding] { await DoctorTests.examine(runner, needs) }

        func worker(
            _ version: CeleryWorker.Version, _ name: String, queues: [String], settings: [String: String] = [:],
            arguments: [String] = [], backend: String? = nil
        ) async throws -> CeleryWorker {
            var configuration = CeleryWorker.Configuration(
                version, broker: broker.address, backend: backend ?? database.address("celery"), queues: queues,
                name: name)
            configuration.settings = settings
            configuration.arguments = arguments
            return try await CeleryWorker(configuration)
        }
    }

    private static func configuration(broker: String, results: String) -> CeleryConfiguration {
        var configuration = CeleryConfiguration(broker: broker, results: results, serverID: "doctor")
        configuration.times.workerQuiet = .seconds(4)
        configuration.times.acquaintance = .seconds(3)
        return configuration
    }

    private static func examine(_ runner: CeleryRunner, _ needs: [TaskNeed] = []) async -> [Finding] {
        await withCheckedContinuation { continuation in
            runner.examine(needs) { continuation.resume(returning: Finding.inOrder($0)) }
        }
    }

    private func withPlace(_ body: (Place) async throws -> Void) async throws {
        let broker = try await RabbitMQServer()
        let database = try MongoServer(.standalone)
        let runner = try CeleryRunner(
            Self.configuration(broker: broker.address, results: database.address("celery")), logger: Self.quiet)
        runner.start(outstanding: []) { _ in }
        defer { runner.stop() }
        try await body(Place(broker: broker, database: database, runner: runner))
    }

    private func codes(_ findings: [Finding], about subject: String) -> Set<String> {
        Set(findings.filter { $0.subject.contains(subject) && $0.severity != .ok }.map(\.code))
    }

    @Test("Each wrong setting of a worker, each missing queue and task, and a broker in trouble is found")
    func wrongSettings() async throws {
        try await withPlace { place in
            try await examineWithoutWorkers(place)
            let workers = try await startWorkers(place)
            try await declare("abandoned", on: place.broker)
            try await withPretender("skewed@elsewhere", on: place.broker) {
                try await beat("skewed@elsewhere", behind: 60, on: place.broker)
                var findings = await place.examine(Self.needs)
                let deadline = ContinuousClock.now + .seconds(20)
                while findings.contains(where: { $0.code == "worker_new" }), ContinuousClock.now < deadline {
                    findings = await place.examine(Self.needs)
                }
                checkWorkers(findings)
                checkQueuesAndTasks(findings)
            }
            workers[0].suspend()
            try await waitForFinding("worker_silent", about: "good@", place)
            workers[0].resume()
            for worker in workers { try await worker.kill() }
            try await blockBroker(place)
        }
    }

    @Test("A broker and a database that are away are errors, told in time and without passwords")
    func nothingIsThere() async throws {
        let runner = try CeleryRunner(
            Self.configuration(
                broker: "amqp://guest:secret@127.0.0.1:\(try freePort())//",
                results: "mongodb://user:secret@127.0.0.1:\(try freePort())/celery"), logger: Self.quiet)
        runner.start(outstanding: []) { _ in }
        defer { runner.stop() }
        let begun = ContinuousClock.now
        let findings = await Self.examine(runner)
        #expect(ContinuousClock.now - begun < .seconds(12))
        #expect(Set(findings.map(\.code)) == ["broker_away", "results_away"])
        #expect(findings.allSatisfy { $0.severity == .error && !"\($0)".contains("secret") })
    }

    // MARK: Parts of the large one

    private static let needs = [
        TaskNeed(task: "pass", queue: "fine", isDue: true, example: "w1"),
        TaskNeed(task: "echo", queue: "fine", isDue: true, example: "w1"),
        TaskNeed(task: "absent", queue: "fine", isDue: true, example: "w1"),
        TaskNeed(task: "pass", queue: "nowhere", isDue: true, example: "w1"),
        TaskNeed(task: "pass", queue: "abandoned", isDue: false, workflows: 7, example: "w1"),
        TaskNeed(task: "pass", queue: "mute", isDue: false, example: "w1"),
    ]

    private func examineWithoutWorkers(_ place: Place) async throws {
        let pool = try MongoPool(uri: place.database.address("celery"), defaultDatabase: "celery")
        try pool.insert("celery_taskmeta", ["_id": "old", "status": "SUCCESS", "result": "1"])
        let findings = await place.examine()
        #expect(codes(findings, about: "workers") == ["no_worker"])
        #expect(codes(findings, about: "results") == ["no_change_stream", "result_extended"])
    }

    private func startWorkers(_ place: Place) async throws -> [CeleryWorker] {
        async let good = place.worker(
            .celery57, "good", queues: ["fine"],
            settings: [
                "EVENTS": "1", "MAX_PRIORITY": "10", "SETTINGS": #"{"worker_state_db": "\#(place.broker.folder)/s"}"#,
            ])
        async let old = place.worker(
            .celery52, "old", queues: ["fine-old"],
            settings: [
                "RESULT_EXTENDED": "0", "TRACK_STARTED": "0", "ACKS_LATE": "1", "PREFETCH": "4",
                "SETTINGS": """
                {"result_expires": 3600, "task_ignore_result": true, "result_compression": "zlib"}
                """,
            ], arguments: ["--time-limit", "600"])
        async let other = place.worker(
            .celery57, "other", queues: ["fine"],
            settings: ["MAX_PRIORITY": "10", "WITHOUT": "echo", "SETTINGS": #"{"result_expires": 172800}"#],
            arguments: ["--without-heartbeat", "--pool", "threads"], backend: "rpc://")
        // Of the middle generation: a database that it shows as asterisks, a pool that grows, a task with a limit.
        async let masked = place.worker(
            .celery56, "masked", queues: ["fine-masked"],
            settings: [
                "MAX_PRIORITY": "10", "EVENTS": "1",
                "SETTINGS": """
                {"mongodb_backend_settings": {"database": "celery"}, "worker_state_db": "\(place.broker.folder)/m",
                "task_annotations": {"pass": {"rate_limit": "10/m"}}}
                """,
            ], arguments: ["--autoscale", "4,1"])
        async let mute = place.worker(
            .celery57, "mute", queues: ["mute"],
            settings: ["SETTINGS": #"{"worker_enable_remote_control": false}"#])
        return try await [good, old, other, masked, mute]
    }

    private func checkWorkers(_ findings: [Finding]) {
        #expect(codes(findings, about: "good@").isEmpty)
        #expect(
            codes(findings, about: "old@") == [
                "result_extended", "track_started", "consumer_timeout", "connection_loss", "reject_on_worker_lost",
                "prefetch", "result_expires", "ignore_result", "result_serializer", "time_limit", "events_off",
                "state_file",
            ])
        #expect(
            codes(findings, about: "other@") == [
                "result_backend", "no_heartbeat", "pool", "result_expires", "events_off", "state_file",
            ])
        #expect(codes(findings, about: "masked@") == ["version", "rate_limit"])
        #expect(findings.contains { $0.subject.contains("masked@") && $0.seen.contains("runs 1 to 4 tasks at once") })
        #expect(codes(findings, about: "mute@") == ["no_remote_control"])
        #expect(codes(findings, about: "skewed@") == ["clock_skew", "settings_unknown"])
        #expect(findings.first { $0.code == "clock_skew" }?.seen.contains("behind that of this server") == true)
        #expect(findings.contains { $0.severity == .ok && $0.seen.contains("Celery 5.2.7, runs 1 task at once") })
    }

    private func checkQueuesAndTasks(_ findings: [Finding]) {
        #expect(codes(findings, about: "queue nowhere") == ["queue_missing"])
        #expect(codes(findings, about: "queue abandoned") == ["no_consumer"])
        #expect(codes(findings, about: "queue fine-old") == ["no_priority"])
        #expect(codes(findings, about: "task absent") == ["task_unknown"])
        #expect(codes(findings, about: "task echo") == ["task_unknown_to_some"])
        #expect(codes(findings, about: "task pass").isEmpty)
        #expect(findings.first { $0.code == "no_consumer" }?.severity == .warning)
        #expect(findings.first { $0.code == "queue_missing" }?.severity == .error)
        #expect(findings.contains { $0.code == "queue" && $0.seen == "2 workers take from it, 0 messages wait" })
    }

    /// The broker says that it is blocked to those that publish.
    private func blockBroker(_ place: Place) async throws {
        _ = try await place.broker.control(["set_vm_memory_high_watermark", "0.00000001"])
        let deadline = ContinuousClock.now + .seconds(40)
        var errors: Set<String> = []
        while !errors.contains("broker_blocked"), ContinuousClock.now < deadline {
            errors = Set(await place.examine().filter { $0.severity == .error }.map(\.code))
        }
        // Nothing is said of workers that cannot be asked.
        #expect(errors == ["broker_blocked"])
    }

    // MARK: Tools

    private func waitForFinding(_ code: String, about subject: String, _ place: Place) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        var last: [Finding] = []
        while ContinuousClock.now < deadline {
            last = await place.examine()
            if codes(last, about: subject) == [code] { return }
        }
        Issue.record("no \(code) about \(subject): \(last)")
    }

    private func declare(_ queue: String, on broker: RabbitMQServer) async throws {
        let inspector = AMQPInspector(try AMQPAddress(parsing: broker.address))
        defer { inspector.close() }
        try await inspector.declare([.queue(queue, durable: true)])
    }

    /// Sends two heartbeats of a worker whose clock is slow.
    private func beat(_ node: String, behind seconds: Double, on broker: RabbitMQServer) async throws {
        let publisher = AMQPPublisher(try AMQPAddress(parsing: broker.address))
        defer { publisher.close() }
        for _ in 0..<2 {
            let sent = Double(Timestamp.wallClock.microseconds) / 1e6 - seconds
            let message = AMQPMessage(
                exchange: "celeryev", routingKey: "worker.heartbeat", mandatory: false,
                contentType: "application/json", contentEncoding: "utf-8", persistent: false,
                body: Array(#"{"type":"worker-heartbeat","hostname":"\#(node)","timestamp":\#(sent)}"#.utf8))
            let outcome = await withCheckedContinuation { continuation in
                publisher.publish(message) { continuation.resume(returning: $0) }
            }
            #expect(outcome == .confirmed)
        }
    }

    /// Somebody who answers every question with a pong.
    private func withPretender(
        _ node: String, on broker: RabbitMQServer, _ body: () async throws -> Void
    ) async throws {
        let address = try AMQPAddress(parsing: broker.address)
        let publisher = AMQPPublisher(address)
        let subscriber = AMQPSubscriber(
            address,
            declarations: [
                .exchange("celery.pidbox", .fanout, durable: false),
                .queue("pretender", durable: false, exclusive: true, autoDelete: true),
                .binding(queue: "pretender", exchange: "celery.pidbox", routingKey: ""),
            ], consume: [AMQPConsumption(queue: "pretender")]
        ) { delivery in
            guard let json = try? JSON(parsing: String(decoding: delivery.body, as: UTF8.self)).value,
                let exchange = json["reply_to"]?["exchange"]?.stringValue,
                let key = json["reply_to"]?["routing_key"]?.stringValue, let ticket = json["ticket"]?.stringValue
            else { return }
            publisher.publish(
                AMQPMessage(
                    exchange: exchange, routingKey: key, mandatory: false, contentType: "application/json",
                    contentEncoding: "utf-8", persistent: false, headers: ["ticket": .string(ticket)],
                    body: Array(#"{"\#(node)":{"ok":"pong"}}"#.utf8))
            ) { _ in }
        }
        let inspector = AMQPInspector(address)
        defer {
            subscriber.close()
            publisher.close()
            inspector.close()
        }
        let deadline = ContinuousClock.now + .seconds(20)
        while await inspector.queue("pretender") != .locked { try #require(ContinuousClock.now < deadline) }
        try await body()
    }
}
