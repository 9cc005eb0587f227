import RhythmTesting
import Testing

/// Every rule of the runner port, for every runner.
@Suite struct RunnerContractTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case inProcess, inProcessSynchronous, local

        var testDescription: String { rawValue }
    }

    private func check(_ kind: Kind, _ rule: (RunnerContract) async throws -> Void) async throws {
        switch kind {
        case .inProcess: try await InProcessPlace.with { try await rule(RunnerContract($0)) }
        case .inProcessSynchronous:
            try await InProcessPlace.with(synchronous: true) { try await rule(RunnerContract($0)) }
        case .local: try await LocalPlace.with { try await rule(RunnerContract($0)) }
        }
    }

    @Test(arguments: Kind.allCases) func returnsItsResult(_ kind: Kind) async throws {
        try await check(kind) { try await $0.returnsItsResult() }
    }

    @Test(arguments: Kind.allCases) func passesOnWithoutResult(_ kind: Kind) async throws {
        try await check(kind) { try await $0.passesOnWithoutResult() }
    }

    @Test(arguments: Kind.allCases) func reportsFailure(_ kind: Kind) async throws {
        try await check(kind) { try await $0.reportsFailure() }
    }

    @Test(arguments: Kind.allCases) func handsOverWhatIsNoArray(_ kind: Kind) async throws {
        try await check(kind) { try await $0.handsOverWhatIsNoArray() }
    }

    @Test(arguments: Kind.allCases) func failsUnknownTasks(_ kind: Kind) async throws {
        try await check(kind) { try await $0.failsUnknownTasks() }
    }

    @Test(arguments: Kind.allCases) func reportsProgress(_ kind: Kind) async throws {
        try await check(kind) { try await $0.reportsProgress() }
    }

    @Test(arguments: Kind.allCases) func datesByTheEnginesClock(_ kind: Kind) async throws {
        try await check(kind) { try await $0.datesByTheEnginesClock() }
    }

    @Test(arguments: Kind.allCases) func runsOnce(_ kind: Kind) async throws {
        try await check(kind) { try await $0.runsOnce() }
    }

    @Test(arguments: Kind.allCases) func runsMany(_ kind: Kind) async throws {
        try await check(kind) { try await $0.runsMany(kind == .local ? 60 : 2000) }
    }

    @Test(arguments: Kind.allCases) func revokesWhatRuns(_ kind: Kind) async throws {
        try await check(kind) { try await $0.revokesWhatRuns() }
    }

    @Test(arguments: Kind.allCases) func withdrawsWhatWaits(_ kind: Kind) async throws {
        try await check(kind) { try await $0.withdrawsWhatWaits() }
    }

    @Test(arguments: Kind.allCases) func endsWhatNobodyWaitsFor(_ kind: Kind) async throws {
        try await check(kind) { try await $0.endsWhatNobodyWaitsFor() }
    }

    @Test(arguments: Kind.allCases) func revokesBeforeDispatch(_ kind: Kind) async throws {
        try await check(kind) { try await $0.revokesBeforeDispatch() }
    }

    @Test(arguments: Kind.allCases) func keepsALateSuccess(_ kind: Kind) async throws {
        try await check(kind) { try await $0.keepsALateSuccess() }
    }

    @Test(arguments: Kind.allCases) func revokesAtAnyMoment(_ kind: Kind) async throws {
        try await check(kind) { try await $0.revokesAtAnyMoment(kind == .local ? 60 : 500) }
    }

    @Test(arguments: [Kind.inProcess, .local]) func revokesAroundTheEnd(_ kind: Kind) async throws {
        let seed = UInt64.random(in: 0...UInt64(UInt32.max))
        try await check(kind) { try await $0.revokesAroundTheEnd(60, seed: seed) }
    }

    @Test(arguments: Kind.allCases) func keepsTheOrder(_ kind: Kind) async throws {
        try await check(kind) { try await $0.keepsTheOrder() }
    }

    @Test(arguments: Kind.allCases) func keepsTheConcurrency(_ kind: Kind) async throws {
        try await check(kind) { try await $0.keepsTheConcurrency() }
    }

    @Test(arguments: Kind.allCases) func goesOnAfterARestart(_ kind: Kind) async throws {
        try await check(kind) { try await $0.goesOnAfterARestart() }
    }

    @Test(arguments: Kind.allCases) func tellsAnEndAgain(_ kind: Kind) async throws {
        try await check(kind) { try await $0.tellsAnEndAgain() }
    }

    @Test(arguments: Kind.allCases) func revokesAfterARestart(_ kind: Kind) async throws {
        try await check(kind) { try await $0.revokesAfterARestart() }
    }

    @Test(arguments: Kind.allCases) func forgetsWhatIsSettled(_ kind: Kind) async throws {
        try await check(kind) { try await $0.forgetsWhatIsSettled() }
    }

    @Test(arguments: Kind.allCases) func isSilentAfterAStop(_ kind: Kind) async throws {
        try await check(kind) { try await $0.isSilentAfterAStop() }
    }
}
