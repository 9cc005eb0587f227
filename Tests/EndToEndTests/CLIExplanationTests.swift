import RhythmCommands
import RhythmCore
import Testing

@Suite struct CLIExplanationTests {
    private func explain(_ workflow: Workflow) -> Explanation { Explanation(workflow, now: CLISamples.now) }

    @Test func whatRuns() throws {
        let running = explain(try CLISamples.running())
        #expect(running.reason == .running)
        #expect(running.text.hasPrefix("Step 'hold' runs on local for 3m50s, 42%"))
        #expect(running.next == nil)
    }

    @Test func whatEnded() throws {
        #expect(explain(try CLISamples.succeeded()).text == "It is done: all 4 steps succeeded 1m ago.")
        let failed = explain(try CLISamples.failed())
        #expect(failed.reason == .failed)
        #expect(failed.text == "Step 'check' failed (attempt 1 on local): FileNotFoundError: [Errno 2] not there yet")
        #expect(failed.next == "rhythm resume 36b598c1")
    }

    /// Python's words for a task that does not take what every task is given.
    @Test(arguments: [
        ("TypeError", "copy() got an unexpected keyword argument 'workflow_id'", true),
        ("TypeError", "Tasks.copy() got an unexpected keyword argument 'step'. Did you mean 'stop'?", true),
        ("TypeError", "copy() got multiple values for argument 'app_id'", true),
        ("TypeError", "copy() got an unexpected keyword argument 'batch'", false),
        ("ValueError", "unexpected keyword argument 'step'", false),
    ])
    func whatATaskDoesNotTake(_ type: String, _ message: String, _ isNamed: Bool) throws {
        var workflow = try CLISamples.failed()
        let step = workflow.pendingIndex
        let last = workflow.steps[step].attempts.count - 1
        workflow.steps[step].attempts[last].failure = Failure(type: type, message: message)
        let status = StatusView(workflow, now: CLISamples.now, style: .plain).render()
        for text in [explain(workflow).text, status] {
            #expect(text.contains("--no-inject") == isNamed && text.contains("inject: none") == isNamed, "\(text)")
        }
    }

    @Test func whatIsHeld() throws {
        var workflow = try CLISamples.paused()
        #expect(explain(workflow).reason == .stopping)
        #expect(
            explain(workflow).text
                == "An attempt on local was asked to stop 5s ago, because the workflow was paused, and has not stopped yet."
        )
        workflow.steps[1].attempts[0].status = .revoked
        #expect(explain(workflow).text == "It is paused before step 'hold', and nothing of it runs.")
        workflow.control = .cancelled
        #expect(explain(workflow).reason == .cancelled)
    }

    @Test func whatWaits() throws {
        var workflow = try CLISamples.running()
        workflow.steps[1].attempts[0].status = .pending
        workflow.steps[1].attempts[0].startedAt = nil
        #expect(explain(workflow).reason == .dispatching)
        workflow.steps[1].attempts[0].queuedAt = CLISamples.ago(60)
        workflow.steps[1].attempts[0].queue = "q2"
        #expect(
            explain(workflow).text
                == "Step 'hold' was put into the queue 'q2' 1m00s ago; no worker has said that it began it.")
        workflow.steps[1].attempts[0].waiting = "no worker listens on the queue 'q2'."
        #expect(explain(workflow).text == "Step 'hold' waits: no worker listens on the queue 'q2'.")
        #expect(explain(workflow).reason == .waiting)
        workflow.control = .pausing
        #expect(explain(workflow).text.hasSuffix("The workflow will be paused when it ends."))
    }

    /// A success that came after a cancel is no end that anybody wanted; one that is being run again is no end at all.
    @Test func successAfterCancel() throws {
        var workflow = try CLISamples.succeeded()
        workflow.control = .cancelled
        let cancelled = explain(workflow)
        #expect(cancelled.reason == .cancelled)
        #expect(
            cancelled.text
                == "It was cancelled, for good, but its last step could not be stopped any more: all 4 steps succeeded."
        )
    }

    /// What was lost before it began is sent again for that reason, not because a policy says so.
    @Test func whatIsSentAgain() throws {
        var workflow = try CLISamples.running()
        let lost = Failure(
            type: "WorkerLostError", message: "no worker has begun it, and queue q2 is empty", module: "rhythm")
        let first = workflow.steps[1].attempts[0]
        workflow.steps[1].attempts[0].status = .failure
        workflow.steps[1].attempts[0].startedAt = nil
        workflow.steps[1].attempts[0].superseded = true
        workflow.steps[1].attempts[0].failure = lost
        var again = Attempt(
            restoring: "again", number: 2, retry: first.retry, args: first.args, kwargs: first.kwargs,
            createdAt: CLISamples.now)
        again.notBefore = CLISamples.now + .seconds(15)
        workflow.steps[1].attempts.append(again)
        #expect(explain(workflow).reason == .delayed)
        #expect(
            explain(workflow).text
                == "Step 'hold' was lost before any worker had begun it (no worker has begun it, and queue q2 is empty). "
                + "It is sent again in 15s, for the 1st of at most 3 times.")
        workflow.steps[1].attempts[0].failure = Failure(type: "Boom", message: "it broke")
        #expect(
            explain(workflow).text == "Step 'hold' failed and is tried again in 15s, as its retry policy says.")
    }

    /// Between two runs its worker's reason counts.
    @Test func whatWaitsForItsNextRun() throws {
        var workflow = try CLISamples.running()
        workflow.steps[1].attempts[0].status = .retry
        workflow.steps[1].attempts[0].retries = 2
        workflow.steps[1].attempts[0].waiting = "it may be among the 3 messages in delayed delivery"
        #expect(
            explain(workflow).text
                == "Step 'hold' failed and its worker will try it again (repetition 2). "
                + "It waits: it may be among the 3 messages in delayed delivery")
    }
}
