import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Readers that take nothing for a while.
    @Suite struct SlowReaderTests {
        @Test func stalledReaderCostsNothingAndMissesNothing() async throws {
            try await Rig.with {
                $0.progressInterval = .zero
            } _: { rig in
                let (starter, brisk) = (try await rig.peer(), try await rig.peer())
                let stalled = try await rig.peer(onUnix: true)
                let steps = (0..<250).map { "step-\($0)-" + String(repeating: "z", count: 80) }
                let ids: [WorkflowID] = (0..<4).map { WorkflowID("slow-\($0)") }
                for id in ids { _ = try await starter.start(Rig.gated(steps, id: id)) }
                let filter = WatchProgress(filter: WorkflowFilter(appID: "tests"))
                let slow = try await WatchLog(stalled, filter)
                let quick = try await WatchLog(brisk, filter)
                _ = try await starter.info()
                let before = Rig.residentBytes
                for step in steps {
                    for id in ids {
                        for done in 1...3 { rig.gates.report(id, step, done: Double(done), of: 3) }
                        rig.gates.succeed(id, step)
                    }
                }
                // Everybody else is served while one reads nothing.
                for id in ids { try await quick.untilStatus(id, .success) }
                _ = try await starter.info()
                #expect(Rig.residentBytes - before < 40 << 20)
                // What waits for it is made once there is room, but for one event.
                #expect((1..<(80 << 10)).contains(try await starter.mostWaiting()))
                let versions = try await ids.asyncMap { try await starter.status($0).version }
                // Then it reads on.
                for (id, version) in zip(ids, versions) {
                    try await slow.until("all of \(id)") { $0[id].lastVersion == version }
                    #expect(slow[id].snapshots.count == 1)
                    #expect(slow[id].progress.last?.update.progress.done == 3, "the last progress is missing")
                }
                let told = ids.map { slow[$0].progress.count }.reduce(0, +)
                #expect(told < 3 * steps.count * ids.count, "the stalled reader was sent all progress")
            }
        }

        /// A reader that stalled until the workflow was deleted is told so, and its other workflows go on.
        @Test func deletionDuringAStall() async throws {
            try await Rig.with { rig in
                let starter = try await rig.peer()
                let stalled = try await rig.peer(onUnix: true)
                let steps = (0..<300).map { "step-\($0)-" + String(repeating: "z", count: 200) }
                let spec = WorkflowSpec(
                    id: "gone", name: "flow", appID: "tests", steps: steps.map { StepSpec(name: $0, task: "quick") })
                _ = try await starter.start(Rig.gated(id: "stays"))
                let filter = WatchProgress(filter: WorkflowFilter(appID: "tests"))
                let slow = try await WatchLog(stalled, filter)
                _ = try await starter.start(spec)
                try await starter.until("gone", is: .success)
                _ = try await starter.call(.deleteWorkflow(DeleteWorkflow(workflowID: "gone")))
                rig.gates.succeed("stays", "one")
                try await slow.until("the deletion") { $0["gone"].isDeleted }
                try await slow.untilStatus("stays", .success)
                #expect(slow.end == nil)
                #expect(slow["gone"].transitions.count < 900, "it did not stall")
            }
        }

        @Test func reallyDeadReaderIsCutOff() async throws {
            try await Rig.with {
                $0.pingInterval = .milliseconds(400)
            } _: { rig in
                let starter = try await rig.peer()
                let stalled = try await rig.peer(onUnix: true)
                let big = JSON(.array([.string(String(repeating: "x", count: 400_000))]))
                let id = try await starter.start(Rig.gated(args: big)).id
                for _ in 0..<40 { try await stalled.begin(.getStatus(GetStatus(workflowID: id))) }
                try await eventually("only the starter is left") { try await starter.info().connections == 1 }
                await #expect(throws: RawPeer.Trouble.self) {
                    while true { _ = try await stalled.next() }
                }
            }
        }
    }
}

extension Array {
    func asyncMap<Result>(_ transform: (Element) async throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
