import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// Ids, repeated requests, deletes, progress, restarts.
@Suite struct EngineCommandTests {
    @Test func unknownIds() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let prefix = WorkflowID(String(workflow.id.rawValue.dropLast()))
        for id in [prefix, "", "nobody"] as [WorkflowID] {
            for command in [
                .pause(id, .now, CommandOptions()), .resume(id, ResumeRequest(), CommandOptions()),
                .cancel(id, CommandOptions()), .delete(id, cancelFirst: true),
            ] as [Command] {
                let error = rig.ask([command]).first?.error
                #expect(error?.code == .notFound && error?.reason == "NO_SUCH_WORKFLOW", "\(command)")
                #expect(error?.field == "workflow_id")
            }
        }
        // A prefix is looked up by whoever accepts one.
        let reader = SimulationStore(rig.disk).reader
        #expect(try reader.ids(withPrefix: prefix.rawValue, limit: 2) == [workflow.id])
    }

    @Test func whatIsOutOfScopeIsAsIfItWereNotThere() throws {
        let rig = try EngineRig()
        var spec = EngineRig.spec()
        spec.appID = "own"
        let workflow = try rig.start(spec, requestID: "r")
        func commands(_ id: WorkflowID) -> [Command] {
            [
                .pause(id, .now, CommandOptions()), .resume(id, ResumeRequest(force: true), CommandOptions()),
                .cancel(id, CommandOptions(expectedVersion: 99)), .delete(id, cancelFirst: true),
            ]
        }
        let before = rig.disk.image.workflows[workflow.id]
        for scope in [AppScope.only(["other"]), .only([])] {
            for (known, unknown) in zip(commands(workflow.id), commands("nobody")) {
                var error = try #require(rig.ask([known], within: scope).first?.error)
                error.message = error.message.replacing(workflow.id.rawValue, with: "nobody")
                #expect(error == rig.ask([unknown], within: scope).first?.error, "\(known)")
                #expect(error.code == .notFound)
            }
            // A request id of somebody else: taken, and no more.
            let taken = rig.ask([.start(EngineRig.spec("x"), requestID: "r")], within: scope).first?.error
            #expect(taken?.reason == "REQUEST_ID_REUSED")
            #expect(taken?.message.contains(workflow.id.rawValue) == false)
        }
        #expect(rig.disk.image.workflows[workflow.id] == before)
        #expect(
            rig.ask([.pause(workflow.id, .now, CommandOptions())], within: .only(["own", "x"])).first?.error == nil)
    }

    /// An id that is deleted and begins anew elsewhere between a look and a deed: the engine looks when it acts.
    @Test func scopeIsLookedAtWhenTheCommandIsCarriedOut() throws {
        let rig = try EngineRig()
        var spec = EngineRig.spec()
        spec.id = "mine"
        spec.appID = "own"
        _ = try rig.start(spec)
        rig.ask([.cancel("mine", CommandOptions())])
        rig.machine.end(rig.running[0], [.revoked(detail: "", at: rig.clock.now())])
        rig.run()
        rig.ask([.delete("mine", cancelFirst: false)])
        spec.appID = "other"
        _ = try rig.start(spec)
        let error = rig.ask([.pause("mine", .now, CommandOptions())], within: .only(["own"])).first?.error
        #expect(error?.code == .notFound)
        #expect(rig.running.count == 1, "what the other application runs goes on")
    }

    @Test func startsAreRepeatedByTheirRequestId() throws {
        let rig = try EngineRig()
        let first = try rig.start(requestID: "r")
        let again = try rig.ask(.start(EngineRig.spec(), requestID: "r"))
        #expect(again.isReplayed && again.workflow == first)
        let other = rig.ask([.start(EngineRig.spec("other"), requestID: "r")]).first?.error
        #expect(other?.code == .alreadyExists)
        #expect(other?.reason == "REQUEST_ID_REUSED")
        #expect(other?.field == "request_id")
        try rig.restart()
        #expect(try rig.ask(.start(EngineRig.spec(), requestID: "r")).workflow?.id == first.id)
        // Twice in one cycle.
        let both = rig.ask([.start(EngineRig.spec(), requestID: "two"), .start(EngineRig.spec(), requestID: "two")])
        let replies = try both.map { try $0.get() }
        #expect(replies.map(\.isReplayed) == [false, true])
        #expect(replies[0].workflow?.id == replies[1].workflow?.id)
        #expect(rig.disk.image.workflows.count == 2)
        // Without an id every start is a new one.
        _ = try rig.start()
        _ = try rig.start()
        #expect(rig.disk.image.workflows.count == 4)
        #expect(rig.running.count == 4)
    }

    @Test func chosenIds() throws {
        let rig = try EngineRig()
        var spec = EngineRig.spec()
        spec.id = "mine"
        #expect(try rig.start(spec, requestID: "r").id == "mine")
        #expect(try rig.ask(.start(spec, requestID: "r")).isReplayed)
        let error = rig.ask([.start(spec, requestID: "other")]).first?.error
        #expect(error?.code == .alreadyExists && error?.reason == "ID_IN_USE" && error?.field == "id")
        // Also when it is deleted in this very cycle, and never again after that.
        rig.ask([.cancel("mine", CommandOptions())])
        rig.machine.end(rig.running[0], [.revoked(detail: "", at: rig.clock.now())])
        rig.run()
        let answers = rig.ask([.delete("mine", cancelFirst: false), .start(spec, requestID: "new")])
        #expect(answers.last?.error?.reason == "ID_IN_USE")
        #expect(try rig.start(spec, requestID: "r").version == 2)
    }

    @Test func commandsAreRepeatedByTheirRequestId() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let once = CommandOptions(requestID: "pause-1")
        let first = try rig.ask(.pause(workflow.id, .now, once))
        #expect(try rig.ask(.resume(workflow.id, ResumeRequest(), CommandOptions())).receipt?.accepted == true)
        let before = try rig.stored(workflow.id)
        let commits = rig.disk.commits
        for _ in 0..<2 {
            let again = try rig.ask(.pause(workflow.id, .now, once))
            #expect(again.isReplayed && again.receipt == first.receipt)
        }
        #expect(try rig.stored(workflow.id) == before && rig.disk.commits == commits)
        try rig.restart()
        #expect(try rig.ask(.pause(workflow.id, .now, once)).isReplayed)
        // An id belongs to one kind of command: a resume must not take a pause's answer for its own.
        let mistaken = #expect(throws: RhythmError.self) {
            try rig.ask(.resume(workflow.id, ResumeRequest(), once))
        }
        #expect(mistaken?.reason == "REQUEST_ID_REUSED")
        // Only so many are kept.
        for number in 0..<AppliedRequest.kept {
            try rig.ask(.pause(workflow.id, .now, CommandOptions(requestID: "p\(number)")))
        }
        #expect(try rig.ask(.pause(workflow.id, .now, CommandOptions(requestID: "p0"))).isReplayed)
        #expect(try !rig.ask(.pause(workflow.id, .now, once)).isReplayed)
        #expect(try rig.stored(workflow.id).requests.count == AppliedRequest.kept)
    }

    @Test func expectedVersions() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let error = rig.ask([.pause(workflow.id, .now, CommandOptions(expectedVersion: 1))]).first?.error
        #expect(error?.code == .aborted && error?.reason == "VERSION_MISMATCH")
        #expect(try rig.stored(workflow.id) == workflow)
        let receipt = try rig.ask(.pause(workflow.id, .now, CommandOptions(expectedVersion: 2))).receipt
        #expect(receipt?.accepted == true)
    }

    /// Who deletes by force is not kept waiting by what cannot be stopped; that goes on being stopped.
    @Test(arguments: [false, true]) func deleteByForceWaitsForNobody(inOneGo: Bool) throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let task = rig.running[0]
        if !inOneGo {
            #expect(try rig.ask(.delete(workflow.id, cancelFirst: true)).isGone == false)
            #expect(rig.machine.attempts.first?.1.stopAsked == true)
        }
        #expect(try rig.ask(.delete(workflow.id, cancelFirst: inOneGo, force: true)).isGone == true)
        #expect(rig.disk.image.workflows.isEmpty && rig.engine.activeCount == 0)
        // The machine forgets what is buried, but not that it was to stop it.
        #expect(rig.machine.toldToStop == [task])
        #expect(rig.machine.settled.contains(task))
    }

    @Test func deleteCancelsFirst() throws {
        let rig = try EngineRig()
        let workflow = try rig.start(requestID: "r")
        let task = rig.running[0]
        let refused = rig.ask([.delete(workflow.id, cancelFirst: false)]).first?.error
        #expect(refused?.code == .failedPrecondition && refused?.reason == "ACTIVE")
        #expect(try rig.ask(.delete(workflow.id, cancelFirst: true)).isGone == false)
        #expect(try rig.stored(workflow.id).deletesWhenSettled)
        #expect(rig.machine.attempts.first?.1.stopAsked == true)
        // The wish survives a crash.
        try rig.restart()
        _ = rig.published.take()
        rig.machine.end(task, [.revoked(detail: "stopped", at: rig.clock.now())])
        rig.run()
        #expect(rig.disk.image.workflows.isEmpty && rig.disk.image.events.isEmpty)
        #expect(rig.machine.purged == [task])
        #expect(rig.machine.settled.contains(task))
        #expect(rig.published.take().flatMap(\.deleted) == [workflow.id])
        #expect(rig.engine.activeCount == 0)
        #expect(rig.ask([.delete(workflow.id, cancelFirst: true)]).first?.error?.code == .notFound)
        // Its request id is free, and late reports of it are settled.
        #expect(try rig.start(requestID: "r").id != workflow.id)
        rig.engine.process([
            .report(Report(workflowID: workflow.id, taskID: "late", .revoked(detail: "", at: rig.clock.now())))
        ])
        #expect(rig.machine.settled.contains("late"))
    }

    @Test func deleteOfWhatIsSettledIsAtOnce() throws {
        let rig = try EngineRig()
        let workflow = try rig.start(EngineRig.spec(steps: 1))
        rig.succeed(rig.running[0])
        rig.run()
        #expect(rig.engine.activeCount == 0)
        let answers = rig.ask([
            .delete(workflow.id, cancelFirst: false),
            .resume(workflow.id, ResumeRequest(fromStep: "s0", force: true), CommandOptions()),
        ])
        #expect(try answers[0].get().isGone == true)
        #expect(answers[1].error?.code == .notFound)
        #expect(rig.disk.image.workflows.isEmpty)
        #expect(rig.running.isEmpty)
    }

    // MARK: Progress

    @Test func progressIsStoredOnceASecondAndWithTheEnd() throws {
        let rig = try EngineRig()
        let workflow = try rig.start(EngineRig.spec(steps: 1))
        let task = rig.running[0]
        rig.machine.begin(task, now: rig.clock.now())
        rig.run()
        let commits = rig.disk.commits
        _ = rig.published.take()
        for tick in 1...45 {
            rig.clock.advance(by: .milliseconds(100))
            rig.progress(task, Double(tick))
            rig.run()
            // Watchers are told at once.
            #expect(rig.published.take().flatMap(\.progress).map(\.progress.done) == [Double(tick)])
        }
        // 4.5 s, though every cycle brought more of it.
        #expect(rig.disk.commits - commits == 4)
        #expect((try rig.stored(workflow.id).steps[0].current?.progress?.done ?? 0) >= 40)
        #expect(try rig.stored(workflow.id).version == 3)
        rig.progress(task, 100)
        rig.succeed(task)
        rig.run()
        #expect(rig.disk.commits - commits == 5)
        #expect(try rig.stored(workflow.id).steps[0].current?.progress?.fractionDone == 1)
        #expect(rig.published.take().flatMap(\.progress).map(\.progress.done) == [100])
        #expect(rig.engine.nextWakeUp == nil)
    }

    @Test func progressOfAQuietWorkflowIsStoredWithinASecond() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        rig.progress(rig.running[0], 1)
        rig.run()
        rig.progress(rig.running[0], 2)
        rig.run()
        #expect(try rig.stored(workflow.id).steps[0].current?.progress?.done == 1)
        #expect(rig.engine.nextWakeUp == rig.clock.now() + .seconds(1))
        try rig.sleepUntilWakeUp()
        #expect(try rig.stored(workflow.id).steps[0].current?.progress?.done == 2)
        #expect(rig.engine.nextWakeUp == nil)
    }

    // MARK: Restart

    @Test func restartGivesTheRunnerWhatIsOutstanding() throws {
        let rig = try EngineRig()
        _ = try rig.start()
        let paused = try rig.start()
        try rig.ask(.pause(paused.id, .now, CommandOptions()))
        let failed = try rig.start(EngineRig.spec { $0.retry = RetryPolicy(maxAttempts: 2, backoff: .seconds(60)) })
        let third = rig.running[2]
        rig.machine.end(third, [.failed(Failure(type: "Boom", message: ""), at: rig.clock.now())])
        rig.run()
        let before = rig.disk.image.workflows
        let running = rig.running
        try rig.restart()
        rig.run()
        #expect(rig.disk.image.workflows == before)
        #expect(rig.running == running)
        #expect(rig.engine.activeCount == 3)
        #expect(rig.engine.nextWakeUp == (try rig.stored(failed.id).nextWakeUp))
        try rig.sleepUntilWakeUp()
        #expect(rig.running.count == 3)
    }

    @Test func startFailsIfNothingCanBeRead() throws {
        let rig = try EngineRig()
        rig.disk.isAway = true
        #expect(throws: StoreError.self) { try rig.restart() }
    }
}
