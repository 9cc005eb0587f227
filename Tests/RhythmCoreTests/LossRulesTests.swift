import RhythmCore
import Testing

/// Attempts that were lost before any worker had begun them are sent again, a few times.
@Suite struct LossRulesTests {
    private func lose(_ rig: inout Rig, mayHaveBegun: Bool = false) {
        rig.report { .lost(detail: "no trace of it", at: $0, mayHaveBegun: mayHaveBegun) }
    }

    /// Loses the attempt that counts and all that follow it, as long as the step is sent again.
    ///
    /// - Returns: the waits before each that was sent again.
    private func loseAll(_ rig: inout Rig) throws -> [Duration] {
        var waits: [Duration] = []
        while true {
            lose(&rig)
            guard rig.status != .failure else { return waits }
            waits.append(rig.workflow.nextWakeUp.map { $0.since(rig.now) } ?? .zero)
            if rig.current?.isWaiting == true {
                #expect(rig.dispatched.isEmpty && rig.kinds == [.failed, .retryScheduled])
                try rig.sleepUntilWakeUp()
            }
            #expect(rig.dispatched.count == 1)
            try #require(waits.count < 20, "for ever")
        }
    }

    @Test func isSentAgainAFewTimes() throws {
        var rig = try Rig()
        #expect(try loseAll(&rig) == [.zero, .seconds(15), .seconds(60)])
        let failure = try #require(rig.current?.failure)
        #expect(failure.type == "WorkerLostError" && failure.isRetriable)
        #expect(
            failure.message
                == "it was sent 4 times and lost each time before any worker had begun it; the last time: no trace of it"
        )
        #expect(rig.workflow.steps[0].attempts.count == 4 && rig.workflow.endedAt != nil)
        #expect(rig.last.effects.contains(.bury("4")))
    }

    /// Whoever resumes it lets it be sent again as often, and again.
    @Test func aResumeBeginsANewRow() throws {
        var rig = try Rig()
        for round in 1...3 {
            #expect(try loseAll(&rig) == [.zero, .seconds(15), .seconds(60)], "round \(round)")
            try rig.resume()
        }
    }

    /// So does whoever stops it in the middle, and a run of it.
    @Test(arguments: ["pause", "force", "run"]) func anInterruptionBeginsANewRow(_ how: String) throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 5, backoff: .zero) }
        lose(&rig)
        lose(&rig)
        try rig.sleepUntilWakeUp()
        switch how {
        case "pause":
            rig.pause()
            rig.stopped()
            try rig.resume()
        case "force":
            try rig.resume(force: true)
            rig.stopped()
        default:
            rig.start()
            lose(&rig)
        }
        lose(&rig)
        #expect(rig.dispatched.count == 1, "at once, as the first one of a row")
        lose(&rig)
        #expect(rig.workflow.nextWakeUp?.since(rig.now) == .seconds(15))
    }

    /// The step's policy repeats what was given up, and each repetition is sent again as often.
    @Test func thePolicyCountsOnlyRows() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 2, backoff: .seconds(1)) }
        #expect(
            try loseAll(&rig) == [.zero, .seconds(15), .seconds(60), .seconds(1), .zero, .seconds(15), .seconds(60)])
        #expect(rig.workflow.steps[0].attempts.map(\.retry) == [0, 0, 0, 0, 1, 1, 1, 1])
    }

    /// Of which nobody can say whether it began is not sent again without a policy.
    @Test func whatMayHaveBegunIsAFailure() throws {
        var rig = try Rig()
        lose(&rig, mayHaveBegun: true)
        #expect(rig.status == .failure && rig.dispatched.isEmpty)
        #expect(rig.current?.failure?.type == "WorkerLostError")
        #expect(rig.last.effects.contains(.bury("1")))
    }

    /// And does not count as one that was sent for nothing, once it is resumed.
    @Test(arguments: ["may have begun", "start timeout"]) func whatWasNotSentAgainDoesNotCount(_ how: String) throws {
        var rig = try Rig { if how == "start timeout" { $0.startTimeout = .seconds(1_000) } }
        if how == "start timeout" {
            try rig.sleepUntilWakeUp()
            #expect(rig.revoked == ["1"])
            lose(&rig)
        } else {
            lose(&rig, mayHaveBegun: true)
        }
        #expect(rig.status == .failure && rig.current?.wasLostBeforeItBegan == false)
        try rig.resume()
        #expect(rig.workflow.steps[0].lossesInARow(before: 1) == 0)
        if how == "may have begun" { #expect(try loseAll(&rig) == [.zero, .seconds(15), .seconds(60)]) }
    }

    /// A restart, which has nothing but the record, goes on counting.
    @Test func theRecordCounts() throws {
        var rig = try Rig()
        lose(&rig)
        lose(&rig)
        #expect(rig.workflow.steps[0].lossesInARow(before: 2) == 2)
        #expect(rig.workflow.steps[0].lossesInARow(before: 1) == 1)
        #expect(rig.workflow.steps[0].lossesInARow(before: 0) == 0)
        #expect(rig.workflow.steps[0].lossesInARow(before: 9) == 0)
    }

    /// A broker gives a message that was not acknowledged to another worker.
    @Test func theWorkerThatRunsItNowIsNamed() throws {
        var rig = try Rig()
        rig.report { .started(at: $0, worker: "w1") }
        let begun = rig.current?.startedAt
        rig.report { .started(at: $0, worker: "w1") }
        #expect(rig.kinds.isEmpty)
        rig.report { .started(at: $0, worker: "w2") }
        #expect(rig.kinds == [.started] && rig.last.events[0].detail == "begun anew by w2, after w1")
        #expect(rig.current?.worker == "w2" && rig.current?.startedAt == begun && rig.dispatched.isEmpty)
        rig.report { .started(at: $0, worker: "") }
        #expect(rig.current?.worker == "w2" && rig.kinds.isEmpty)
    }

    /// Progress may arrive before the word of who makes it.
    @Test func theWorkerIsNamedLater() throws {
        var rig = try Rig()
        rig.report { .progress(ProgressReport(done: 1, total: 2, at: $0)) }
        #expect(rig.current?.worker == nil && rig.current?.status == .started)
        rig.report { .started(at: $0, worker: "w1") }
        #expect(rig.current?.worker == "w1" && rig.kinds.isEmpty)
    }
}
