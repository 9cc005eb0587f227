import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmEngine

/// The report that a step has begun waits for the next one of its workflow.
@Suite struct LingeringTests {
    private func rigWithRunningStep(steps: Int = 2, each: (inout StepSpec) -> Void = { _ in }) throws -> (
        EngineRig, Workflow, TaskID
    ) {
        let rig = try EngineRig(linger: .milliseconds(20))
        let workflow = try rig.start(EngineRig.spec(steps: steps, each: each))
        let task = try #require(rig.stored(workflow.id).steps[0].current?.id)
        rig.run()
        _ = rig.order.take()
        return (rig, workflow, task)
    }

    @Test func shortStepTakesOneCommit() throws {
        let (rig, workflow, task) = try rigWithRunningStep()
        rig.begin(task)
        rig.run()
        #expect(rig.order.take().isEmpty, "nothing is stored or told yet")
        rig.clock.advance(by: .milliseconds(5))
        rig.machine.say(.queued(at: rig.clock.now()), of: task)
        rig.progress(task, 50)
        rig.run()
        #expect(rig.order.take().isEmpty, "what follows keeps its place behind")
        rig.succeed(task)
        rig.run()
        #expect(rig.order.take() == ["commit", "perform", "publish"])
        let events = try #require(rig.batches.all.last?.changes.first?.events)
        #expect(events.map(\.kind) == [.started, .succeeded, .dispatched])
        #expect(events.map(\.version) == [3, 4, 5])
        let stored = try rig.stored(workflow.id)
        #expect(stored.steps[0].current?.progress?.state.done == 50)
        #expect(stored.status == .started)
    }

    @Test func longStepIsShownAfterTheLinger() throws {
        let (rig, workflow, task) = try rigWithRunningStep()
        let begun = rig.clock.now()
        rig.begin(task)
        rig.run()
        let due = try #require(rig.engine.nextWakeUp)
        #expect(due.since(begun) == .milliseconds(20))
        try rig.sleepUntilWakeUp()
        #expect(try rig.stored(workflow.id).steps[0].current?.startedAt == begun)
        #expect(rig.order.take() == ["commit", "publish"])
        #expect(rig.engine.lingering.due == nil)
    }

    /// A command sees what was reported before it.
    @Test func commandsTakeItAlong() throws {
        let (rig, workflow, task) = try rigWithRunningStep()
        rig.begin(task)
        rig.run()
        let receipt = try #require(try rig.ask(.pause(workflow.id, .now, CommandOptions())).receipt)
        #expect(receipt.revokedStep?.taskID == task)
        let stored = try rig.stored(workflow.id)
        #expect(stored.steps[0].current?.startedAt != nil)
        #expect(try #require(rig.batches.all.last?.changes.first).events.map(\.kind).first == .started)
    }

    /// A time limit on the start that ends in the same moment does not meet an attempt that has begun.
    @Test func limitsSeeIt() throws {
        let (rig, workflow, task) = try rigWithRunningStep { $0.startTimeout = .seconds(10) }
        rig.clock.advance(by: .milliseconds(9_990))
        rig.begin(task)
        rig.run()
        rig.clock.advance(by: .milliseconds(10))
        rig.run()
        let attempt = try #require(try rig.stored(workflow.id).steps[0].current)
        #expect(attempt.id == task && attempt.status == .started)
    }

    /// Whatever a store does, and in whatever order workflows come and go, nothing is kept for longer, and no two
    /// reports of a workflow change places.
    @Test(arguments: 1...30) func keepsOrderAndTime(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var lingering = LingeringReports(patience: .milliseconds(20))
        var now = Timestamp(microseconds: 0)
        var kept: [WorkflowID: [(number: Int, since: Timestamp)]] = [:]
        for number in 0..<3_000 {
            now = now + .milliseconds(Int.random(in: 0...3, using: &random))
            let id = WorkflowID("w\(Int.random(in: 0..<40, using: &random))")
            switch Int.random(in: 0..<8, using: &random) {
            case 0...3:
                let observation: Observation =
                    Bool.random(using: &random)
                    ? .started(at: now, worker: "\(number)") : .waiting(reason: "\(number)")
                let keeps = lingering.keep(Report(workflowID: id, taskID: "t", observation), now: now)
                if case .started = observation {
                    #expect(keeps, "seed \(seed)")
                } else {
                    #expect(keeps == (kept[id] != nil), "seed \(seed): only behind another one")
                }
                if keeps { kept[id, default: []].append((number, now)) }
            case 4: check(lingering.take(id), kept.removeValue(forKey: id) ?? [], seed)
            default:
                let due = lingering.takeDue(now: now)
                for (id, reports) in Dictionary(grouping: due, by: \.workflowID) {
                    check(reports, kept.removeValue(forKey: id) ?? [], seed)
                }
                #expect(kept.values.allSatisfy { now.since($0[0].since) < .milliseconds(20) }, "seed \(seed)")
            }
            if !kept.isEmpty { #expect(lingering.due != nil, "seed \(seed)") }
        }
    }

    private func check(_ reports: [Report], _ expected: [(number: Int, since: Timestamp)], _ seed: UInt64) {
        let numbers = reports.compactMap { report in
            switch report.observation {
            case .started(_, let worker): Int(worker)
            case .waiting(let reason): Int(reason)
            default: nil
            }
        }
        #expect(numbers == expected.map(\.number), "seed \(seed)")
    }
}
