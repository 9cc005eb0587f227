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
            let second = try servers[1].client()
            let people = FleetPeople(Self.name("dies"), world, [try servers[0].client(), second])
            for workflow in 0..<6 { try await people.start(workflow, steps: 3, seconds: 0.5, on: 0) }
            try await people.waitUntilOne("succeeds") { $0.succeeded }
            people.clerk.book.note(.serverKilled, "")
            try await servers[0].killNow()
            try await people.expectTheEnd(askers: [second])
        }
    }

    private static func name(_ word: String) -> String { "\(word)\(UInt32.random(in: 0 ... .max))" }

    /// `RHYTHM_CHAOS_SLEEP` gives the seconds it is stopped for, with the lease that servers have by themselves.
    @Test("a server that slept beyond its lease finds its work done by another, and disturbs nothing")
    func serverSleeps() async throws {
        let world = try await FleetWorld.shared
        let sleep = ProcessInfo.processInfo.environment["RHYTHM_CHAOS_SLEEP"].flatMap { Double($0) }
        try await world.with(servers: 2, lease: sleep == nil ? 2 : nil) { servers in
            let (first, second) = (try servers[0].client(), try servers[1].client())
            let people = FleetPeople(Self.name("sleeps"), world, [first, second])
            for workflow in 0..<6 { try await people.start(workflow, steps: 3, seconds: 0.5, on: 0) }
            try await people.waitUntilOne("succeeds") { $0.succeeded }
            let child = try #require(servers[0].child)
            people.clerk.book.note(.serverStopped, "")
            child.signal(SIGSTOP)
            let wakesUp = ContinuousClock.now + .seconds(sleep ?? 0)
            try await people.expectTheEnd(askers: [second])
            try await Task.sleep(until: wakesUp, clock: .continuous)
            child.signal(SIGCONT)
            people.clerk.book.healed(.serverStopped, "")
            try await people.expectTheEnd()
            // It works again: what it starts now ends.
            let id = try await first.start(FleetWorld.spec(steps: 2)).workflow.id
            #expect(try await first.waitUntilDone(id).status == .success)
        }
    }
}
