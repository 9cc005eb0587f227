import RhythmCore
import Testing

/// Pause and cancel at every moment of a workflow's life.
@Suite struct PauseRulesTests {
    @Test func queuedAttemptIsWithdrawn() throws {
        var rig = try Rig()
        let receipt = rig.pause()
        #expect(receipt.accepted && !receipt.already)
        #expect(receipt.revokedStep == AttemptSummary(taskID: "1", task: "task.a", step: "a"))
        #expect(!receipt.quiesced)
        #expect(receipt.status == .revoked)
        #expect(receipt.version == rig.workflow.version)
        #expect(rig.revoked == ["1"])
        rig.stopped()
        #expect(rig.workflow.isQuiesced && rig.workflow.isSettled)
        #expect(rig.dispatched.isEmpty)
        #expect(rig.settled == ["1"])
        #expect(rig.status == .revoked)
    }

    @Test func runningAttemptIsRevokedAndRestartedByResume() throws {
        var rig = try Rig(args: #"["in"]"#, kwargs: #"{"k":1}"#)
        rig.start()
        rig.pause()
        rig.stopped()
        let receipt = try rig.resume()
        #expect(receipt.accepted)
        #expect(receipt.restartedStep == AttemptSummary(taskID: "2", task: "task.a", step: "a"))
        #expect(rig.dispatched.map(\.args.text) == [#"["in"]"#])
        #expect(rig.dispatched.map(\.kwargs.text) == [#"{"k":1}"#])
        #expect(rig.dispatched.map(\.attempt) == [2])
        #expect(rig.workflow.steps[0].attempts.map(\.superseded) == [true, false])
    }

    @Test func betweenStepsTheHandOffIsHeld() throws {
        var rig = try Rig()
        rig.start()
        rig.pause()
        try rig.succeed("[42]")
        // The late success is kept, nothing is dispatched, and resume goes on with the next step.
        #expect(rig.dispatched.isEmpty)
        #expect(rig.workflow.steps[0].status == .success)
        #expect(rig.status == .revoked)
        #expect(rig.workflow.pendingIndex == 1)
        let again = rig.pause()
        #expect(again.accepted && again.already && again.quiesced)
        #expect(again.revokedStep == nil)
        try rig.resume()
        #expect(rig.dispatched.map(\.step) == ["b"])
        #expect(rig.dispatched.map(\.args.text) == ["[42]"])
    }

    @Test func lateSuccessOfTheLastStepEndsTheWorkflow() throws {
        var rig = try Rig(steps: 1)
        rig.start()
        rig.pause()
        try rig.succeed()
        #expect(rig.status == .success)
        #expect(rig.workflow.endedAt == rig.now)
        #expect(rig.pause().reason == "SUCCEEDED")
        #expect(try rig.resume().reason == "SUCCEEDED")
    }

    @Test func successAfterTheStopWasConfirmedStillCounts() throws {
        var rig = try Rig()
        rig.start()
        rig.pause()
        rig.stopped()
        try rig.succeed("[5]", "1")
        #expect(rig.workflow.steps[0].status == .success)
        #expect(rig.status == .revoked)
        #expect(rig.dispatched.isEmpty)
        #expect(rig.settled == ["1"])
        try rig.resume()
        #expect(rig.dispatched.map(\.step) == ["b"])
    }

    @Test func aRetryThatWaitsIsTakenBack() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 3) }
        rig.fail()
        #expect(rig.workflow.nextWakeUp == rig.now + .seconds(1))
        let receipt = rig.pause()
        #expect(receipt.accepted && receipt.quiesced)
        #expect(receipt.revokedStep == nil)
        #expect(rig.workflow.nextWakeUp == nil)
        #expect(rig.revoked.isEmpty)
        #expect(rig.status == .revoked)
        try rig.resume()
        #expect(rig.dispatched.map(\.taskID) == ["3"])
        #expect(rig.dispatched.map(\.args.text) == ["[7]"])
    }

    @Test func failureWhileBeingRevokedIsNoFailure() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 3) }
        rig.start()
        rig.pause()
        rig.fail()
        #expect(rig.workflow.steps[0].status == .revoked)
        #expect(rig.current?.failure?.type == "Boom")
        #expect(rig.status == .revoked)
        #expect(rig.workflow.nextWakeUp == nil)
    }

    @Test func nothingToPause() throws {
        var failed = try Rig()
        failed.fail()
        let version = failed.workflow.version
        let receipt = failed.pause()
        #expect(!receipt.accepted)
        #expect(receipt.reason == "FAILED")
        #expect(failed.workflow.version == version)
        var cancelled = try Rig()
        cancelled.cancel()
        #expect(cancelled.pause().reason == "CANCELLED")
    }

    @Test func repeatingItChangesNothing() throws {
        var rig = try Rig()
        let first = rig.pause()
        let before = rig.workflow
        for mode in PauseMode.allCases {
            let again = rig.pause(mode)
            #expect(again.accepted && again.already)
            #expect(again.revokedStep == first.revokedStep)
            #expect(rig.workflow == before)
            #expect(rig.last.isEmpty)
        }
    }

    // MARK: After the step

    @Test func afterStepLetsItFinish() throws {
        var rig = try Rig()
        rig.start()
        let receipt = rig.pause(.afterStep)
        #expect(receipt.accepted && !receipt.quiesced)
        #expect(receipt.revokedStep == nil)
        #expect(rig.revoked.isEmpty)
        #expect(rig.status == .started)
        #expect(rig.workflow.isPaused)
        try rig.succeed("[3]")
        #expect(rig.dispatched.isEmpty)
        #expect(rig.status == .revoked)
        #expect(rig.kinds == [.succeeded, .paused])
        try rig.resume()
        #expect(rig.dispatched.map(\.args.text) == ["[3]"])
    }

    @Test func afterStepThenNow() throws {
        var rig = try Rig()
        rig.start()
        rig.pause(.afterStep)
        let receipt = rig.pause(.now)
        #expect(receipt.accepted && !receipt.already)
        #expect(receipt.revokedStep?.taskID == "1")
        #expect(rig.revoked == ["1"])
    }

    @Test func afterStepIsWithdrawnByResume() throws {
        var rig = try Rig()
        rig.start()
        rig.pause(.afterStep)
        #expect(try rig.resume().accepted)
        #expect(rig.dispatched.isEmpty)
        try rig.succeed()
        #expect(rig.dispatched.map(\.step) == ["b"])
    }

    @Test func afterStepWhenTheStepFails() throws {
        var rig = try Rig()
        rig.start()
        rig.pause(.afterStep)
        rig.fail()
        #expect(rig.status == .failure)
        #expect(!rig.workflow.isPaused)
        #expect(rig.workflow.endedAt == rig.now)
    }

    @Test func afterStepHoldsARetry() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 3) }
        rig.start()
        rig.pause(.afterStep)
        rig.fail()
        #expect(rig.status == .revoked)
        #expect(rig.workflow.nextWakeUp == nil)
        #expect(rig.dispatched.isEmpty)
        #expect(rig.workflow.endedAt == nil)
        try rig.resume()
        #expect(rig.dispatched.map(\.taskID) == ["2"])
    }

    @Test func afterStepWithNothingRunningIsNow() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 3) }
        rig.fail()
        let receipt = rig.pause(.afterStep)
        #expect(receipt.accepted && receipt.quiesced)
        #expect(rig.status == .revoked)
    }

    @Test func afterTheLastStepThereIsNothingToHold() throws {
        var rig = try Rig(steps: 1)
        rig.start()
        rig.pause(.afterStep)
        try rig.succeed()
        #expect(rig.status == .success)
        #expect(!rig.workflow.isPaused)
    }

    // MARK: Cancel

    @Test func cancelIsForGood() throws {
        var rig = try Rig()
        rig.start()
        let receipt = rig.cancel()
        #expect(receipt.accepted && !receipt.quiesced)
        #expect(receipt.revokedStep?.taskID == "1")
        #expect(rig.revoked == ["1"])
        #expect(rig.status == .revoked && rig.workflow.isCancelled)
        #expect(rig.workflow.endedAt == rig.now)
        #expect(!rig.workflow.isSettled)
        rig.stopped()
        #expect(rig.workflow.isSettled)
        for force in [false, true] {
            let resumed = try rig.resume(force: force)
            #expect(!resumed.accepted)
            #expect(resumed.reason == "CANCELLED")
        }
        let again = rig.cancel()
        #expect(again.accepted && again.already && again.quiesced)
        #expect(rig.last.isEmpty)
    }

    @Test func cancelKeepsALateSuccessAndDispatchesNothing() throws {
        var rig = try Rig()
        rig.start()
        rig.cancel()
        try rig.succeed()
        #expect(rig.workflow.steps[0].status == .success)
        #expect(rig.status == .revoked)
        #expect(rig.dispatched.isEmpty)
        var last = try Rig(steps: 1)
        last.cancel()
        try last.succeed()
        #expect(last.status == .revoked && last.workflow.isCancelled)
    }

    @Test func cancelOfWhatIsPausedFailedOrResuming() throws {
        var paused = try Rig()
        paused.pause()
        #expect(paused.cancel().revokedStep?.taskID == "1")
        #expect(paused.current?.revocation?.reason == .cancel)
        var failed = try Rig()
        failed.fail()
        #expect(failed.cancel().accepted)
        #expect(failed.status == .revoked)
        var resuming = try Rig()
        resuming.pause()
        try resuming.resume()
        resuming.cancel()
        resuming.stopped()
        #expect(resuming.dispatched.isEmpty)
        #expect(resuming.workflow.isSettled)
        var done = try Rig(steps: 1)
        try done.succeed()
        #expect(done.cancel().reason == "SUCCEEDED")
        #expect(!done.workflow.isCancelled)
    }

    // MARK: Delete

    @Test func deleteIsRefusedWhileActive() throws {
        var rig = try Rig()
        let before = rig.workflow
        let error = #expect(throws: RhythmError.self) { try rig.workflow.copyDelete() }
        #expect(error?.code == .failedPrecondition)
        #expect(error?.reason == "ACTIVE")
        #expect(rig.workflow == before)
        rig.pause()
        // Paused, but its attempt still runs.
        #expect(throws: RhythmError.self) { try rig.workflow.copyDelete() }
        rig.stopped()
        let atOnce = try rig.delete()
        #expect(atOnce)
    }

    @Test func deleteCancelsFirstIfAsked() throws {
        var rig = try Rig()
        rig.start()
        let atOnce = try rig.delete(cancelFirst: true)
        #expect(!atOnce)
        #expect(rig.revoked == ["1"])
        #expect(rig.workflow.deletesWhenSettled && rig.workflow.isCancelled)
        rig.stopped()
        #expect(rig.workflow.isSettled)
        var waiting = try Rig { $0.retry = RetryPolicy(maxAttempts: 2) }
        waiting.fail()
        let now = try waiting.delete(cancelFirst: true)
        #expect(now)
    }

    /// Whoever deletes by force waits for nobody; what is in a queue never begins, and what runs is still told to stop.
    @Test(arguments: [false, true]) func deleteByForce(_ wasCancelled: Bool) throws {
        var rig = try Rig()
        rig.start()
        #expect(throws: RhythmError.self) { try rig.workflow.copyDelete(force: true) }
        if wasCancelled { rig.cancel() }
        let atOnce = try rig.delete(cancelFirst: true, force: true)
        #expect(atOnce && rig.workflow.isSettled && rig.workflow.isCancelled)
        #expect(rig.revoked == (wasCancelled ? [] : ["1"]))
        #expect(rig.last.effects.suffix(2) == [.bury("1"), .settle("1")])
        #expect(rig.workflow.outstandingEffects == [.bury("1")])
    }
}

extension Workflow {
    /// Asks a copy, so that the question fits into an expectation.
    @discardableResult
    fileprivate func copyDelete(force: Bool = false) throws -> Bool {
        var copy = self
        var transition = Transition(now: updatedAt) { "x" }
        return try copy.requestDeletion(cancelFirst: false, force: force, in: &transition)
    }
}
