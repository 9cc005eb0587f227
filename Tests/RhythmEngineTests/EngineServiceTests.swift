import Dispatch
import Logging
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// The engine on its lane, asked from many threads.
@Suite(.timeLimit(.minutes(1))) struct EngineServiceTests {
    static let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    @Test func whatArrivesDuringACommitSharesTheNext() async throws {
        let disk = SimulationDisk()
        let gate = DispatchSemaphore(value: 0)
        let batches = Record<Int>()
        let store = ProbedStore(SimulationStore(disk)) { batch in
            batches.add(batch.changes.count)
            // The first commit takes as long as it takes the others to arrive.
            if batches.all.count == 1 { gate.wait() }
        }
        let service = EngineService(
            store: store, runner: SimulationRunner(SimulationMachine(SimulationJournal())), logger: Self.quiet)
        try await service.start()
        let answers = Record<Result<Reply, RhythmError>>()
        let done = DispatchSemaphore(value: 0)
        func submit(_ name: String) {
            service.submit(.start(EngineRig.spec(name), requestID: "")) { result in
                answers.add(result)
                done.signal()
            }
        }
        submit("first")
        while batches.all.isEmpty { await Task.yield() }
        for number in 0..<200 { submit("w\(number)") }
        #expect(answers.all.isEmpty)
        gate.signal()
        await service.stop()
        #expect(answers.all.count == 201)
        #expect(answers.all.allSatisfy { $0.error == nil })
        #expect(batches.all == [1, 200])
        #expect(disk.image.workflows.count == 201)
    }

    @Test func readsFromMemoryAreNotOlderThanWhatObserversWereTold() async throws {
        let service = EngineService(
            store: SimulationStore(SimulationDisk()),
            runner: SimulationRunner(SimulationMachine(SimulationJournal())), logger: Self.quiet)
        try await service.start()
        let stale = Record<WorkflowID>()
        service.observe { publication in
            for change in publication.changes where !change.workflow.isSettled {
                if service.active(change.workflow.id).map({ $0.version < change.workflow.version }) ?? true {
                    stale.add(change.workflow.id)
                }
            }
        }
        for _ in 0..<20 {
            let reply = try await service.submit(.start(EngineRig.spec(), requestID: ""))
            let id = try #require(reply.workflow?.id)
            let receipt = try await service.submit(.pause(id, .now, CommandOptions())).receipt
            #expect(receipt?.accepted == true)
        }
        #expect(service.activeCount == 20)
        #expect(service.activeWorkflows().count == 20)
        #expect(stale.all.isEmpty)
        await service.stop()
    }

    @Test func afterTheEndCommandsAreRefused() async throws {
        let service = EngineService(
            store: SimulationStore(SimulationDisk()),
            runner: SimulationRunner(SimulationMachine(SimulationJournal())), logger: Self.quiet)
        try await service.start()
        await service.stop()
        let error = await #expect(throws: RhythmError.self) {
            try await service.submit(.start(EngineRig.spec(), requestID: ""))
        }
        #expect(error?.code == .unavailable && error?.reason == "SHUTTING_DOWN")
        #expect(error?.effect == RhythmError.Effect.none)
    }
}
