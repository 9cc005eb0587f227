import RhythmCore
import Testing

@testable import RhythmEngine

/// What may be adopted and what may not, case by case, without any process.
@Suite struct AdoptionRuleTests {
    private static let start = Timestamp(microseconds: 1_800_000_000_000_000)
    private static let now = start + .seconds(3600)

    /// Two steps "a" and "b"; each attempt is given by its status. They begin a minute apart and take half of one.
    private static func record(
        _ a: [TaskStatus], _ b: [TaskStatus] = [], stored: String = "STARTED", lock: Timestamp? = nil,
        found: Set<TaskID> = [], result: String? = "[5]", unknownArgs: Set<TaskID> = []
    ) throws -> LegacyRecord {
        let steps = ["a", "b"].map { StepSpec(name: $0, task: "t", queue: "q-\($0)") }
        var workflow = Workflow(
            id: "w", spec: WorkflowSpec(name: "n", appID: "x", steps: steps), createdAt: start)
        var began = start
        for (index, statuses) in [a, b].enumerated() {
            for (number, status) in statuses.enumerated() {
                began = began + .seconds(60)
                var attempt = Attempt(
                    restoring: TaskID("\(index)\(number)"), number: number + 1, retry: 0,
                    args: try JSON(parsing: "[1]"), kwargs: .emptyObject, createdAt: began)
                attempt.dispatchedAt = began
                attempt.startedAt = began
                attempt.status = status
                attempt.superseded = number < statuses.count - 1
                if status.isEnd { attempt.endedAt = began + .seconds(30) }
                if status == .success { attempt.result = try result.map { try JSON(parsing: $0) } }
                if status == .failure { attempt.failure = Failure(type: "Boom", message: "it broke") }
                workflow.steps[index].attempts.append(attempt)
            }
        }
        return LegacyRecord(
            workflow: workflow, history: [], storedStatus: stored, resumeLock: lock, changedAt: began,
            foundAttempts: found, unknownArgs: unknownArgs, stamp: LegacyStamp(bytes: []))
    }

    private static func inspection(
        held: [Inspection.Holding] = [], silent: [Inspection.Silent] = [], a: Inspection.Queue = .waiting(0),
        b: Inspection.Queue = .waiting(0), trouble: String? = nil
    ) -> Inspection {
        Inspection(held: held, silent: ["w": silent], queues: ["q-a": a, "q-b": b], trouble: trouble)
    }

    private static func rule(force: Bool = false, args: String? = nil, quietFor: Duration = .zero) throws
        -> AdoptionRule
    {
        AdoptionRule(force: force, args: try args.map { try JSON(parsing: $0) }, quietFor: quietFor, now: now)
    }

    private static func verdict(_ verdict: AdoptionRule.Verdict) -> String {
        switch verdict {
        case .adopt(let found): "adopt \(found.reason) \(plan(found.plan))"
        case .leave(let outcome): "\(outcome.kind.rawValue) \(outcome.reason)"
        }
    }

    private static func plan(_ plan: AdoptionPlan) -> String {
        switch plan {
        case .keep: "keep"
        case .send(let args): "send \(args?.text ?? "-")"
        case .restart(let args): "restart \(args?.text ?? "-")"
        case .stopAndRestart: "stop"
        }
    }

    @Test func whatIsWrong() throws {
        func judged(_ record: LegacyRecord, args: String? = nil) throws -> String {
            Self.verdict(try Self.rule(args: args).judge(record, Self.inspection()))
        }
        let late = Self.start + .seconds(600)
        #expect(try judged(Self.record([.success])) == "adopt NEXT_NEVER_SENT send [5]")
        #expect(try judged(Self.record([.success]), args: "[6]") == "adopt NEXT_NEVER_SENT send [6]")
        #expect(try judged(Self.record([.success], result: nil)) == "refused ARGS_NEEDED")
        #expect(try judged(Self.record([.success], result: "[]")) == "refused ARGS_NEEDED")
        #expect(try judged(Self.record([], stored: "PENDING")) == "refused ARGS_NEEDED")
        #expect(try judged(Self.record([], stored: "PENDING"), args: "[]") == "adopt NEVER_SENT send []")
        #expect(try judged(Self.record([.failure], stored: "FAILURE")) == "not_stuck IN_ORDER")
        #expect(try judged(Self.record([.revoked], stored: "REVOKED")) == "not_stuck IN_ORDER")
        #expect(try judged(Self.record([.failure], stored: "FAILURE", lock: late)) == "adopt RESUME_LOST restart -")
        #expect(
            try judged(Self.record([.failure], stored: "FAILURE", lock: late, unknownArgs: ["00"]))
                == "refused ARGS_NEEDED")
        let early = Self.start + .seconds(61)
        #expect(try judged(Self.record([.failure], stored: "FAILURE", lock: early)) == "adopt LOCKED keep")
        #expect(
            try judged(Self.record([.failure, .failure], stored: "FAILURE", lock: late, found: ["01"]))
                == "adopt LOCKED keep")
        #expect(try judged(Self.record([.failure])) == "adopt WRONG_STATUS keep")
        #expect(
            try judged(Self.record([.success], [.failure], stored: "FAILURE", found: ["10"]))
                == "adopt LOST_ATTEMPT keep")
        #expect(try judged(Self.record([.started])) == "adopt WORKER_GONE keep")
        #expect(try judged(Self.record([.retry])) == "adopt WORKER_GONE keep")
        #expect(try judged(Self.record([.success], [.success], stored: "SUCCESS")) == "not_stuck IN_ORDER")
        #expect(try judged(Self.record([.success], [.success])) == "adopt WRONG_STATUS keep")
    }

    @Test func whatMayStillMove() throws {
        func judged(_ inspection: Inspection, force: Bool = false, quietFor: Duration = .zero) throws -> String {
            Self.verdict(
                try Self.rule(force: force, quietFor: quietFor).judge(Self.record([.success]), inspection))
        }
        let sent = "adopt NEXT_NEVER_SENT send [5]"
        #expect(try judged(Self.inspection(), quietFor: .seconds(3601)) == "refused MOVING")
        #expect(try judged(Self.inspection(), force: true, quietFor: .seconds(3601)) == sent)
        #expect(try judged(Self.inspection(b: .waiting(3))) == "refused QUEUED")
        #expect(try judged(Self.inspection(b: .waiting(3)), force: true) == sent)
        // A queue of another step is of no interest, and one that does not exist holds nothing.
        #expect(try judged(Self.inspection(a: .waiting(3), b: .missing)) == sent)
        #expect(try judged(Self.inspection(b: .unknown("gone"))) == "refused CANNOT_ASK")
        #expect(try judged(Self.inspection(trouble: "no broker")) == "refused CANNOT_ASK")
        let message = Inspection.Silent(who: "worker w1", mayRun: false)
        #expect(try judged(Self.inspection(silent: [message])) == "refused SILENT_WORKER")
        #expect(try judged(Self.inspection(silent: [message]), force: true) == sent)
        #expect(try judged(Inspection(silent: ["v": []], queues: ["q-b": .waiting(0)])) == "refused CANNOT_ASK")
        // What a worker has is found by the workflow that it names, even under an id that the record does not know.
        let held = Inspection.Holding(worker: "w1", taskID: "new", workflowID: "w", step: "b")
        #expect(try judged(Self.inspection(held: [held])) == "not_stuck RUNNING")
        #expect(try judged(Self.inspection(held: [held]), force: true) == "not_stuck RUNNING")
        let other = Inspection.Holding(worker: "w1", taskID: "new", workflowID: "v", step: "b")
        #expect(try judged(Self.inspection(held: [other])) == sent)
    }

    /// Where no message can be on its way, only who may be at an attempt that has begun is waited for.
    @Test func whoseSilenceCounts() throws {
        let record = try Self.record([.failure], stored: "FAILURE", lock: Self.start + .seconds(61))
        func judged(mayRun: Bool) throws -> String {
            let silent = Inspection.Silent(who: "worker w1", mayRun: mayRun)
            return Self.verdict(try Self.rule().judge(record, Self.inspection(silent: [silent])))
        }
        #expect(try judged(mayRun: false) == "adopt LOCKED keep")
        #expect(try judged(mayRun: true) == "refused SILENT_WORKER")
    }

    /// What the workers are asked about, by what the record tells.
    @Test func whereSomethingMayBe() throws {
        func subject(_ a: [TaskStatus], _ b: [TaskStatus] = [], worker: String? = "w1") throws -> Inspection.Subject {
            var workflow = try Self.record(a, b).workflow
            for step in workflow.steps.indices {
                for attempt in workflow.steps[step].attempts.indices {
                    workflow.steps[step].attempts[attempt].worker = worker
                }
            }
            return Inspection.Subject(workflow)
        }
        let both: Set<String?> = ["q-a", "q-b"]
        #expect(try subject([]) == .init(queues: both, begun: .nothing))
        #expect(try subject([.started]) == .init(queues: both, workers: ["w1"], begun: .by("w1")))
        #expect(try subject([.started], worker: nil) == .init(queues: both, begun: .bySomebody))
        #expect(try subject([.revoked]) == .init(queues: both, workers: ["w1"], begun: .by("w1")))
        #expect(try subject([.failure]) == .init(queues: both, begun: .nothing), "what has failed is over")
        // Its worker sends the next step.
        #expect(try subject([.success]) == .init(queues: both, begun: .by("w1")))
        #expect(try subject([.success], worker: nil) == .init(queues: both, begun: .bySomebody))
        #expect(try subject([.success], [.retry]) == .init(queues: both, workers: ["w1"], begun: .by("w1")))
        #expect(try subject([.success], [.success]) == .init(queues: [], begun: .nothing))
    }

    /// One with a lock that runs all the same: only by force, and then its attempt is stopped first.
    @Test func whatRunsIsStoppedFirst() throws {
        let record = try Self.record([.started], lock: Self.start)
        let held = Inspection.Holding(worker: "w1", taskID: "00", workflowID: "w", step: "a")
        let inspection = Self.inspection(held: [held])
        #expect(Self.verdict(try Self.rule().judge(record, inspection)) == "refused HELD")
        #expect(Self.verdict(try Self.rule(force: true).judge(record, inspection)) == "adopt WORKER_GONE stop")
        // Two at once cannot be told apart from here.
        let second = Inspection.Holding(worker: "w2", taskID: "99", workflowID: "w", step: "a")
        let both = Self.inspection(held: [held, second])
        #expect(Self.verdict(try Self.rule(force: true).judge(record, both)) == "refused HELD")
    }

    /// What follows from each plan: at most one live attempt, and none beside that of the pending step.
    @Test func adoptedRecords() throws {
        func adopt(_ record: LegacyRecord, _ plan: AdoptionPlan) -> (Workflow, Transition) {
            var workflow = record.workflow
            var transition = Transition(now: Self.now) { "new" }
            workflow.adopt(plan, detail: "adopted", in: &transition)
            return (workflow, transition)
        }
        var (workflow, transition) = adopt(try Self.record([.started, .success]), .send(args: nil))
        // The first attempt of "a" never ended as far as anybody knows; it is closed, and cannot come back.
        #expect(workflow.steps[0].attempts.map(\.status) == [.failure, .success])
        #expect(workflow.steps[1].current?.args.text == "[5]" && workflow.liveAttempts.count == 1)
        #expect(transition.events.map(\.kind) == [.resumed, .dispatched] && transition.events[0].detail == "adopted")
        #expect(transition.effects.count == 2 && transition.effects.contains(.bury("00")))

        (workflow, transition) = adopt(try Self.record([.success], [.started, .failure]), .restart(args: nil))
        #expect(workflow.steps[1].attempts.map(\.superseded) == [true, true, false])
        #expect(workflow.liveAttempts.count == 1 && workflow.steps[1].current?.args.text == "[1]")

        (workflow, transition) = adopt(try Self.record([.started]), .keep)
        #expect(workflow.liveAttempts.count == 1 && transition.isEmpty && workflow.status == .started)

        (workflow, transition) = adopt(try Self.record([.started]), .stopAndRestart)
        #expect(workflow.steps[0].current?.revocation?.reason == .restart && workflow.liveAttempts.count == 1)
        #expect(transition.effects == [.revoke("00", of: "w", queue: "q-a")])
        workflow.observe(.revoked(detail: "", at: Self.now), of: "00", in: &transition)
        #expect(workflow.steps[0].attempts.count == 2 && workflow.steps[0].current?.id == "new")
    }
}
