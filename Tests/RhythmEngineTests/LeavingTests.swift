import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmEngine

/// A server whose runner can begin nothing gives what it would have to send to one that can, and at once.
@Suite struct LeavingTests {
    private let rig = FleetRig()

    /// Two servers that know each other; the first one's runner gets into trouble then.
    private func makeServers() throws -> (stuck: FleetRig.Server, able: FleetRig.Server) {
        let servers = (try rig.makeServer("stuck"), try rig.makeServer("able"))
        rig.pass(seconds: 10, [servers.0, servers.1])
        return servers
    }

    /// Seconds until a server has been given an attempt.
    private func wait(for task: TaskID, on server: FleetRig.Server, with other: FleetRig.Server) -> Int? {
        for second in 1...30 {
            rig.pass(seconds: 1, [other, server])
            if server.dispatched(again: false).contains(task) { return second }
        }
        return nil
    }

    @Test func whatIsStarted() throws {
        let (stuck, able) = try makeServers()
        stuck.runner.trouble = "the broker is away"
        let workflow = try #require(try stuck.start(1).first)
        let task = try #require(workflow.steps[0].current?.id)
        #expect(workflow.status == .pending && workflow.steps[0].status == .pending && workflow.version == 1)
        #expect(stuck.engine.activeCount == 0 && stuck.effects.all.isEmpty, "its runner never heard of it")
        #expect(stuck.published.all.last?.released == [workflow.id])
        // The other one hears with its next look that there is something to look for.
        #expect(try #require(wait(for: task, on: able, with: stuck)) <= 5)
        let stored = try rig.stored(workflow.id)
        #expect(stored.steps[0].attempts.count == 1 && stored.steps[0].current?.dispatchedAt != nil)
        #expect(able.dispatched(again: true).isEmpty && stuck.effects.all.isEmpty)
        // From then on it looks every second.
        let next = try #require(try stuck.start(1).first?.steps[0].current?.id)
        #expect(try #require(wait(for: next, on: able, with: stuck)) <= 2)
        #expect(rig.takeProblems() == [])
        stuck.runner.trouble = nil
        let own = try #require(try stuck.start(1).first?.steps[0].current?.id)
        #expect(stuck.dispatched(again: false) == [own], "it is well again")
    }

    @Test func theNextStepAndWhatHasWaited() throws {
        let (stuck, able) = try makeServers()
        let spec = EngineRig.spec { $0.retry = RetryPolicy(maxAttempts: 3, backoff: .seconds(20)) }
        let workflows = try stuck.start(2, spec)
        stuck.queue(workflows)
        stuck.report(workflows[1], .failed(Failure(type: "Boom", message: ""), at: rig.clock.now()))
        _ = stuck.effects.take()
        stuck.runner.trouble = "the broker is away"
        // What runs is still followed: its end may be seen in the database.
        stuck.report(workflows[0], .succeeded(result: .array(of: [.string("r")]), at: rig.clock.now()))
        let first = try rig.stored(workflows[0].id)
        #expect(first.steps[0].status == .success && first.status == .started)
        let next = try #require(first.steps[1].current)
        #expect(next.waitsForServer && next.shownStatus == .pending)
        #expect(stuck.effects.all.filter { if case .settle = $0 { true } else { false } }.count == 1)
        #expect(stuck.dispatched(again: false) == [] && stuck.engine.activeCount == 1)
        #expect(try #require(wait(for: next.id, on: able, with: stuck)) <= 5)
        // The repetition that is due now would have to be sent, too. (Not so long that it would leave everything.)
        let repetition = try #require(try rig.stored(workflows[1].id).steps[0].current)
        #expect(repetition.isWaiting && !repetition.waitsForServer && stuck.engine.activeCount == 1)
        rig.pass(seconds: 20, [able, stuck])
        #expect(stuck.engine.activeCount == 0 && able.dispatched(again: false) == [next.id, repetition.id])
        #expect(rig.takeProblems() == [] && stuck.dispatched(again: false) == [])
    }

    @Test func nothingIfNobodyIsAble() throws {
        let (stuck, other) = try makeServers()
        other.runner.trouble = "the broker is away"
        rig.pass(seconds: 1, [other, stuck])
        stuck.runner.trouble = "the broker is away"
        let task = try #require(try stuck.start(1).first?.steps[0].current?.id)
        #expect(stuck.dispatched(again: false) == [task] && stuck.engine.activeCount == 1)
        rig.pass(seconds: 100, [other, stuck])
        #expect(stuck.engine.activeCount == 1 && other.effects.all.isEmpty, "nor is anything handed over")
    }

    /// What is given to a server that drains is sent by another one as soon as that takes it.
    @Test func whatAServerThatDrainsIsGiven() throws {
        let (drained, able) = try makeServers()
        drained.engine.drain(true)
        rig.pass(seconds: 6, [drained, able])
        let task = try #require(try drained.start(1).first?.steps[0].current?.id)
        #expect(try #require(wait(for: task, on: able, with: drained)) <= 2)
        #expect(drained.effects.all.isEmpty && able.dispatched(again: true).isEmpty)
    }

    /// A server that has just begun may have to connect first.
    @Test func notBeforeItCanBeWell() throws {
        let able = try rig.makeServer("able")
        let late = try rig.makeServer("late")
        late.runner.trouble = "the broker is not connected yet"
        rig.pass(seconds: 1, [able])
        let task = try #require(try late.start(1).first?.steps[0].current?.id)
        #expect(late.dispatched(again: false) == [task])
        rig.pass(seconds: 6, [able, late])
        _ = try late.start(1)
        #expect(late.dispatched(again: false) == [task], "by now it should have connected")
    }
}
