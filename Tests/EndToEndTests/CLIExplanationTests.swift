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
        #expect(explain(workflow).text == "Step 'hold' lies in the queue 'q2' since 1m00s; no worker has begun it.")
        workflow.steps[1].attempts[0].waiting = "no worker listens on the queue 'q2'."
        #expect(explain(workflow).text == "Step 'hold' waits: no worker listens on the queue 'q2'.")
        #expect(explain(workflow).reason == .waiting)
        workflow.control = .pausing
        #expect(explain(workflow).text.hasSuffix("The workflow will be paused when it ends."))
    }
}
