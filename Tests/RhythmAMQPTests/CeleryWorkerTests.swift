import RhythmAMQP
import RhythmTesting
import Testing

/// What this module publishes is what unmodified workers take.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct CeleryWorkerTests {
    @Test(
        "Workers of both ends of the supported range run what is published",
        arguments: CeleryWorker.Version.oldestAndNewest)
    func runs(version: CeleryWorker.Version) async throws {
        let server = try await Broker.shared
        let marks = RunnerMarks(directory: try ProcessGuard.shared.get().makeFolder("marks"))
        let queue = Broker.newName()
        var configuration = CeleryWorker.Configuration(
            version, broker: server.address, backend: "rpc://", queues: [queue])
        configuration.marks = marks.directory
        configuration.settings = ["MAX_PRIORITY": "10"]
        let worker = try await CeleryWorker(configuration)
        try await withPublisher(to: server) { publisher, inspector, _ in
            #expect(await inspector.queue(queue) == .found(ready: 0, consumers: 1))
            for task in ["pass", "workflow.pass"] {
                let message = AMQPMessage(
                    routingKey: queue, contentType: "application/json", contentEncoding: "utf-8", priority: 3,
                    headers: ["task": .string(task), "id": .string("id-\(task)"), "ignore_result": true],
                    body: Array(#"[["x"],{},{}]"#.utf8))
                #expect(await publisher.publish(message) == .confirmed)
                try await waitUntil("\(task) does not run: \(worker.log)", seconds: 30) {
                    ProcessGuard.read("\(marks.directory)/id-\(task).runs") == "run\n"
                }
            }
        }
        try await worker.stop()
        #expect(!Processes.isAlive(worker.pid))
    }
}
