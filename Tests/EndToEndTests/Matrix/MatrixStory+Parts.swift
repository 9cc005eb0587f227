import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting

// MARK: What people do every day

extension MatrixStory {
    /// In order, so nothing is an error, once the server has had the time to find out whose a worker is that says nothing.
    func doctor() async throws {
        var errors: [Finding] = []
        try await until("doctor: " + errors.map { "\($0.subject): \($0.seen)" }.joined(separator: "; "), seconds: 45) {
            errors = try await client.diagnose(timeout: .seconds(40)).filter { $0.severity == .error }
            return errors.isEmpty
        }
    }

    func pauseAndResume() async throws {
        let id = try await start(
            "main",
            [
                Self.step("s0", "slow", #"{"seconds": 3, "delay": 0.15}"#), Self.step("s1", "hold"),
                Self.step("s2", "forward"),
            ])
        try await wait("making progress", id) { workflow in
            let progress = workflow.steps[0].current?.progress
            if workflow.steps[0].status == .success, progress == nil {
                throw Trouble(description: "no progress was told of a step of 3 s")
            }
            return (progress?.done ?? 0) > 0 && progress?.total == 3
        }
        try await until("s1 has not begun", seconds: 45) { run(of: "main", "s1") != nil }
        guard let held = run(of: "main", "s1") else { return }

        clerk.ask("main", "pause")
        let receipt = try await client.pause(id, requestID: "pause").receipt
        clerk.tell("main", "pause", receipt)
        try demand(receipt.accepted, "the pause was refused: \(receipt.reason) \(receipt.message)")
        try await stop(id, held)
        let paused = try await client.status(id, previousAttempts: true)
        clerk.tellStatus("main", paused)
        try demand(paused.status == .revoked, "after the pause: \(Self.shown(paused))")

        clerk.ask("main", "resume")
        let resumed = try await client.resume(id, requestID: "resume").receipt
        clerk.tell("main", "resume", resumed)
        try demand(resumed.accepted, "the resume was refused: \(resumed.reason) \(resumed.message)")
        try await wait("done after the resume", id, seconds: 60) { workflow in
            if let again = run(of: "main", "s1"), again.run != held.run { openGate(again) }
            return workflow.status == .success
        }
    }

    /// Until nothing runs any more. Where the worker cannot end its task, the workflow waits for it and says so, and the
    /// task's own success counts.
    private func stop(_ id: WorkflowID, _ held: RunRecord.Run) async throws {
        if combination.canKill {
            try await wait("stopped", id) { $0.isQuiesced }
            return
        }
        let workflow = try await wait("stopped, nor is it said why", id, seconds: 30) {
            $0.isQuiesced || $0.steps[1].current?.waiting?.isEmpty == false
        }
        if workflow.isQuiesced {
            let isOver = RunRecord(clerk.book.text).runs.contains { $0.run == held.run && $0.end != nil }
            try demand(isOver, "it is told to be stopped, and its task runs on: \(Self.shown(workflow))")
            return
        }
        openGate(held)
        let over = try await wait("over after its task has ended", id) { $0.isQuiesced }
        try demand(
            over.steps[1].status == .success || !combination.keepsLateSuccess,
            "its success does not count: \(Self.shown(over))")
    }

    func retry() async throws {
        let id = try await start(
            "retry", [Self.step("s0", "flaky", #"{"until": "retry"}"#, attempts: 6), Self.step("s1", "add")])
        try await until("s0 does not fail", seconds: 45) { run(of: "retry", "s0")?.outcome == "OSError" }
        try place(mark: "retry")
        let done = try await wait("done", id) { $0.status.isDone }
        try demand(
            done.status == .success && done.steps[0].attempts.count >= 2
                && done.steps[0].attempts[0].failure?.type == "OSError",
            "with a retry policy: \(Self.shown(done))")
    }

    func failure() async throws {
        let id = try await start("failure", [Self.step("s0", "fail", #"{"message": "no luck"}"#)])
        let done = try await wait("done", id) { $0.status.isDone }
        let failure = done.steps[0].current?.failure
        try demand(
            done.status == .failure && done.steps[0].attempts.count == 1 && failure?.type == "ValueError"
                && failure?.message == "no luck", "of a task that fails: \(Self.shown(done))")
    }

    func place(mark name: String) throws { try Data().write(to: URL(fileURLWithPath: "\(marks.directory)/\(name)")) }

    // MARK: Rate limits

    private static let limited = (0..<7).map { "limited-\($0)" }

    func startRateLimited() async throws {
        for name in Self.limited { _ = try await start(name, [Self.step("s0", "limited")]) }
    }

    /// One after the other, as slowly as the worker takes them, and none is given up or repeated meanwhile.
    func awaitRateLimited() async throws {
        let pause = 60 / Double(Combination.ratePerMinute)
        for (name, id) in workflows where name.hasPrefix("limited-") {
            let done = try await wait("done at its rate", id, seconds: Double(Self.limited.count) * pause + 30) {
                $0.status.isDone
            }
            try demand(
                done.status == .success && done.steps[0].attempts.count == 1, "\(name): \(Self.shown(done))")
        }
    }
}
