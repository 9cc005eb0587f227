import Glibc
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// Every rule of the runner port, with real workers of the oldest and the newest version; those about revokes also with
/// the version between them that treats these in its own way.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CeleryContractTests {
    private func check(
        _ version: CeleryWorker.Version, _ rule: (RunnerContract) async throws -> Void
    ) async throws {
        let world = try await Worlds.forContract(version)
        // The marks of all rules go to one place, and one rule looks at the order of all that is there.
        unlink(world.marks.directory + "/order")
        try await rule(RunnerContract(CeleryPlace(world: world)))
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func returnsItsResult(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.returnsItsResult() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func reportsEnds(_ version: CeleryWorker.Version) async throws {
        try await check(version) { contract in
            try await contract.passesOnWithoutResult()
            try await contract.reportsFailure()
            try await contract.handsOverWhatIsNoArray()
            try await contract.failsUnknownTasks()
        }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func datesByTheEnginesClock(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.datesByTheEnginesClock() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func reportsProgress(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.reportsProgress() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func runsOnce(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.runsOnce() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func runsMany(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.runsMany(60) }
    }

    @Test(arguments: CeleryWorker.Version.allCases)
    func revokesWhatRuns(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.revokesWhatRuns() }
    }

    @Test(arguments: CeleryWorker.Version.allCases)
    func withdrawsWhatWaits(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.withdrawsWhatWaits() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func endsWhatNobodyWaitsFor(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.endsWhatNobodyWaitsFor() }
    }

    @Test(arguments: CeleryWorker.Version.allCases)
    func revokesBeforeDispatch(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.revokesBeforeDispatch() }
    }

    @Test(arguments: CeleryWorker.Version.allCases)
    func keepsALateSuccess(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.keepsALateSuccess() }
    }

    @Test(arguments: CeleryWorker.Version.allCases)
    func revokesAtAnyMoment(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.revokesAtAnyMoment(8) }
    }

    @Test(arguments: CeleryWorker.Version.allCases)
    func revokesAroundTheEnd(_ version: CeleryWorker.Version) async throws {
        let given = getenv("RHYTHM_CHAOS_SEED").flatMap { UInt64(String(cString: $0)) }
        let seed = given ?? .random(in: 0...UInt64(UInt32.max))
        try await check(version) { try await $0.revokesAroundTheEnd(100, seed: seed) }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func keepsTheOrder(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.keepsTheOrder() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func keepsTheConcurrency(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.keepsTheConcurrency() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func goesOnAfterARestart(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.goesOnAfterARestart() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func tellsAnEndAgain(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.tellsAnEndAgain() }
    }

    @Test(arguments: CeleryWorker.Version.allCases)
    func revokesAfterARestart(_ version: CeleryWorker.Version) async throws {
        try await check(version) { try await $0.revokesAfterARestart() }
    }

    @Test(arguments: CeleryWorker.Version.oldestAndNewest)
    func forgetsWhatIsSettled(_ version: CeleryWorker.Version) async throws {
        try await check(version) { contract in
            try await contract.forgetsWhatIsSettled()
            try await contract.isSilentAfterAStop()
        }
    }
}

/// Celery's workers as a place for the contract: its tasks by the names that they have in the application.
struct CeleryPlace: RunnerPlace {
    let world: CeleryWorld
    var marks: RunnerMarks { world.marks }
    var attemptsOutliveRunners: Bool { true }
    var keepsNumbers: Bool { false }
    var queuesAreElsewhere: Bool { true }

    func makeRunner() throws -> any TaskRunner {
        Renaming(try world.runner { $0.plainTasks = ["nothing", "brief"] }.runner)
    }

    private final class Renaming: TaskRunner {
        private let inner: any TaskRunner

        init(_ inner: any TaskRunner) { self.inner = inner }

        func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
            inner.start(outstanding: outstanding.map(rename), report: report)
        }
        func keepTime(_ now: @escaping @Sendable () -> Timestamp) { inner.keepTime(now) }

        func perform(_ effects: [Effect]) { inner.perform(effects.map(rename)) }
        func purge(_ tasks: [TaskID]) { inner.purge(tasks) }
        func stop() { inner.stop() }
        var logs: (any LogSource)? { inner.logs }

        private func rename(_ effect: Effect) -> Effect {
            guard case .dispatch(let old) = effect else { return effect }
            let names = ["pass": "nothing", "stubborn": "reluctant"]
            return .dispatch(
                Dispatch(
                    taskID: old.taskID, attempt: old.attempt, workflowID: old.workflowID, appID: old.appID,
                    step: old.step, task: names[old.task] ?? old.task, queue: old.queue, priority: old.priority,
                    args: old.args, kwargs: old.kwargs, isRepeated: old.isRepeated, queuedAt: old.queuedAt,
                    startedAt: old.startedAt))
        }
    }
}
