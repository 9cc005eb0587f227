import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmStoreSQLite
import RhythmTesting
import Testing

/// Ordinary Celery applications: tasks that take no arguments of ours, results and events under other names, several
/// brokers. Whole workflows with real workers.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryNamesTests {
    /// Lets one workflow come to its end.
    private func run(
        _ steps: [StepSpec], with configuration: CeleryConfiguration,
        meanwhile: (EngineService, WorkflowID) async throws -> Void = { _, _ in }
    ) async throws -> Workflow {
        let folder = try ProcessGuard.shared.get().makeFolder("names")
        let runner = try CeleryRunner(configuration, logger: CeleryWorld.logger)
        let service = EngineService(store: try SQLiteStore(path: folder + "/flows.sqlite"), runner: runner)
        try await service.start()
        let id = WorkflowID(RandomUUID.make())
        let spec = WorkflowSpec(
            id: id, name: "names", appID: "app", args: .array(of: [JSON(.integer(1))]), steps: steps)
        _ = try await service.submit(.start(spec, requestID: ""))
        try await meanwhile(service, id)
        try await waitUntil("\(String(describing: service.active(id)))", seconds: 90) {
            service.active(id)?.status.isDone ?? true
        }
        let workflow = try #require(try service.workflow(id))
        await service.stop()
        return workflow
    }

    /// `def modest(self, value)`: with what every task is given it fails, and says of what; without it, it runs, be it for
    /// its step or for the server. The last step's result need not be a list.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func tasksThatTakeNoArgumentsOfOurs(_ version: CeleryWorker.Version) async throws {
        let world = try await Worlds.forContract(version)
        var configuration = world.configuration(server: "names-\(version)")
        let given = try await run([StepSpec(name: "all", task: "modest")], with: configuration)
        #expect(given.status == .failure)
        #expect(given.steps[0].current?.failure?.refusedInjection != nil, "\(given)")
        let steps = [
            StepSpec(name: "none", task: "modest", inject: []), StepSpec(name: "some", task: "echo", inject: [.step]),
            StepSpec(name: "library", task: "workflow.forward", inject: [.appID]),
            StepSpec(name: "last", task: "object"),
        ]
        let none = try await run(steps, with: configuration)
        #expect(none.status == .success, "\(none)")
        let echo = none.steps[1].current?.result?.value.arrayValue?.first
        #expect(echo?["kwargs"] == .object([.init("step", .string("some"))]), "\(String(describing: echo))")
        #expect(none.steps[3].current?.result?.text.contains("\"a\"") == true, "a list follows nothing")
        configuration.uninjectedTasks = ["mod*"]
        let server = try await run([StepSpec(name: "all", task: "modest")], with: configuration)
        #expect(server.status == .success, "\(server)")
    }

    /// The workers say where their results are and where they send events.
    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func namesThatTheWorkersSay(_ version: CeleryWorker.Version) async throws {
        let world = try await CeleryWorld.make()
        let worker = try await world.startWorker(
            version, name: "renamed", queues: ["celery"],
            settings: [
                "EVENTS": "1",
                "SETTINGS":
                    #"{"mongodb_backend_settings": {"taskmeta_collection": "mine"}, "event_exchange": "ours"}"#,
            ])
        defer { withExtendedLifetime(worker) {} }
        var configuration = world.configuration(server: "learner")
        configuration.taskEvents = .always
        let steps = ["a", "b", "c"].map { StepSpec(name: $0, task: "add") }
        let workflow = try await run(steps, with: configuration)
        #expect(workflow.status == .success, "\(workflow)")
        #expect(workflow.steps[2].current?.result?.value == .array([.number("4")]))
        let pool = try world.pool()
        let id = try #require(workflow.steps[0].current?.id)
        #expect(world.marks.runs(of: id) == 1)
        #expect(try pool.findOne("mine", filter: ["_id": .string(id.rawValue)])?["status"] == "SUCCESS")
        #expect(try pool.findOne("celery_taskmeta", filter: [:]) == nil)
        // The exchange is there, so it has been bound; the queue of events is bound to it.
        let bindings = try await world.broker.control(["list_bindings", "source_name", "destination_name"])
        #expect(
            bindings.split(separator: "\n").contains { $0.hasPrefix("ours") && $0.contains("rhythm.events.learner") },
            "\(bindings)")
    }

    /// The first broker of a list is killed while workflows run: workers and server go on with the second one.
    @Test(arguments: [CeleryWorker.Version.celery57])
    func goesOnWithTheNextBroker(_ version: CeleryWorker.Version) async throws {
        async let second = RabbitMQServer()
        let world = try await CeleryWorld()
        let spare = try await second
        let list = "\(world.broker.address);\(spare.address)"
        var settings = CeleryWorker.Configuration(version, broker: list, backend: world.results, queues: ["celery"])
        settings.marks = world.marks.directory
        settings.concurrency = 2
        let worker = try await CeleryWorker(settings)
        defer { withExtendedLifetime((worker, spare)) {} }
        var configuration = world.configuration(server: "failover")
        configuration.broker = list
        let steps = (1...4).map {
            StepSpec(name: "s\($0)", task: "add", kwargs: JSON(.object([.init("seconds", .integer(1))])))
        }
        let workflow = try await run(steps, with: configuration) { service, id in
            try await waitUntil("the second step does not run", seconds: 60) {
                service.active(id)?.steps[1].status == .started
            }
            try await world.broker.kill()
        }
        #expect(workflow.status == .success, "\(workflow) \(worker.log)")
        #expect(workflow.steps[3].current?.result?.value == .array([.number("5")]))
        for step in workflow.steps {
            let runs = step.attempts.map { world.marks.runs(of: $0.id) }.reduce(0, +)
            #expect(runs == 1, "\(step.spec.name)")
        }
    }
}
