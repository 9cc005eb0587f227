import RhythmCore
import Testing

/// Attempts that do not stop, and those who force the matter.
@Suite struct GivingUpTests {
    /// A worker has begun it and was told to stop it; nothing was heard since.
    private func stuck(steps: Int = 2) throws -> Rig {
        var rig = try Rig(steps: steps)
        rig.start()
        rig.pause()
        rig.report { _ in .waiting(reason: "it is being stopped: worker w9 does not answer") }
        return rig
    }

    private func buried(_ rig: Rig) -> [TaskID] {
        rig.last.effects.compactMap { if case .bury(let id) = $0 { id } else { nil } }
    }

    @Test func aForcedResumeWaitsNoLongerThanItHasTo() throws {
        var rig = try stuck()
        var receipt = try rig.resume()
        #expect(receipt.accepted && receipt.restartedStep?.taskID == "")
        receipt = try rig.resume(force: true)
        #expect(!receipt.accepted && receipt.reason == "RESUMING" && receipt.message.contains("10 s"))
        #expect(rig.dispatched.isEmpty)
        rig.now = rig.now + .seconds(10)
        #expect(try rig.resume().reason == "RESUMING", "only who forces it takes the risk")
        receipt = try rig.resume(force: true)
        #expect(receipt.accepted && receipt.restartedStep?.taskID == "2")
        #expect(receipt.message.contains("may still run on worker worker-1: it is being stopped: worker w9 does not"))
        #expect(rig.dispatched.map(\.taskID) == ["2"])
        #expect(rig.settled == ["1"] && buried(rig) == ["1"])
        let first = rig.workflow.steps[0].attempts[0]
        #expect(first.status == .revoked && first.superseded && first.failure?.isGivenUp == true)
        #expect(rig.history.contains { $0.detail == receipt.message })
        // What it does after all changes nothing but its own record.
        try rig.succeed("[9]", "1")
        #expect(rig.workflow.steps[0].attempts[0].lateReport?.status == .success)
        #expect(rig.current?.id == "2")
    }

    /// The first forced resume of one that has been paused for long needs no second.
    @Test func onceIsEnoughIfItWasToldLongAgo() throws {
        var rig = try stuck()
        rig.now = rig.now + .seconds(30)
        let receipt = try rig.resume("[8]", force: true)
        #expect(receipt.accepted && rig.dispatched.map(\.args.text) == ["[8]"])
        #expect(rig.workflow.steps[0].attempts.map(\.status) == [.revoked, .pending])
    }

    @Test func theFirstPlanHoldsUnlessTheSecondHasItsOwn() throws {
        for own in [nil, "[2]"] {
            var rig = try stuck()
            try rig.resume("[1]")
            rig.now = rig.now + .seconds(30)
            try rig.resume(own, force: true)
            #expect(rig.dispatched.map(\.args.text) == [own ?? "[1]"])
        }
    }

    /// Of what runs and was not told to stop nothing is given up.
    @Test func whatWasNotToldToStopIsToldFirst() throws {
        var rig = try Rig()
        rig.start()
        rig.now = rig.now + .seconds(3600)
        let receipt = try rig.resume(force: true)
        #expect(rig.revoked == ["1"] && rig.dispatched.isEmpty && receipt.message.isEmpty)
    }

    /// Who forces it too early is told so, and when it is time.
    @Test func whoComesTooEarlyIsTold() throws {
        var rig = try stuck()
        rig.now = rig.now + .seconds(4)
        let sentence = " s ago and is waited for; forced again 10 s after that, it is given up"
        for receipt in [rig.pause(force: true), rig.cancel(force: true), rig.cancel(force: true)] {
            #expect(receipt.accepted && !receipt.quiesced && receipt.message.contains(sentence), "\(receipt)")
        }
        #expect(rig.cancel().message.isEmpty, "nobody asked")
        var resumed = try stuck()
        resumed.now = resumed.now + .seconds(4)
        #expect(try resumed.resume(force: true).message.contains(sentence))
        var fresh = try Rig()
        fresh.start()
        #expect(fresh.pause(force: true).message.contains("just now"))
    }

    /// A pause that lets the step finish, and one that comes while a resume waits, give up what does not stop.
    @Test func aForcedPauseGivesUpInEveryState() throws {
        var resuming = try stuck()
        try resuming.resume()
        resuming.now = resuming.now + .seconds(10)
        for mode in [PauseMode.afterStep, .now] {
            var rig = resuming
            let receipt = rig.pause(mode, force: true)
            #expect(receipt.accepted && !receipt.already && receipt.quiesced)
            #expect(receipt.message.contains("may still run") && buried(rig) == ["1"])
            #expect(rig.workflow.isPaused && rig.status == .revoked && rig.dispatched.isEmpty)
            try rig.resume()
            #expect(rig.dispatched.count == 1)
        }
        // Its time ran out while the pause waited for its end, and it does not stop.
        var pausing = try Rig { $0.timeout = .seconds(60) }
        pausing.start()
        pausing.pause(.afterStep)
        try pausing.sleepUntilWakeUp()
        #expect(pausing.revoked == ["1"])
        pausing.now = pausing.now + .seconds(10)
        let receipt = pausing.pause(.afterStep, force: true)
        #expect(receipt.accepted && receipt.quiesced && receipt.message.contains("may still run"), "\(receipt)")
        #expect(pausing.workflow.isPaused && pausing.status == .revoked)
        try pausing.resume()
        #expect(pausing.dispatched.map(\.taskID) == ["2"])
    }

    @Test func pauseAndCancelHaveTheSameWayOut() throws {
        var rig = try stuck()
        #expect(!rig.pause(force: true).quiesced)
        rig.now = rig.now + .seconds(10)
        #expect(!rig.pause().quiesced)
        let paused = rig.pause(force: true)
        #expect(paused.accepted && paused.quiesced && paused.message.contains("may still run"))
        #expect(rig.status == .revoked && rig.dispatched.isEmpty && buried(rig) == ["1"])
        try rig.resume()
        #expect(rig.dispatched.map(\.taskID) == ["2"])

        var other = try stuck()
        other.cancel()
        #expect(throws: RhythmError.self) { _ = try other.delete() }
        other.now = other.now + .seconds(10)
        let cancelled = other.cancel(force: true)
        #expect(cancelled.accepted && cancelled.quiesced && cancelled.message.contains("may still run"))
        #expect(other.workflow.isSettled)
        #expect(try other.delete())
    }
}
