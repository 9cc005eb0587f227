public import RhythmCore
public import RhythmEngine

/// Makes random workflows by driving the real rules: what comes out is a record that an engine could have stored, with
/// commands, failures, repetitions, late reports and progress in it, and text of every awkward kind.
public struct WorkflowSamples: Sendable {
    /// Where the randomness comes from.
    public var random: SeededGenerator
    /// The time of the next thing that happens; it moves in coarse steps, so that equal times occur.
    public var now = Timestamp(microseconds: 1_790_000_000_000_000)

    /// Samples that the generator's seed brings back.
    public init(_ random: SeededGenerator) { self.random = random }

    /// A change that stores a new workflow, as a start makes it.
    public mutating func start(_ spec: WorkflowSpec? = nil, requestID: String? = nil) -> WorkflowChange {
        let spec = spec ?? self.spec()
        let id = spec.id ?? WorkflowID(uuid())
        let requestID = requestID ?? (random.once(in: 2) ? "" : "request-\(uuid())")
        var transition = transition()
        let workflow = Workflow.start(id: id, spec: spec, requestID: requestID, in: &transition)
        return WorkflowChange(
            workflow: workflow, isNew: true, touched: transition.touched, events: transition.events)
    }

    /// Something that happens to a workflow: a command, a report of one of its attempts, or time that passes.
    ///
    /// - Returns: the change to store; nil if nothing changed.
    public mutating func advance(_ workflow: inout Workflow) -> WorkflowChange? {
        var transition = transition()
        let before = workflow
        switch Int.random(in: 0..<20, using: &random) {
        case 0: apply(workflow.pause(random.pick(PauseMode.allCases), in: &transition), to: &workflow)
        case 1...3: resume(&workflow, in: &transition)
        case 4 where random.once(in: 4): apply(workflow.cancel(in: &transition), to: &workflow)
        case 5 where random.once(in: 4): _ = try? workflow.requestDeletion(cancelFirst: true, in: &transition)
        case 6:
            if let due = workflow.nextWakeUp, due > now {
                now = due
                transition = self.transition()
            }
            workflow.wakeUp(in: &transition)
        default: observe(&workflow, in: &transition)
        }
        if workflow == before { return nil }
        return WorkflowChange(
            workflow: workflow, isNew: false, touched: transition.touched, events: transition.events)
    }

    /// The changes of one workflow from its start, at most `length`.
    public mutating func history(_ spec: WorkflowSpec? = nil, length: Int) -> [WorkflowChange] {
        var changes = [start(spec)]
        var workflow = changes[0].workflow
        for _ in 1..<max(1, length) {
            if let change = advance(&workflow) { changes.append(change) }
        }
        return changes
    }

    /// A transition at the present, which then moves on a little, or not.
    public mutating func transition() -> Transition {
        now.microseconds += random.pick([0, 0, 1, 1_000, 250_000, 1_000_000])
        let random = self.random
        self.random = SeededGenerator(seed: self.random.next())
        return Transition(now: now, makeTaskID: TaskIDs(random).next)
    }

    /// A random UUID.
    public mutating func uuid() -> String { random.uuid() }
}

extension WorkflowSamples {
    /// A valid request with one to five steps.
    public mutating func spec() -> WorkflowSpec {
        var labels: [String: String] = [:]
        for key in ["team", "größe", "a.b$c"] where random.once(in: 3) { labels[key] = random.pick(["", "x", "ω"]) }
        let steps = (0..<Int.random(in: 1...5, using: &random)).map { step(named: "step \($0)") }
        return WorkflowSpec(
            name: random.pick(["nightly", "Überprüfung", "o'clock \"x\" %_\\", "工作流"]),
            appID: random.pick(["app", "other", "app%"]), description: random.pick(Self.texts), labels: labels,
            args: random.pick(Self.arrays), kwargs: random.pick(Self.objects), steps: steps)
    }

    private mutating func step(named name: String) -> StepSpec {
        var step = StepSpec(name: name, task: random.pick(["tasks.run", "tâche"]), kwargs: random.pick(Self.objects))
        if random.once(in: 3) { step.queue = random.pick(["gpu", "q 1"]) }
        if random.once(in: 3) { step.priority = Int.random(in: 0...9, using: &random) }
        if random.once(in: 3) { step.timeout = random.pick([.seconds(3), .nanoseconds(1_500_000_001)]) }
        if random.once(in: 4) { step.startTimeout = random.pick([.seconds(2), .milliseconds(1)]) }
        if random.once(in: 4) { step.maxLost = random.pick([0, 1, 1000]) }
        if random.once(in: 4) { step.inject = random.pick([[], [.step], [.workflowID, .appID]]) }
        if random.once(in: 2) {
            step.retry = RetryPolicy(
                maxAttempts: 3, backoff: .milliseconds(1), factor: random.pick([1, 1.1, 3.3333333333333335]),
                maxBackoff: .seconds(7))
        }
        return step
    }

    private mutating func resume(_ workflow: inout Workflow, in transition: inout Transition) {
        let args = random.once(in: 3) ? random.pick(Self.arrays) : nil
        let from = random.once(in: 3) ? random.pick(workflow.steps).spec.name : nil
        let force = random.once(in: 2)
        if let receipt = try? workflow.resume(args: args, from: from, force: force, in: &transition) {
            apply(receipt, to: &workflow)
        }
    }

    /// Keeps the receipt as the engine does for a command with a request id.
    private mutating func apply(_ receipt: Receipt, to workflow: inout Workflow) {
        guard random.once(in: 2) else { return }
        workflow.requests.append(AppliedRequest(id: "r-\(random.next())", receipt: receipt))
        if workflow.requests.count > AppliedRequest.kept { workflow.requests.removeFirst() }
    }

    private mutating func observe(_ workflow: inout Workflow, in transition: inout Transition) {
        let attempts = workflow.steps.flatMap(\.attempts)
        let live = workflow.liveAttempts.map { workflow[$0] }
        guard let attempt = random.once(in: 4) || live.isEmpty ? attempts.randomElement(using: &random) : live.first
        else { return }
        workflow.observe(observation(), of: attempt.id, in: &transition)
    }

    private mutating func observation() -> Observation {
        let failure = Failure(
            type: random.pick(["ValueError", "ExitStatus", ""]), message: random.pick(Self.texts),
            module: random.pick(["", "builtins"]), traceback: random.pick(Self.texts),
            isRetriable: !random.once(in: 3))
        switch Int.random(in: 0..<15, using: &random) {
        case 0: return .started(at: now, worker: random.pick(["", "celery@höst"]))
        case 1:
            let own = JSONValue.object([.init("stage", .string(random.pick(Self.texts)))])
            return ProgressReport(reported: own, at: now).map { .progress($0) } ?? .started(at: now, worker: "")
        case 2, 3, 4:
            return .progress(
                ProgressReport(
                    name: random.pick(["", "rows"]), done: .random(in: 0...1e9, using: &random),
                    total: random.once(in: 2) ? nil : 1e9 / 3, units: random.pick(["", "öl"]), at: now))
        case 5: return .retrying(retries: Int.random(in: 1...9, using: &random), failure)
        case 6: return .failed(failure, at: now)
        case 7: return .revoked(detail: random.pick(Self.texts), at: now)
        case 8: return .queued(at: now)
        case 9: return .waiting(reason: random.pick(Self.texts))
        case 10: return .lost(detail: random.pick(Self.texts), at: now)
        default: return .succeeded(result: random.once(in: 8) ? nil : random.pick(Self.arrays), at: now)
        }
    }

    private static let texts = [
        "", "plain", "two\nlines\ttab", "Zoë 'quotes' \"double\" \\back", "日本語 👩‍👩‍👧 e\u{301}", "nul [\u{1F}]",
        String(repeating: "long ", count: 700),
    ]
    private static let arrays = [
        "[]", "[1]", "[123456789012345678901234567890, -0, 1e400]", "[ \"\\u0000\\ud83d\\ude00\" , null]",
        "[{\"a\" : [NaN, Infinity]}]", "[\"\(String(repeating: "ä", count: 3000))\"]",
    ].compactMap { try? JSON(parsing: $0) }
    private static let objects = ["{}", "{\"a\" : 1.50, \"\" : \"\"}", "{\"größe\":[18446744073709551616]}"]
        .compactMap { try? JSON(parsing: $0) }
}

extension SeededGenerator {
    /// A random lower-case UUIDv4.
    public mutating func uuid() -> String {
        func hex(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String((String(repeating: "0", count: 16 - text.count) + text).suffix(digits))
        }
        let high = next()
        let low = next()
        return
            "\(hex(high >> 32, 8))-\(hex(high >> 16, 4))-4\(hex(high, 3))-\(hex(8 | low >> 62, 1))\(hex(low >> 48, 3))"
            + "-\(hex(low, 12))"
    }
}
