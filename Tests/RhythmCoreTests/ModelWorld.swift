import RhythmCore

/// One workflow, people, and a runner. Every act checks every invariant; what is wrong is thrown.
struct ModelWorld: Hashable {
    enum Resume: Hashable, CaseIterable { case plain, forced, withArgs, fromFirst, forcedFromFirst }

    enum Act: Hashable {
        case pause(PauseMode), resume(Resume), cancel, wakeUp
        case begin(TaskID), progress(TaskID), retry(TaskID), end(TaskID, ModelRunner.End)
        case deliver(TaskID, Int)
    }

    struct Violation: Error, CustomStringConvertible { var description: String }

    var workflow: Workflow
    var runner: ModelRunner
    var now = Timestamp(microseconds: 1_000_000)
    /// A pause or cancel was acknowledged, and no resume since: nothing may be dispatched.
    var isHeld = false
    /// Steps whose success was reported for the attempt that counts: never to run again unless somebody asks.
    var finished: Set<Int> = []
    /// The acts that may still be done by people; bounds the enumeration.
    var commandsLeft: Int

    init(
        steps: Int, retry: RetryPolicy? = nil, timeout: Duration? = nil, copies: Int = 2, commands: Int = .max
    ) throws {
        let specs = (0..<steps).map { StepSpec(name: "s\($0)", task: "t", timeout: timeout, retry: retry) }
        var transition = Transition(now: now, makeTaskID: TaskIDs().next)
        workflow = Workflow.start(
            id: "w", spec: WorkflowSpec(name: "w", appID: "a", args: .array(of: [.string("in")]), steps: specs),
            in: &transition)
        runner = ModelRunner(copies: copies)
        commandsLeft = commands
        try settleUp(transition, from: 0)
    }

    /// What makes two worlds the same: version numbers and times of change are no part of it.
    var fingerprint: Int {
        var copy = self
        copy.workflow.version = 0
        copy.workflow.updatedAt = Timestamp(microseconds: 0)
        var hasher = Hasher()
        hasher.combine(copy)
        return hasher.finalize()
    }

    /// Everything that could happen next.
    var possibleActs: [Act] {
        var acts: [Act] = []
        for id in runner.ids {
            guard let task = runner.tasks[id] else { continue }
            for (index, message) in task.mail.enumerated() where message.copies > 0 {
                // A second copy before the first is the same as the first.
                acts.append(.deliver(id, index))
            }
            guard task.runs else { continue }
            switch task.phase {
            case .queued: acts.append(.begin(id))
            case .running:
                if !task.retried { acts.append(.retry(id)) }
                if !task.mail.contains(where: { $0.word == .progress }) { acts.append(.progress(id)) }
            case .ended: break
            }
            for end in ModelRunner.End.allCases {
                // What never began cannot have succeeded.
                if task.phase == .queued, end != .revoked, end != .fatal, end != .lost { continue }
                acts.append(.end(id, end))
            }
        }
        if workflow.nextWakeUp != nil { acts.append(.wakeUp) }
        guard commandsLeft > 0 else { return acts }
        acts += [.pause(.now), .pause(.afterStep), .cancel]
        acts += Resume.allCases.map { .resume($0) }
        return acts
    }

    mutating func perform(_ act: Act) throws {
        let before = workflow
        var transition = makeTransition()
        switch act {
        case .begin(let id): return runner.begin(id)
        case .progress(let id): return runner.say(.progress, of: id)
        case .retry(let id): return runner.retry(id)
        case .end(let id, let end): return runner.end(id, end)
        case .deliver(let id, let index):
            guard let word = runner.takeMail(id, index) else { return }
            try observe(word, of: id, before: before)
            return
        case .wakeUp:
            now = max(now, workflow.nextWakeUp ?? now)
            transition = makeTransition()
            workflow.wakeUp(in: &transition)
            if transition.isEmpty { throw violation("I5: a wake-up that is due does nothing") }
        case .pause(let mode):
            commandsLeft -= 1
            try take(workflow.pause(mode, in: &transition), holds: true, before: before, transition)
        case .cancel:
            commandsLeft -= 1
            try take(workflow.cancel(in: &transition), holds: true, before: before, transition)
        case .resume(let kind):
            commandsLeft -= 1
            let receipt = try workflow.resume(
                args: kind == .withArgs ? .array(of: [.string("new")]) : nil,
                from: kind == .fromFirst || kind == .forcedFromFirst ? "s0" : nil,
                force: kind == .forced || kind == .forcedFromFirst, in: &transition)
            if receipt.accepted {
                isHeld = false
                switch kind {
                case .plain, .forced: break
                case .withArgs: finished.remove(before.pendingIndex)
                case .fromFirst, .forcedFromFirst: finished = []
                }
            }
            try take(receipt, holds: false, before: before, transition)
        }
        try settleUp(transition, from: before.version)
    }

    func makeTransition() -> Transition {
        let ids = TaskIDs(after: workflow.steps.reduce(0) { $0 + $1.attempts.count })
        return Transition(now: now) { ids.next() }
    }

    func violation(_ text: String) -> Violation { Violation(description: text) }
}
