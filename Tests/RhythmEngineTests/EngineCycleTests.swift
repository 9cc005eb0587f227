import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

/// One cycle: a commit for all, then effects, then answers; and what happens when the store refuses.
@Suite struct EngineCycleTests {
    @Test func manyCommandsShareOneCommit() throws {
        let rig = try EngineRig()
        let answers = rig.ask((0..<100).map { .start(EngineRig.spec("w\($0)"), requestID: "r\($0)") })
        #expect(rig.disk.commits == 1)
        #expect(answers.compactMap { try? $0.get().workflow }.map(\.name) == (0..<100).map { "w\($0)" })
        #expect(rig.disk.image.workflows.count == 100)
        #expect(rig.running.count == 100)
    }

    @Test func effectsAndAnswersComeOnlyAfterTheCommit() throws {
        let rig = try EngineRig()
        _ = rig.order.take()
        rig.ask([.start(EngineRig.spec(), requestID: ""), .start(EngineRig.spec(), requestID: "")])
        #expect(rig.order.take() == ["commit", "perform", "publish", "reply", "reply"])
        let task = try #require(rig.running.first)
        rig.succeed(task)
        rig.run()
        #expect(rig.order.take() == ["commit", "perform", "publish"])
    }

    @Test func nothingToStoreIsNoCommit() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let commits = rig.disk.commits
        rig.run()
        #expect(try rig.ask(.resume(workflow.id, ResumeRequest(), CommandOptions())).receipt?.reason == "ACTIVE")
        #expect(rig.disk.commits == commits)
    }

    @Test func aRecordThatIsTooLargeHarmsNoOther() throws {
        let rig = try EngineRig()
        let large = try rig.start(EngineRig.spec("large"))
        let small = try rig.start(EngineRig.spec("small", steps: 1))
        let tasks = try [large, small].map { try #require(rig.stored($0.id).steps[0].current?.id) }
        let result = JSON.array(of: [.string(String(repeating: "x", count: 200_000))])
        rig.machine.end(tasks[0], [.succeeded(result: result, at: rig.clock.now())])
        rig.succeed(tasks[1])
        var huge = EngineRig.spec("huge")
        huge.args = JSON.array(of: [.string(String(repeating: "y", count: 200_000))])
        let answers = rig.ask([.start(huge, requestID: ""), .start(EngineRig.spec("next"), requestID: "")])
        #expect(answers[0].error?.code == .resourceExhausted)
        #expect(try answers[1].get().workflow != nil)
        #expect(try rig.stored(small.id).status == .success)
        let failed = try rig.stored(large.id)
        #expect(failed.status == .failure)
        #expect(failed.steps[0].current?.failure?.type == "ResultTooLarge")
        #expect(rig.disk.image.workflows.count == 3)
    }

    @Test func fullDiskChangesNothing() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let before = rig.disk.image.workflows
        _ = rig.published.take()
        rig.disk.fail([.refuse(.full), .refuse(.full)])
        let answers = rig.ask([
            .start(EngineRig.spec("new"), requestID: "again"), .pause(workflow.id, .now, CommandOptions()),
            .start(EngineRig.spec("", steps: 0), requestID: ""),
        ])
        for answer in answers.prefix(2) {
            #expect(answer.error?.code == .resourceExhausted)
            #expect(answer.error?.reason == "STORE_FULL")
            #expect(answer.error?.effect == RhythmError.Effect.none)
            #expect(answer.error?.retryAfter == .seconds(1))
        }
        // What was wrong in itself is told as that.
        #expect(answers.last?.error?.code == .invalidArgument)
        #expect(rig.disk.image.workflows == before)
        #expect(rig.running.count == 1)
        #expect(rig.published.all.isEmpty)
        #expect(rig.engine.storeTrouble?.code == .full)
        #expect(rig.machine.attempts.allSatisfy { !$0.1.stopAsked })
        // Again refused, then it works, and nothing is left of the failures.
        #expect(rig.ask([.pause(workflow.id, .now, CommandOptions())]).first?.error?.code == .resourceExhausted)
        let receipt = try rig.ask(.pause(workflow.id, .now, CommandOptions())).receipt
        #expect(receipt?.accepted == true && receipt?.already == false)
        #expect(rig.engine.storeTrouble == nil)
        #expect(try rig.start(EngineRig.spec("new"), requestID: "again").name == "new")
    }

    @Test func refusalsThatRestOnAFailedCommitAreNotTold() throws {
        let rig = try EngineRig()
        let workflow = try rig.start(EngineRig.spec(steps: 1))
        rig.machine.end(rig.running[0], [.failed(Failure(type: "Boom", message: ""), at: rig.clock.now())])
        rig.run()
        rig.disk.fail([.refuse(.unavailable)])
        let answers = rig.ask([
            .delete(workflow.id, cancelFirst: false), .resume(workflow.id, ResumeRequest(), CommandOptions()),
        ])
        // For the second the workflow was gone, had the first been stored.
        #expect(answers.map { $0.error?.code } == [.unavailable, .unavailable])
        #expect(try rig.ask(.resume(workflow.id, ResumeRequest(), CommandOptions())).receipt?.accepted == true)
    }

    @Test(arguments: [true, false])
    func unknownOutcomeIsReadAgain(stored: Bool) throws {
        let rig = try EngineRig()
        rig.disk.fail([.loseAnswer(stored: stored)])
        let error = rig.ask([.start(EngineRig.spec(), requestID: "once")]).first?.error
        #expect(error?.code == .unavailable)
        #expect(error?.effect == .unknown)
        #expect(rig.running.isEmpty)
        _ = rig.published.take()
        try rig.sleepUntilWakeUp()
        #expect(rig.running.count == (stored ? 1 : 0))
        let told = rig.published.take().flatMap(\.changes).flatMap(\.events).map(\.version)
        #expect(told == (stored ? [1, 2] : []))
        let reply = try rig.ask(.start(EngineRig.spec(), requestID: "once"))
        #expect(reply.isReplayed == stored)
        #expect(rig.disk.image.workflows.count == 1)
        #expect(rig.running.count == 1)
    }

    /// What a doubtful commit stored is performed and told even if the next commit fails as well.
    @Test func unknownOutcomeThenARefusal() throws {
        let rig = try EngineRig()
        let other = try rig.start()
        rig.disk.fail([.loseAnswer(stored: true), .refuse(.full)])
        rig.ask([.start(EngineRig.spec(), requestID: "once")])
        _ = rig.published.take()
        rig.ask([.pause(other.id, .now, CommandOptions())])
        #expect(rig.running.count == 2)
        #expect(rig.published.take().flatMap(\.changes).flatMap(\.events).map(\.version) == [1, 2])
    }

    @Test func settledWorkflowInDoubtIsNotToldTwice() throws {
        let rig = try EngineRig()
        let workflow = try rig.start(EngineRig.spec(steps: 1))
        rig.machine.end(rig.running[0], [.failed(Failure(type: "Boom", message: ""), at: rig.clock.now())])
        rig.run()
        let version = try rig.stored(workflow.id).version
        _ = rig.published.take()
        rig.disk.fail([.loseAnswer(stored: true)])
        rig.ask([.resume(workflow.id, ResumeRequest(), CommandOptions())])
        try rig.sleepUntilWakeUp()
        let told = rig.published.take().flatMap(\.changes).flatMap(\.events).map(\.version)
        #expect(told == [version + 1, version + 2])
        #expect(rig.running.count == 1)
    }

    @Test func reportsAreKeptWhileTheStoreIsAway() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let task = rig.running[0]
        rig.disk.isAway = true
        rig.progress(task, 50)
        rig.succeed(task)
        for _ in 0..<3 {
            rig.run()
            #expect(rig.engine.nextWakeUp == rig.clock.now() + .seconds(1))
            #expect(!rig.machine.settled.contains(task))
            rig.clock.advance(by: .seconds(1))
        }
        rig.disk.isAway = false
        rig.run()
        let stored = try rig.stored(workflow.id)
        #expect(stored.pendingIndex == 1)
        #expect(stored.steps[0].current?.progress?.done == 50)
        #expect(rig.machine.settled.contains(task))
        #expect(rig.running.count == 1)
    }

    /// The store loses an answer, then cannot even be read.
    @Test func reportsOfAWorkflowInDoubtAreKept() throws {
        let rig = try EngineRig()
        let workflow = try rig.start()
        let task = rig.running[0]
        rig.disk.fail([.loseAnswer(stored: false)])
        rig.succeed(task)
        rig.run()
        rig.disk.isAway = true
        for _ in 0..<3 { try rig.sleepUntilWakeUp() }
        #expect(rig.ask([.pause(workflow.id, .now, CommandOptions())]).first?.error?.code == .unavailable)
        rig.disk.isAway = false
        try rig.sleepUntilWakeUp()
        #expect(try rig.stored(workflow.id).pendingIndex == 1)
        #expect(rig.machine.settled.contains(task))
    }

    /// Nothing in memory says what became of it, and the store cannot be asked.
    @Test func lateReportsOfASettledWorkflowAreKept() throws {
        let rig = try EngineRig()
        _ = try rig.start(EngineRig.spec(steps: 1))
        let task = rig.running[0]
        rig.disk.fail([.loseAnswer(stored: true)])
        rig.succeed(task)
        rig.run()
        rig.disk.isAway = true
        try rig.sleepUntilWakeUp()
        rig.disk.isAway = false
        rig.run()
        #expect(rig.engine.activeCount == 0)
        #expect(rig.machine.settled.contains(task))

        let late = Report(workflowID: "id-1", taskID: task, .revoked(detail: "again", at: rig.clock.now()))
        rig.disk.isAway = true
        rig.engine.process([.report(late)])
        rig.disk.isAway = false
        try rig.sleepUntilWakeUp()
        #expect(rig.engine.nextWakeUp == nil)
    }

    @Test func timersAreKeptWhileTheStoreIsAway() throws {
        let rig = try EngineRig()
        let workflow = try rig.start(EngineRig.spec { $0.timeout = .seconds(10) })
        rig.machine.begin(rig.running[0], now: rig.clock.now())
        rig.run()
        rig.disk.isAway = true
        rig.clock.advance(by: .seconds(10))
        for _ in 0..<3 {
            rig.run()
            // Not before the store is tried again: a timer that is due must not wake the engine without end.
            #expect(rig.engine.nextWakeUp == rig.clock.now() + .seconds(1))
            rig.clock.advance(by: .seconds(1))
        }
        rig.disk.isAway = false
        rig.run()
        #expect(try rig.stored(workflow.id).steps[0].current?.revocation?.reason == .timeout)
    }
}
