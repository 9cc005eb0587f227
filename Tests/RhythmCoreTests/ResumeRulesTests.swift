import RhythmCore
import Testing

/// Resume: plain, forced, with other arguments, from an earlier step, and twice at once.
@Suite struct ResumeRulesTests {
    @Test func afterAFailureThePendingStepRunsAgain() throws {
        var rig = try Rig()
        try rig.succeed("[1]")
        rig.start()
        rig.fail()
        #expect(rig.status == .failure)
        #expect(rig.workflow.endedAt != nil)
        let receipt = try rig.resume()
        #expect(receipt.accepted && !receipt.already)
        #expect(receipt.restartedStep == AttemptSummary(taskID: "3", task: "task.b", step: "b"))
        #expect(rig.dispatched.map(\.step) == ["b"])
        #expect(rig.dispatched.map(\.args.text) == ["[1]"])
        #expect(rig.status == .started)
        #expect(rig.workflow.endedAt == nil)
        // What succeeded is not repeated.
        #expect(rig.workflow.steps[0].attempts.count == 1)
    }

    @Test func whileItIsActiveItIsRefused() throws {
        var rig = try Rig()
        let before = rig.workflow
        let receipt = try rig.resume()
        #expect(!receipt.accepted && receipt.already)
        #expect(receipt.reason == "ACTIVE")
        #expect(rig.workflow == before && rig.last.isEmpty)
    }

    @Test func newAttemptWaitsUntilTheOldOneIsGone() throws {
        var rig = try Rig()
        rig.start()
        rig.pause()
        let receipt = try rig.resume()
        #expect(receipt.accepted && !receipt.quiesced)
        #expect(receipt.restartedStep == AttemptSummary(taskID: "", task: "task.a", step: "a"))
        #expect(rig.dispatched.isEmpty)
        #expect(rig.revoked.isEmpty)
        #expect(rig.status == .pending)
        rig.stopped()
        #expect(rig.dispatched.map(\.taskID) == ["2"])
        #expect(rig.settled == ["1"])
        #expect(rig.workflow.control == .running)
    }

    @Test(arguments: [true, false])
    func waitingResumeEndsWithAnyEnd(withSuccess: Bool) throws {
        var rig = try Rig()
        rig.start()
        rig.pause()
        try rig.resume()
        if withSuccess {
            try rig.succeed("[8]")
            #expect(rig.dispatched.map(\.step) == ["b"])
            #expect(rig.dispatched.map(\.args.text) == ["[8]"])
        } else {
            rig.fail()
            #expect(rig.dispatched.map(\.step) == ["a"])
        }
    }

    @Test func twoAtOnceMakeOneAttempt() throws {
        var rig = try Rig()
        rig.fail()
        let first = try rig.resume()
        let second = try rig.resume()
        #expect(first.accepted && first.restartedStep?.taskID == "2")
        #expect(!second.accepted && second.already && second.reason == "ACTIVE")
        #expect(rig.workflow.steps[0].attempts.count == 2)
        // And while the old one is being stopped.
        var waiting = try Rig()
        waiting.start()
        waiting.pause()
        #expect(try waiting.resume().accepted)
        for force in [false, true] {
            let other = try waiting.resume(force: force)
            #expect(!other.accepted && other.already && other.reason == "RESUMING")
        }
        waiting.stopped()
        #expect(waiting.dispatched.count == 1)
        #expect(waiting.workflow.liveAttempts.count == 1)
    }

    @Test func forcedWhileItRunsStopsItFirst() throws {
        var rig = try Rig()
        rig.start()
        let receipt = try rig.resume(force: true)
        #expect(receipt.accepted)
        #expect(receipt.revokedStep?.taskID == "1")
        #expect(receipt.restartedStep?.taskID == "")
        #expect(rig.revoked == ["1"])
        #expect(rig.dispatched.isEmpty)
        rig.stopped()
        #expect(rig.dispatched.map(\.taskID) == ["2"])
    }

    @Test func withArgumentsALateSuccessDoesNotSaveTheRerun() throws {
        var rig = try Rig()
        rig.start()
        rig.pause()
        try rig.resume(#"["other"]"#)
        try rig.succeed("[1]")
        #expect(rig.dispatched.map(\.step) == ["a"])
        #expect(rig.dispatched.map(\.args.text) == [#"["other"]"#])
        #expect(rig.workflow.steps[0].attempts[0].status == .success)
        #expect(rig.workflow.steps[0].attempts[0].superseded)
        #expect(rig.last.events.allSatisfy { !$0.status.isDone })
    }

    @Test func argumentsStayForTheNextResume() throws {
        var rig = try Rig()
        rig.fail()
        try rig.resume(#"["other"]"#)
        rig.fail()
        try rig.resume()
        #expect(rig.dispatched.map(\.args.text) == [#"["other"]"#])
    }

    @Test func badArgumentsAreAnError() throws {
        var rig = try Rig()
        rig.fail()
        let before = rig.workflow
        var copy = rig
        let error = #expect(throws: RhythmError.self) { try copy.resume("{}") }
        #expect(error?.field == "args")
        #expect(copy.workflow == before)
        let unknown = #expect(throws: RhythmError.self) { try copy.resume(from: "z") }
        #expect(unknown?.code == .notFound)
        #expect(unknown?.reason == "NO_SUCH_STEP")
        #expect(unknown?.field == "from_step")
        rig = copy
    }

    @Test func fromAnEarlierStepWithTheArgumentsItHad() throws {
        var rig = try Rig(steps: 3)
        try rig.succeed("[1]")
        try rig.succeed("[2]")
        rig.fail()
        let receipt = try rig.resume(from: "b")
        #expect(receipt.restartedStep?.step == "b")
        #expect(rig.dispatched.map(\.step) == ["b"])
        #expect(rig.dispatched.map(\.args.text) == ["[1]"])
        #expect(rig.workflow.pendingIndex == 1)
        #expect(rig.status == .started)
        // The steps after it run again, with what is handed on now.
        try rig.succeed("[20]")
        #expect(rig.dispatched.map(\.step) == ["c"])
        #expect(rig.dispatched.map(\.args.text) == ["[20]"])
        #expect(rig.dispatched.map(\.attempt) == [2])
        #expect(rig.workflow.steps[2].attempts.map(\.superseded) == [true, false])
    }

    @Test func fromAStepNotReachedIsRefused() throws {
        var rig = try Rig(steps: 3)
        rig.fail()
        let receipt = try rig.resume(from: "c", force: true)
        #expect(!receipt.accepted)
        #expect(receipt.reason == "STEP_NOT_REACHED")
        #expect(rig.last.isEmpty)
    }

    @Test func fromAStepWhileALaterOneRuns() throws {
        var rig = try Rig()
        try rig.succeed()
        rig.start()
        let receipt = try rig.resume(from: "a", force: true)
        #expect(receipt.accepted && receipt.revokedStep?.step == "b")
        #expect(rig.status == .pending)
        // Even the last step's success does not end the workflow, not for a moment.
        try rig.succeed()
        #expect(rig.dispatched.map(\.step) == ["a"])
        #expect(rig.last.events.allSatisfy { !$0.status.isDone })
        #expect(rig.status == .pending)
    }

    @Test func succeededRunsAgainOnlyByForceFromAStep() throws {
        var rig = try Rig()
        try rig.succeed()
        try rig.succeed()
        #expect(rig.status == .success)
        #expect(try rig.resume().reason == "SUCCEEDED")
        #expect(try rig.resume(force: true).reason == "SUCCEEDED")
        #expect(try rig.resume(from: "a").reason == "SUCCEEDED")
        #expect(try rig.resume(from: "b", force: true).accepted)
        #expect(rig.dispatched.map(\.step) == ["b"])
        #expect(rig.workflow.endedAt == nil)
    }

    @Test func forcedOverARetryThatWaitsStartsAtOnce() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 5) }
        rig.fail()
        try rig.resume(force: true)
        #expect(rig.dispatched.map(\.taskID) == ["3"])
        #expect(rig.workflow.nextWakeUp == nil)
        // Nobody who watches is told in between that it has ended.
        #expect(rig.last.events.allSatisfy { !$0.status.isDone })
        #expect(rig.current?.retry == 0)
    }

    @Test func aPauseDuringTheWaitWins() throws {
        var rig = try Rig()
        rig.start()
        rig.pause()
        try rig.resume()
        let receipt = rig.pause()
        #expect(receipt.accepted && !receipt.already)
        #expect(receipt.revokedStep?.taskID == "1")
        rig.stopped()
        #expect(rig.dispatched.isEmpty)
        #expect(rig.status == .revoked)
        try rig.resume()
        #expect(rig.dispatched.count == 1)
    }

    @Test func afterAnExternalRevoke() throws {
        var rig = try Rig()
        rig.start()
        rig.stopped()
        #expect(rig.status == .revoked)
        #expect(!rig.workflow.isPaused)
        #expect(rig.workflow.endedAt != nil)
        try rig.resume()
        #expect(rig.dispatched.map(\.taskID) == ["2"])
        #expect(rig.workflow.endedAt == nil)
    }
}
