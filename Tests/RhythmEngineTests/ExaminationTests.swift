import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// What a runner is asked to look at.
@Suite(.timeLimit(.minutes(1))) struct ExaminationTests {
    /// Answers with one notice for each need.
    private final class CuriousRunner: TaskRunner {
        func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {}
        func perform(_ effects: [Effect]) {}
        func purge(_ tasks: [TaskID]) {}
        func stop() {}
        var logs: (any LogSource)? { nil }

        func examine(_ needs: [TaskNeed], answer: @escaping @Sendable ([Finding]) -> Void) {
            answer(needs.map { Finding(.notice, "need", "task \($0.task)", "\($0.workflows)") })
        }
    }

    private func examine(_ service: EngineService, within scope: AppScope) async -> [Finding] {
        await withCheckedContinuation { continuation in
            service.examine(within: scope) { continuation.resume(returning: $0) }
        }
    }

    @Test func onlyWhatIsInScopeIsLookedAt() async throws {
        let service = EngineService(
            store: SimulationStore(SimulationDisk()), runner: CuriousRunner(), logger: EngineServiceTests.quiet)
        try await service.start()
        for (app, task) in [("ours", "a"), ("ours", "a"), ("theirs", "b")] {
            let spec = WorkflowSpec(name: "w", appID: app, steps: [StepSpec(name: "only", task: task)])
            _ = try await service.submit(.start(spec, requestID: ""))
        }
        let all = await examine(service, within: .all)
        #expect(all.map(\.subject) == ["task a", "task b", "store"], "the worst first")
        let ours = await examine(service, within: .only(["ours"]))
        #expect(ours.map(\.subject) == ["task a", "store"])
        #expect(ours.first?.seen == "2")
        #expect(await examine(service, within: .only([])).map(\.code) == ["store"])
        await service.stop()
    }
}
