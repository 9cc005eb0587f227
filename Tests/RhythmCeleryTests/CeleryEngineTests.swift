import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmStoreSQLite
import RhythmTesting
import Testing

/// The engine with real workers: whole workflows.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryEngineTests {
    private func finish(_ service: EngineService, _ ids: [WorkflowID]) async throws -> [Workflow] {
        try await waitUntil("\(service.activeCount) are left", seconds: 60) {
            ids.allSatisfy { service.active($0)?.status.isDone ?? true }
        }
        return try ids.compactMap { try service.workflow($0) }
    }

    private func start(_ service: EngineService, _ spec: WorkflowSpec) async throws -> WorkflowID {
        let id = WorkflowID(RandomUUID.make())
        var spec = spec
        spec.id = id
        _ = try await service.submit(.start(spec, requestID: ""))
        return id
    }

    /// Every step runs once and hands its result to the next, plain tasks and those of the library in turn; a task of
    /// the library that is repeated after a failure runs right as well.
    @Test func runsWholeWorkflows() async throws {
        let world = try await Worlds.forContract(.celery57)
        let folder = try ProcessGuard.shared.get().makeFolder("engine")
        let runner = try CeleryRunner(world.configuration(server: "engine"), logger: CeleryWorld.logger)
        let service = EngineService(store: try SQLiteStore(path: folder + "/flows.sqlite"), runner: runner)
        try await service.start()
        let steps = (1...5).map { number in
            StepSpec(
                name: "step \(number)", task: number % 2 == 0 ? "workflow.add" : "add",
                queue: number == 3 ? "pair" : "a")
        }
        let spec = WorkflowSpec(name: "five", appID: "app", args: .array(of: [JSON(.integer(1))]), steps: steps)
        let begun = ContinuousClock.now
        var ids: [WorkflowID] = []
        for _ in 0..<20 { ids.append(try await start(service, spec)) }
        let done = try await finish(service, ids)
        let took = ContinuousClock.now - begun
        print("20 workflows of 5 steps, of which 2 are the library's: \(took)")
        #expect(done.count == 20)
        for workflow in done {
            #expect(workflow.status == .success, "\(workflow.id)")
            #expect(workflow.steps.last?.current?.result?.value == .array([.number("6")]))
            for step in workflow.steps {
                let attempts = step.attempts.map(\.id)
                #expect(attempts.count == 1 && world.marks.runs(of: attempts[0]) == 1)
            }
        }
        var failing = spec
        failing.steps = [
            StepSpec(
                name: "fails", task: "workflow.fail", queue: "a",
                retry: RetryPolicy(maxAttempts: 2, backoff: .milliseconds(10)))
        ]
        let failed = try await finish(service, [try await start(service, failing)])
        #expect(failed.first?.status == .failure && failed.first?.steps.first?.attempts.count == 2)
        await service.stop()
    }
}
