import RhythmCore
import Testing

/// Every record of one to three steps, against an oracle that is written from the rules' words.
@Suite struct StatusTests {
    /// What may be known of a step.
    enum Known: CaseIterable {
        case nothing, queued, waitingForRetry, started, retryingInWorker, success, failure, revoked, setBack

        var step: Step {
            var step = Step(spec: StepSpec(name: "\(self)", task: "t"))
            guard self != .nothing else { return step }
            var attempt = Attempt(
                restoring: "1", number: 1, retry: 0, args: .emptyArray, kwargs: .emptyObject,
                createdAt: Timestamp(microseconds: 1))
            if self == .waitingForRetry {
                attempt.notBefore = Timestamp(microseconds: 9)
            } else {
                attempt.dispatchedAt = Timestamp(microseconds: 1)
            }
            switch self {
            case .nothing, .queued, .waitingForRetry: break
            case .started: attempt.status = .started
            case .retryingInWorker: attempt.status = .retry
            case .success: attempt.status = .success
            case .failure: attempt.status = .failure
            case .revoked: attempt.status = .revoked
            case .setBack:
                attempt.status = .success
                attempt.superseded = true
            }
            step.attempts = [attempt]
            return step
        }

        /// PENDING, STARTED, ... as people read it.
        var status: TaskStatus {
            switch self {
            case .nothing, .queued, .setBack: .pending
            case .started: .started
            case .waitingForRetry, .retryingInWorker: .retry
            case .success: .success
            case .failure: .failure
            case .revoked: .revoked
            }
        }

        /// A runner may hold something of it.
        var runs: Bool { self == .queued || self == .started || self == .retryingInWorker }
    }

    static func combinations(of count: Int) -> [[Known]] {
        guard count > 0 else { return [[]] }
        return combinations(of: count - 1).flatMap { head in Known.allCases.map { head + [$0] } }
    }

    static func controls(steps: Int) -> [Control] {
        [.running, .pausing, .paused, .cancelled, .resuming(ResumePlan())]
            + (0..<steps).map { .resuming(ResumePlan(from: $0)) }
    }

    /// The rules' words: the pending step is the first that has not succeeded.
    static func oracle(_ steps: [Known], _ control: Control) -> WorkflowStatus {
        let pending = steps.firstIndex { $0.status != .success }
        switch control {
        case .cancelled:
            return .revoked
        case .resuming(let plan):
            // It is to go on at a step, which waits: PENDING for the first one, STARTED for one after it.
            return (plan.from ?? pending) == 0 ? .pending : .started
        case .paused where pending != nil:
            return .revoked
        case .running, .pausing, .paused:
            guard let pending else { return .success }
            switch steps[pending].status {
            case .pending: return pending == 0 ? .pending : .started
            case .started, .retry: return .started
            case .failure: return .failure
            case .revoked: return .revoked
            case .success: return .success
            }
        }
    }

    @Test(arguments: 1...3)
    func everyRecord(count: Int) {
        let spec = WorkflowSpec(name: "w", appID: "a", steps: [StepSpec(name: "s", task: "t")])
        var seen = 0
        for combination in Self.combinations(of: count) {
            var workflow = Workflow(id: "w", spec: spec, createdAt: Timestamp(microseconds: 1))
            workflow.steps = combination.map(\.step)
            for control in Self.controls(steps: count) {
                workflow.control = control
                seen += 1
                let expected = Self.oracle(combination, control)
                let pending = combination.firstIndex { $0.status != .success } ?? count
                let settled =
                    [.success, .failure, .revoked].contains(expected) && !combination.contains { $0.runs }
                let story: Comment = "\(combination) \(control)"
                if workflow.status != expected { Issue.record("\(workflow.status), not \(expected): \(story)") }
                if workflow.pendingIndex != pending { Issue.record("pending \(workflow.pendingIndex): \(story)") }
                if workflow.isSettled != settled { Issue.record("settled \(workflow.isSettled): \(story)") }
            }
        }
        #expect(seen == [0, 9 * 6, 81 * 7, 729 * 8][count])
    }

    @Test func stepStatuses() {
        for known in Known.allCases { #expect(known.step.status == known.status, "\(known)") }
    }

    @Test func groups() {
        #expect(StatusGroup.done.members == [.success, .failure, .revoked])
        #expect(StatusGroup.active.members == [.pending, .started])
        #expect(StatusGroup.exception.members == [.failure, .revoked])
        for status in WorkflowStatus.allCases {
            #expect(StatusGroup.done.members.contains(status) == status.isDone)
            #expect(StatusGroup.active.members.contains(status) != status.isDone)
            #expect(StatusGroup.statuses(named: status.rawValue.lowercased()) == [status])
        }
        #expect(StatusGroup.statuses(named: "exception") == [.failure, .revoked])
        #expect(StatusGroup.statuses(named: "RETRY") == nil)
        #expect(StatusGroup.statuses(named: "") == nil)
    }
}
