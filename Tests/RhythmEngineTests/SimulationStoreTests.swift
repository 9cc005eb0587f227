import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// The simulated store keeps the contract of every store, or what the simulation proves would be worth little.
@Suite struct SimulationStoreTests {
    final class Fixture: StoreFixture {
        private let disk = SimulationDisk()
        private var fuse = SimulationFuse()

        func open() throws -> any Store {
            fuse = SimulationFuse()
            return SimulationStore(disk, fuse)
        }
        func close() throws {}
        func crash() throws { fuse.burn() }
    }

    @Test(arguments: StoreContract.allCases)
    func contract(_ check: StoreContract) throws { try check.run(on: Fixture()) }

    /// Killed before, in the middle of, and after a commit.
    @Test(arguments: [(0, false), (1, false), (2, true), (3, true)])
    func killedDuringACommit(passes: Int, stored: Bool) throws {
        let disk = SimulationDisk()
        let fuse = SimulationFuse()
        fuse.arm(after: passes)
        var transition = Transition(now: Timestamp(microseconds: 1)) { "t" }
        let workflow = Workflow.start(id: "w", spec: EngineRig.spec(), in: &transition)
        let batch = CommitBatch(changes: [
            WorkflowChange(workflow: workflow, isNew: true, touched: transition.touched, events: transition.events)
        ])
        let store = SimulationStore(disk, fuse)
        if passes < 3 {
            let error = #expect(throws: StoreError.self) { try store.commit(batch) }
            #expect(error?.outcomeUnknown == true)
        } else {
            _ = try store.commit(batch)
        }
        #expect((disk.image.workflows["w"] != nil) == stored)
    }
}
