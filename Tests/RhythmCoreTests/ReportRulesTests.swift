import RhythmCore
import Testing

/// Start, hand-off, and everything a runner may report.
@Suite struct ReportRulesTests {
    @Test func startMakesTheFirstAttempt() throws {
        let rig = try Rig(args: "[1,2]")
        #expect(rig.status == .pending)
        #expect(rig.kinds == [.created, .dispatched])
        #expect(rig.last.events.map(\.version) == [1, 2])
        #expect(rig.dispatched.map(\.taskID) == ["1"])
        #expect(rig.dispatched.map(\.args.text) == ["[1,2]"])
        #expect(rig.current?.dispatchedAt == rig.now)
        var again = try #require(rig.dispatched.first)
        again.isRepeated = true
        #expect(rig.workflow.outstandingEffects == [.dispatch(again)])
    }

    /// A runner may prepare for what comes next: it is told, as far as it is worth it.
    @Test func whatFollowsIsTold() throws {
        let names = (0..<Dispatch.followingMax + 3).map { "s\($0)" }
        let spec = WorkflowSpec(
            name: "w", appID: "app", steps: names.map { StepSpec(name: $0, task: "task.\($0)") })
        var rig = try Rig(spec)
        for index in names.indices {
            let told = try #require(rig.dispatched.first).following
            #expect(told.map(\.name) == Array(names[(index + 1)...].prefix(Dispatch.followingMax)))
            #expect(told.map(\.task) == told.map { "task.\($0.name)" })
            rig.start()
            try rig.succeed("[1]")
        }
        #expect(rig.workflow.status == .success)
    }

    /// Whoever follows an attempt next is told who has it.
    @Test func whoBeganItIsHandedOn() throws {
        var rig = try Rig(args: "[1]") { $0.queue = "q" }
        rig.start()
        let effects = rig.workflow.outstandingEffects
        guard case .dispatch(let dispatch)? = effects.first else {
            Issue.record("\(effects)")
            return
        }
        #expect(dispatch.worker == "worker-1" && dispatch.startedAt == rig.now && effects.count == 1)
        rig.pause(.now)
        let revoke = Effect.revoke("1", of: rig.workflow.id, begunBy: "worker-1", queue: "q")
        #expect(rig.last.effects == [revoke] && rig.workflow.outstandingEffects == [revoke])
    }

    /// Whoever had it last need not be who has it next.
    @Test func nobodyIsHandedOnBetweenTwoRuns() throws {
        var rig = try Rig(args: "[1]")
        rig.start()
        rig.report({ _ in .retrying(retries: 1, Failure(type: "Retry", message: "again")) })
        #expect(rig.dispatched.isEmpty)
        guard case .dispatch(let dispatch)? = rig.workflow.outstandingEffects.first else {
            Issue.record("\(rig.workflow.outstandingEffects)")
            return
        }
        #expect(dispatch.worker == nil)
        rig.pause(.now)
        #expect(rig.last.effects == [.revoke("1", of: rig.workflow.id)])
    }

    @Test func lostBeforeItBeganIsRunAgainAtOnce() throws {
        var rig = try Rig(args: "[1]")
        rig.report({ .queued(at: $0) }, of: "1")
        #expect(rig.current?.queuedAt != nil && rig.last.events.isEmpty)
        rig.report({ _ in .waiting(reason: "nobody fetches it") }, of: "1")
        #expect(rig.current?.waiting == "nobody fetches it" && rig.last.events.isEmpty)
        rig.report({ .lost(detail: "no trace of it", at: $0) }, of: "1")
        #expect(rig.kinds == [.failed, .dispatched])
        #expect(rig.status == .pending)
        #expect(rig.dispatched.map(\.taskID) == ["2"] && rig.dispatched.map(\.args.text) == ["[1]"])
        #expect(rig.workflow.steps[0].attempts[0].superseded)
        #expect(rig.workflow.steps[0].attempts[0].waiting == nil)
        rig.report({ .succeeded(result: nil, at: $0) }, of: "1")
        #expect(rig.status == .pending, "the lost one counts no longer")
    }

    /// Who ran it is kept, although nobody saw it begin; who began it is not forgotten for that.
    @Test func workerThatIsKnownOnlyAtTheEnd() throws {
        var rig = try Rig()
        let version = rig.workflow.version
        rig.report({ _ in .ran(worker: "") }, of: "1")
        #expect(rig.current?.worker == nil)
        rig.report({ _ in .ran(worker: "w1@host") }, of: "1")
        #expect(rig.current?.worker == "w1@host" && rig.current?.status == .pending)
        #expect(rig.last.events.isEmpty && rig.workflow.version == version)
        rig.report({ _ in .ran(worker: "w2@host") }, of: "1")
        rig.report({ .failed(Failure(type: "Boom", message: "it broke"), at: $0) }, of: "1")
        #expect(rig.workflow.steps[0].current?.worker == "w1@host" && rig.status == .failure)
    }

    @Test func lostAfterItBeganIsAFailure() throws {
        var rig = try Rig()
        rig.report({ .started(at: $0, worker: "w") }, of: "1")
        rig.report({ .lost(detail: "its worker is gone", at: $0) }, of: "1")
        #expect(rig.status == .failure && rig.dispatched.isEmpty)
        #expect(rig.workflow.steps[0].current?.failure?.type == "WorkerLostError")
    }

    @Test func lostWhileHeldStaysHeld() throws {
        var rig = try Rig()
        rig.pause(.afterStep)
        rig.report({ .lost(detail: "no trace of it", at: $0) }, of: "1")
        #expect(rig.dispatched.isEmpty && rig.workflow.control == .paused)
        #expect(rig.last.effects.contains(.bury("1")) && rig.workflow.outstandingEffects == [.bury("1")])
    }

    /// A crash between storing a loss and telling the workers must not bring the attempt back to life.
    @Test(arguments: [false, true]) func whatIsLostStaysBuried(_ hasBegun: Bool) throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 2) }
        if hasBegun { rig.start() }
        rig.report({ .lost(detail: "no trace of it", at: $0) }, of: "1")
        #expect(rig.last.effects.contains(.bury("1")))
        #expect(rig.workflow.outstandingEffects.contains(.bury("1")))
        // A task that fails of what its own worker calls so is not lost.
        let same = Failure(type: "WorkerLostError", message: "exited", module: "billiard.exceptions")
        rig.report({ .failed(same, at: $0) }, of: "2")
        #expect(!rig.last.effects.contains(.bury("2")) && !rig.workflow.outstandingEffects.contains(.bury("2")))
    }

    @Test func kwargsPrecedence() throws {
        var rig = try Rig(kwargs: #"{"call":1,"both":"call"}"#) {
            $0.kwargs = JSON(.object([.init("own", .integer(1)), .init("both", .string("own"))]))
        }
        let first = rig.dispatched[0]
        #expect(first.kwargs.value["both"] == .string("call"))
        #expect(first.kwargs.value["own"] == .number("1"))
        let injected = first.injectedKwargs.value
        #expect(injected["workflow_id"] == .string("w-1"))
        #expect(injected["step"] == .string("a"))
        #expect(injected["app_id"] == .string("app"))
        #expect(injected["call"] == .number("1"))
        // The call's are for the first step only; what is stored holds nothing injected.
        try rig.succeed()
        #expect(rig.dispatched[0].kwargs.value["both"] == .string("own"))
        #expect(rig.dispatched[0].kwargs.value["call"] == nil)
        #expect(rig.dispatched[0].injectedKwargs.value["step"] == .string("b"))
        #expect(rig.workflow.steps[1].spec.kwargs.value["workflow_id"] == nil)
    }

    /// A step's choice holds for its dispatch, for what later steps are told of it, and for what people are shown.
    @Test func onlyWhatAStepWantsIsInjected() throws {
        let spec = WorkflowSpec(
            name: "w", appID: "app", kwargs: try JSON(parsing: #"{"step":"own"}"#),
            steps: [
                StepSpec(name: "a", task: "t", inject: []),
                StepSpec(name: "b", task: "t", inject: [.workflowID, .appID]), StepSpec(name: "c", task: "t"),
            ])
        var rig = try Rig(spec)
        let first = rig.dispatched[0]
        #expect(first.injectedKwargs.text == #"{"step":"own"}"#)
        #expect(first.following.map(\.inject) == [[.workflowID, .appID], .all])
        let shown = rig.workflow.embellished()["steps"]?.arrayValue?[0]["not_begun"]?.arrayValue?.first?["kwargs"]
        #expect(shown == .object([.init("step", .string("own"))]))
        try rig.succeed()
        #expect(rig.dispatched[0].injectedKwargs.text == #"{"workflow_id":"w-1","app_id":"app"}"#)
        try rig.succeed()
        #expect(rig.dispatched[0].injectedKwargs.text == #"{"workflow_id":"w-1","step":"c","app_id":"app"}"#)
    }

    /// A record from before such arguments were refused goes on as it did: what is injected wins.
    @Test func oldRecordsWithReservedArgumentsGoOn() throws {
        let old = WorkflowSpec(
            name: "w", appID: "app", kwargs: try JSON(parsing: #"{"step":"x"}"#),
            steps: [StepSpec(name: "a", task: "t", kwargs: try JSON(parsing: #"{"app_id":"y","k":1}"#))])
        #expect(throws: RhythmError.self) { try old.validate() }
        var transition = Transition(now: Timestamp(microseconds: 1)) { "t-1" }
        let workflow = Workflow.start(id: "w-1", spec: old, in: &transition)
        let dispatch = workflow.dispatch(at: AttemptPosition(step: 0, attempt: 0))
        let given = dispatch.injectedKwargs.value
        #expect(given["app_id"] == .string("app") && given["step"] == .string("a") && given["k"] == .integer(1))
        guard case .object(let members) = given else { return }
        #expect(members.count == 4)
    }

    @Test func kwargsOfTheCallSurviveAResume() throws {
        var rig = try Rig(kwargs: #"{"k":1}"#)
        rig.fail()
        try rig.resume()
        #expect(rig.dispatched.map(\.kwargs.text) == [#"{"k":1}"#])
    }

    @Test(
        arguments: [
            ("[1]", "[1]"), ("[[1, 2], 3]", "[[1, 2]]"), ("[null]", "[null]"), (nil, "[7]"),
        ] as [(String?, String)])
    func handOff(result: String?, handed: String) throws {
        var rig = try Rig()
        rig.start()
        try rig.succeed(result)
        #expect(rig.kinds == [.succeeded, .dispatched])
        #expect(rig.settled == ["1"])
        #expect(rig.dispatched.map(\.args.text) == [handed])
        #expect(rig.status == .started)
    }

    @Test(arguments: ["{}", "7", "null", "\"[1]\"", "[]"])
    func wrongResultFailsTheStepAndKeepsTheValue(result: String) throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 5) }
        rig.start()
        try rig.succeed(result)
        #expect(rig.status == .failure)
        #expect(rig.current?.failure?.type == "ResultFormat")
        #expect(rig.current?.failure?.message.contains("step 'b' follows") == true)
        #expect(rig.current?.failure?.message.contains(result) == true)
        #expect(rig.current?.result?.text == result)
        #expect(rig.dispatched.isEmpty)
    }

    /// Nothing follows, so nothing has to be handed over; what it returned is kept.
    @Test(arguments: ["{\"archived\":3}", "7", "null", "\"done\"", "[]", "false"])
    func lastStepMayReturnAnything(result: String) throws {
        var rig = try Rig(steps: 2)
        try rig.succeed()
        rig.start()
        try rig.succeed(result)
        #expect(rig.status == .success && rig.workflow.isSettled)
        let ended = rig.workflow.steps[1].current
        #expect(ended?.result?.text == result && ended?.failure == nil)
        #expect(rig.history.last?.kind == .succeeded)
    }

    /// The same when the success comes after the attempt was told to stop.
    @Test func lateSuccessOfTheLastStepMayBeAnything() throws {
        var rig = try Rig(steps: 1)
        rig.start()
        rig.pause()
        try rig.succeed("{\"a\":1}")
        #expect(rig.status == .success && rig.workflow.steps[0].current?.result?.text == "{\"a\":1}")
    }

    @Test func lastStepMayReturnNothing() throws {
        var rig = try Rig(steps: 1)
        try rig.succeed("[]")
        #expect(rig.status == .success)
        var none = try Rig(args: "[]")
        try none.succeed(nil)
        #expect(none.dispatched.map(\.args.text) == ["[]"])
    }

    @Test func wholeLife() throws {
        var rig = try Rig(steps: 2)
        rig.start()
        #expect(rig.status == .started)
        #expect(rig.workflow.startedAt == rig.now)
        #expect(rig.current?.worker == "worker-1")
        try rig.succeed()
        rig.start()
        try rig.succeed()
        #expect(rig.status == .success)
        #expect(rig.workflow.endedAt == rig.now)
        #expect(rig.workflow.isSettled)
        #expect(rig.workflow.pendingIndex == 2)
        #expect(rig.workflow.outstandingEffects.isEmpty)
        #expect(rig.history.map(\.version) == Array(1...Int64(rig.history.count)))
        #expect(
            rig.history.map(\.kind) == [
                .created, .dispatched, .started, .succeeded, .dispatched, .started, .succeeded,
            ])
        #expect(rig.history.map(\.stepsDone) == [0, 0, 0, 1, 1, 1, 2])
    }

    @Test func duplicatesAndLateComersChangeNothing() throws {
        var rig = try Rig()
        rig.start()
        var before = rig.workflow
        rig.start()
        #expect(rig.last.isEmpty && rig.workflow == before)
        try rig.succeed("[1]", "1")
        before = rig.workflow
        for _ in 0..<2 {
            try rig.succeed("[2]", "1")
            #expect(rig.settled == ["1"] && rig.kinds.isEmpty)
            rig.stopped("1")
            #expect(rig.settled == ["1"] && rig.kinds.isEmpty)
            rig.start("1")
            rig.report({ .progress(ProgressReport(done: 1, at: $0)) }, of: "1")
            #expect(rig.last.isEmpty)
        }
        #expect(rig.workflow == before)
        // A failure after the success is written down once, and moves nothing.
        rig.fail("1")
        #expect(rig.kinds == [.lateReport])
        #expect(rig.workflow.steps[0].attempts[0].lateReport?.status == .failure)
        rig.fail("1")
        #expect(rig.kinds.isEmpty && rig.settled == ["1"])
        #expect(rig.workflow.steps[0].status == .success)
        #expect(rig.workflow.liveAttempts.count == 1)
    }

    @Test func supersededAttemptMovesNothing() throws {
        var rig = try Rig()
        rig.stopped()
        try rig.resume()
        try rig.succeed("[9]", "1")
        #expect(rig.kinds == [.lateReport])
        #expect(rig.settled == ["1"])
        #expect(rig.dispatched.isEmpty)
        #expect(rig.workflow.pendingIndex == 0)
        #expect(rig.current?.id == "2")
    }

    @Test func lateSuccessInAWrongFormIsNotedOnce() throws {
        var rig = try Rig()
        rig.start()
        rig.pause()
        rig.stopped()
        try rig.succeed("{}", "1")
        let before = rig.workflow
        #expect(rig.status == .revoked)
        try rig.succeed("{}", "1")
        #expect(rig.workflow == before)
        #expect(rig.kinds.isEmpty && rig.settled == ["1"])
    }

    @Test func endOfAnAttemptNobodyKnowsIsSettled() throws {
        var rig = try Rig()
        let before = rig.workflow
        try rig.succeed("[1]", "stranger")
        #expect(rig.settled == ["stranger"])
        #expect(rig.workflow == before && rig.kinds.isEmpty)
        rig.start("stranger")
        #expect(rig.last.isEmpty)
    }

    @Test func retryInsideTheWorker() throws {
        var rig = try Rig()
        rig.start()
        let failure = Failure(type: "Flaky", message: "again")
        rig.report { _ in .retrying(retries: 1, failure) }
        #expect(rig.current?.status == .retry && rig.current?.retries == 1)
        #expect(rig.status == .started)
        rig.report { _ in .retrying(retries: 1, failure) }
        #expect(rig.last.isEmpty)
        rig.start()
        #expect(rig.current?.status == .started)
        // A report of before that comes late does not turn it back.
        rig.report { _ in .retrying(retries: 1, failure) }
        #expect(rig.current?.status == .started && rig.last.isEmpty)
        rig.report { _ in .retrying(retries: 2, failure) }
        #expect(rig.current?.retries == 2)
        #expect(rig.workflow.steps[0].attempts.count == 1)
        try rig.succeed()
        #expect(rig.workflow.pendingIndex == 1)
    }

    @Test func retryPolicyBacksOffAndGivesUp() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 3) }
        rig.start()
        rig.fail()
        #expect(rig.kinds == [.failed, .retryScheduled])
        // It never reads FAILURE in between.
        #expect(rig.last.events.map(\.status) == [.started, .started])
        #expect(rig.current?.shownStatus == .retry)
        #expect(rig.dispatched.isEmpty && rig.workflow.outstandingEffects.isEmpty)
        #expect(rig.workflow.nextWakeUp == rig.now + .seconds(1))
        try rig.sleepUntilWakeUp()
        #expect(rig.dispatched.map(\.taskID) == ["2"])
        #expect(rig.dispatched.map(\.attempt) == [2])
        rig.fail()
        #expect(rig.workflow.nextWakeUp == rig.now + .seconds(2))
        try rig.sleepUntilWakeUp()
        rig.fail()
        #expect(rig.status == .failure)
        #expect(rig.workflow.nextWakeUp == nil)
        // A person who resumes begins the count anew.
        try rig.resume()
        rig.fail()
        #expect(rig.status == .started && rig.workflow.nextWakeUp != nil)
    }

    @Test func noRetryForWhatCannotHelp() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 3) }
        rig.fail(retriable: false)
        #expect(rig.status == .failure)
        #expect(rig.workflow.endedAt == rig.now)
    }

    @Test func retryWithoutDelayIsDispatchedAtOnce() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 2, backoff: .zero) }
        rig.fail()
        #expect(rig.dispatched.map(\.taskID) == ["2"])
    }

    @Test func wakeUpTooEarlyDoesNothing() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 2, backoff: .seconds(60)) }
        rig.fail()
        var workflow = rig.workflow
        var early = Transition(now: rig.now + .seconds(59)) { "x" }
        workflow.wakeUp(in: &early)
        #expect(early.isEmpty && workflow == rig.workflow)
    }

    @Test func startTimeoutEndsTheWaiting() throws {
        var rig = try Rig { $0.startTimeout = .seconds(10) }
        #expect(rig.workflow.nextWakeUp == rig.now + .seconds(10))
        rig.report({ _ in .waiting(reason: "nobody listens on the queue") }, of: "1")
        try rig.sleepUntilWakeUp()
        #expect(rig.revoked == ["1"] && rig.kinds == [.revoking])
        rig.stopped("1")
        #expect(rig.status == .failure)
        #expect(rig.current?.failure?.type == "StartTimeLimitExceeded")
        #expect(rig.current?.failure?.message.hasSuffix("10000 ms; nobody listens on the queue") == true)
    }

    @Test func startTimeoutIsOverOnceItHasBegun() throws {
        var rig = try Rig { $0.startTimeout = .seconds(10) }
        rig.start()
        #expect(rig.workflow.nextWakeUp == nil)
    }

    @Test func timeoutRevokesThenFails() throws {
        var rig = try Rig { $0.timeout = .seconds(10) }
        #expect(rig.workflow.nextWakeUp == nil)
        rig.start()
        #expect(rig.workflow.nextWakeUp == rig.now + .seconds(10))
        try rig.sleepUntilWakeUp()
        #expect(rig.revoked == ["1"])
        #expect(rig.status == .started)
        #expect(rig.workflow.nextWakeUp == nil)
        rig.stopped()
        #expect(rig.status == .failure)
        #expect(rig.current?.failure?.type == "TimeLimitExceeded")
        #expect(rig.current?.failure?.message.contains("10000 ms") == true)
    }

    @Test func timeoutIsRepeatedByThePolicyOnlyWhenTheOldOneIsGone() throws {
        var rig = try Rig {
            $0.timeout = .seconds(10)
            $0.retry = RetryPolicy(maxAttempts: 2, backoff: .zero)
        }
        rig.start()
        try rig.sleepUntilWakeUp()
        #expect(rig.dispatched.isEmpty)
        rig.stopped()
        #expect(rig.dispatched.map(\.taskID) == ["2"])
    }

    @Test func successThatOvertakesItsTimeoutCounts() throws {
        var rig = try Rig { $0.timeout = .seconds(10) }
        rig.start()
        try rig.sleepUntilWakeUp()
        try rig.succeed("[1]")
        #expect(rig.dispatched.map(\.step) == ["b"])
    }

    @Test func externalRevoke() throws {
        var rig = try Rig { $0.retry = RetryPolicy(maxAttempts: 5) }
        rig.start()
        rig.stopped()
        #expect(rig.status == .revoked)
        #expect(!rig.workflow.isPaused && !rig.workflow.isCancelled)
        #expect(rig.workflow.isSettled)
        #expect(rig.workflow.endedAt == rig.now)
        // It had finished after all: the workflow goes on.
        try rig.succeed("[4]", "1")
        #expect(rig.dispatched.map(\.args.text) == ["[4]"])
        #expect(rig.workflow.endedAt == nil)
        #expect(rig.status == .started)
    }

    @Test func workersWithWrongClocks() throws {
        var rig = try Rig(steps: 1)
        let early = Timestamp(microseconds: 5)
        let late = rig.now + .seconds(86_400)
        rig.report { _ in .started(at: early, worker: "w") }
        #expect(rig.workflow.startedAt == rig.workflow.createdAt)
        rig.report { _ in .succeeded(result: nil, at: late) }
        #expect(rig.workflow.steps[0].current?.endedAt == rig.now)
    }

    @Test func progressIsNoTransition() throws {
        var rig = try Rig()
        rig.report { .progress(ProgressReport(done: 1, total: 10, at: $0)) }
        // The first sign of life also tells that it has begun.
        #expect(rig.kinds == [.started])
        let version = rig.workflow.version
        rig.report { .progress(ProgressReport(done: 2, total: 10, at: $0)) }
        #expect(rig.kinds.isEmpty && rig.workflow.version == version)
        #expect(rig.last.touched == [AttemptPosition(step: 0, attempt: 0)])
        #expect(rig.current?.progress?.done == 2)
    }

    @Test func summaryAndFilters() throws {
        var rig = try Rig()
        try rig.succeed()
        let summary = rig.workflow.summary
        #expect(summary.stepsDone == 1 && summary.totalSteps == 2 && summary.pendingStep == "b")
        #expect(summary.status == .started && !summary.isPaused && !summary.isCancelled)
        let workflow = rig.workflow
        #expect(WorkflowFilter().matches(workflow))
        #expect(WorkflowFilter(statuses: [.started], appID: "app", name: "w", ids: ["w-1"]).matches(workflow))
        #expect(!WorkflowFilter(statuses: [.pending]).matches(workflow))
        #expect(!WorkflowFilter(appID: "other").matches(workflow))
        #expect(!WorkflowFilter(name: "other").matches(workflow))
        #expect(!WorkflowFilter(ids: []).matches(workflow))
        #expect(!WorkflowFilter(labels: ["k": "v"]).matches(workflow))
        #expect(WorkflowFilter(createdFrom: workflow.createdAt).matches(workflow))
        #expect(!WorkflowFilter(createdBefore: workflow.createdAt).matches(workflow))
    }
}
