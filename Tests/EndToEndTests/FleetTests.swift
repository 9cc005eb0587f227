import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// Several servers, one database, one broker, real workers.
@Suite(.showsServerLog, .serialized, .timeLimit(.minutes(4))) struct FleetTests {
    @Test("any server takes any command, and a watch on one sees what another does")
    func anyServerTakesAnyCommand() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 2) { servers in
            let (first, second) = (try servers[0].client(), try servers[1].client())
            let id = try await first.start(FleetWorld.spec(steps: 3, task: "hold")).workflow.id
            let versions = Task {
                var versions: [Int64] = []
                for try await update in second.watch([id], after: [id: 0]) {
                    guard case .transition(let event) = update else { continue }
                    versions.append(event.version)
                    if event.status == .success { break }
                }
                return versions
            }
            let running = try await second.wait(for: id) { $0.steps[0].current?.status == .started }
            // Answers that are asked for again and again are kept, but not longer than the workflow is followed there.
            for _ in 0..<3 { #expect(try await first.status(id).status == .started) }
            let paused = try await second.pause(id)
            #expect(paused.receipt.accepted && paused.receipt.revokedStep?.step == "s0")
            try await waitUntil("the first server tells what was", seconds: 20) {
                try await first.status(id).status == .revoked
            }
            _ = try await first.wait(for: id) { $0.status == .revoked && $0.isQuiesced }
            let resumed = try await first.resume(id)
            #expect(resumed.receipt.accepted)
            for step in 0..<3 {
                let workflow = try await second.wait(for: id) { $0.steps[step].current?.status == .started }
                world.marks.openGate(of: try #require(workflow.steps[step].current?.id))
            }
            let done = try await first.waitUntilDone(id)
            #expect(done.status == .success)
            #expect(done.steps[0].attempts.count == 2 && done.steps[0].attempts[0].id == running.steps[0].current?.id)
            let seen = try await versions.value
            #expect(seen == Array(1...done.version), "every transition once and in order")
        }
    }

    @Test("when a server dies, another finishes its work and nothing runs twice")
    func serverDies() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 2) { servers in
            let (first, second) = (try servers[0].client(), try servers[1].client())
            var ids: [WorkflowID] = []
            for _ in 0..<6 {
                ids.append(
                    try await first.start(FleetWorld.spec(steps: 3, task: "sleep", kwargs: #"{"seconds":0.5}"#))
                        .workflow.id)
            }
            _ = try await first.wait(for: ids[0]) { $0.steps[0].current?.status == .success }
            try await servers[0].killNow()
            try await expectAllDone(ids, second, world)
        }
    }

    /// `RHYTHM_CHAOS_SLEEP` gives the seconds it is stopped for, with the lease that servers have by themselves.
    @Test("a server that slept beyond its lease finds its work done by another, and disturbs nothing")
    func serverSleeps() async throws {
        let world = try await FleetWorld.shared
        let sleep = ProcessInfo.processInfo.environment["RHYTHM_CHAOS_SLEEP"].flatMap { Double($0) }
        try await world.with(servers: 2, lease: sleep == nil ? 2 : nil) { servers in
            let (first, second) = (try servers[0].client(), try servers[1].client())
            var ids: [WorkflowID] = []
            for _ in 0..<6 {
                ids.append(
                    try await first.start(FleetWorld.spec(steps: 3, task: "sleep", kwargs: #"{"seconds":0.5}"#))
                        .workflow.id)
            }
            _ = try await first.wait(for: ids[0]) { $0.steps[0].current?.status == .success }
            let child = try #require(servers[0].child)
            child.signal(SIGSTOP)
            let wakesUp = ContinuousClock.now + .seconds(sleep ?? 0)
            try await expectAllDone(ids, second, world)
            try await Task.sleep(until: wakesUp, clock: .continuous)
            child.signal(SIGCONT)
            for id in ids {
                let workflow = try await first.wait(for: id) { $0.status == .success }
                #expect(world.runs(of: workflow).values.allSatisfy { $0 == 1 })
            }
            // It works again: what it starts now ends.
            let id = try await first.start(FleetWorld.spec(steps: 2)).workflow.id
            #expect(try await first.waitUntilDone(id).status == .success)
        }
    }

    private func expectAllDone(_ ids: [WorkflowID], _ client: RhythmClient, _ world: FleetWorld) async throws {
        for id in ids {
            let workflow = try await client.wait(for: id, seconds: 90) { $0.status.isDone }
            #expect(workflow.status == .success)
            let runs = world.runs(of: workflow)
            #expect(runs.values.allSatisfy { $0 == 1 }, "\(runs)")
        }
    }
}
