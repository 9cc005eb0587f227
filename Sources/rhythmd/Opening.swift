import Dispatch
import Foundation
import Logging
import RhythmEngine
import RhythmLocalRunner
import RhythmServer

/// How a server gets to its store: what is wrong for good ends the start, a store that is away is waited for.
///
/// A try that fails lets go of everything, the lease in the store first of all: others must be able to go on.
struct Opening {
    let backends: Backends
    /// Settings for steps that are processes on this machine.
    let local: @Sendable () throws -> LocalRunnerConfiguration
    /// How long a store that is away is waited for; nil for as long as it takes.
    let patience: Duration?

    /// - Parameter isUnwanted: whether the server is to stop.
    /// - Returns: nil if it is to stop before it is there.
    /// - Throws: why there will be no engine: ``StoreError``, ``SettingsError``.
    func run(
        for server: Server, until isUnwanted: () -> Bool, _ logger: Logger
    ) async throws -> (EngineService, any TaskRunner)? {
        let begun = ContinuousClock.now
        var told: String?
        while true {
            do {
                return try await engine()
            } catch let error as StoreError where error.code == .unavailable {
                if let patience, begun.duration(to: .now) >= patience { throw error }
                await server.wait(because: "the store is away: \(error.message)")
                if told != error.message {
                    logger.warning("the store is away, waiting for it: \(error.message)")
                    told = error.message
                }
            }
            for _ in 0..<10 {
                if isUnwanted() { return nil }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    private func engine() async throws -> (EngineService, any TaskRunner) {
        let (service, runner) = try await Self.offPool { () throws -> (EngineService, any TaskRunner) in
            // Wrong settings are found out before anything is asked of the store.
            let runner = try backends.makeRunner(local: local)
            let store = try backends.openStore()
            return (EngineService(store: store, runner: runner, logger: Logger(label: "rhythm.engine")), runner)
        }
        do throws(StoreError) {
            try await service.start()
        } catch {
            await service.stop()
            throw error
        }
        return (service, runner)
    }

    /// Does something that blocks, away from the threads that all tasks share.
    private static func offPool<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { done in
            DispatchQueue.global().async { done.resume(with: Result { try work() }) }
        }
    }
}
