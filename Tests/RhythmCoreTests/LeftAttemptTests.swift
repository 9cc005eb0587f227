import RhythmCore
import Testing

/// Attempts that the server which makes them can give to no runner: they wait, due, for one that can.
@Suite struct LeftAttemptTests {
    private let now = Timestamp(microseconds: 1_800_000_000_000_000)

    private func transition(at time: Timestamp? = nil, keeps: Bool) -> Transition {
        let ids = TaskIDs(after: keeps ? 0 : 100)
        return Transition(now: time ?? now, keepsFromRunners: keeps) { ids.next() }
    }

    private func start() -> (Workflow, Transition) {
        var transition = transition(keeps: true)
        let spec = WorkflowSpec(
            name: "w", appID: "app", steps: ["a", "b"].map { StepSpec(name: $0, task: "t") })
        return (Workflow.start(id: "w", spec: spec, in: &transition), transition)
    }

    @Test func aStartWaits() {
        let (workflow, transition) = start()
        #expect(transition.events.map(\.kind) == [.created] && transition.effects.isEmpty && transition.leavesAttempt)
        #expect(workflow.status == .pending && workflow.steps[0].status == .pending && !workflow.isSettled)
        #expect(workflow.nextWakeUp == now && workflow.outstandingEffects.isEmpty)
        #expect(workflow.steps[0].current?.waitsForServer == true)
    }

    @Test func whoeverCanSendsIt() throws {
        var (workflow, _) = start()
        var still = transition(keeps: true)
        workflow.wakeUp(in: &still)
        #expect(still.leavesAttempt && still.events.isEmpty && still.effects.isEmpty && !still.isEmpty)
        let task = try #require(workflow.steps[0].current?.id)
        var last = transition(keeps: false)
        workflow.wakeUp(in: &last)
        #expect(last.events.map(\.kind) == [.dispatched] && !last.leavesAttempt)
        guard case .dispatch(let dispatch)? = last.effects.first else {
            Issue.record("\(last.effects)")
            return
        }
        #expect(dispatch.taskID == task && !dispatch.isRepeated && last.effects.count == 1)
        #expect(workflow.steps[0].attempts.count == 1 && workflow.steps[0].current?.waitsForServer == false)
        // Then the step ends where nothing can be sent again.
        var end = transition(keeps: true)
        workflow.observe(.succeeded(result: .array(of: [.string("x")]), at: now), of: task, in: &end)
        #expect(end.events.map(\.kind) == [.succeeded] && end.effects == [.settle(task)] && end.leavesAttempt)
        #expect(workflow.status == .started && workflow.steps[1].current?.args == .array(of: [.string("x")]))
    }

    @Test func itCanBePausedAndResumed() {
        var (workflow, _) = start()
        var pause = transition(keeps: true)
        #expect(workflow.pause(.now, in: &pause).accepted)
        #expect(workflow.status == .revoked && workflow.isSettled && pause.effects.isEmpty)
        var resume = transition(keeps: false)
        #expect((try? workflow.resume(in: &resume).accepted) == true)
        #expect(resume.effects.count == 1 && workflow.steps[0].attempts.count == 2)
    }
}
