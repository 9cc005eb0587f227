import RhythmCore
import RhythmEngine

/// One question to all workers, "what do you hold", and the queues that were looked at for it. A value.
struct LookAround {
    /// The commands that it takes.
    enum Part: Hashable, Sendable, CaseIterable {
        case active, reserved, scheduled
        /// `active_queues`: from which queues the worker takes; another part of the desk reads it.
        case queues
    }

    let number: Int
    /// When whoever asked is answered at the latest.
    let deadline: Duration
    /// What is asked about.
    let subjects: [WorkflowID: Inspection.Subject]
    /// By the name it was asked for; the value is the real one.
    let queues: [String?: String]
    let answer: @Sendable (Inspection) -> Void
    /// They were asked.
    private(set) var isAsked = false
    /// The workers that have to answer, whatever that is worth for each of the subjects.
    private var expected: Set<String> = []
    /// Those of them that are worth waiting for: others never answer.
    private var awaited: Set<String> = []
    /// When the answers count as complete if nobody was expected.
    private(set) var strangersUntil: Duration = .zero
    private var answers: [String: [Part: [Inspection.Holding]]] = [:]
    private var found: [String: Inspection.Queue] = [:]
    /// How many take from a queue, of those that could be looked at.
    private var consumers: [String: Int] = [:]

    init(
        number: Int, deadline: Duration, subjects: [WorkflowID: Inspection.Subject], defaultQueue: String,
        answer: @escaping @Sendable (Inspection) -> Void
    ) {
        self.number = number
        self.deadline = deadline
        self.subjects = subjects
        self.answer = answer
        var queues: [String?: String] = [:]
        for subject in subjects.values { for name in subject.queues { queues[name] = name ?? defaultQueue } }
        self.queues = queues
    }

    mutating func asked(_ expected: Set<String>, awaited: Set<String>, strangersUntil: Duration) {
        isAsked = true
        self.expected = expected
        self.awaited = awaited
        self.strangersUntil = strangersUntil
    }

    mutating func take(_ part: Part, from node: String, _ value: JSONValue) {
        let entries = value.arrayValue ?? []
        answers[node, default: [:]][part] = entries.compactMap { entry in
            switch part {
            case .active, .reserved: Self.holding(entry, by: node)
            case .scheduled: Self.holding(entry["request"] ?? .null, by: node)
            case .queues: nil
            }
        }
    }

    mutating func saw(queue: String, _ state: Inspection.Queue, consumers count: Int?) {
        guard found[queue] == nil else { return }
        found[queue] = state
        consumers[queue] = count
    }

    private static func holding(_ entry: JSONValue, by node: String) -> Inspection.Holding? {
        guard let id = entry["id"]?.stringValue else { return nil }
        return Inspection.Holding(
            worker: node, taskID: TaskID(id),
            workflowID: WorkflowID(entry["kwargs"]?["workflow_id"]?.stringValue ?? ""),
            step: entry["kwargs"]?["step"]?.stringValue ?? "")
    }

    private func hasAnswered(_ node: String) -> Bool { answers[node]?.count == Part.allCases.count }

    /// Everybody who was waited for has answered, and every queue was seen.
    func isComplete(now: Duration) -> Bool {
        guard isAsked, awaited.union(answers.keys).allSatisfy({ hasAnswered($0) }),
            queues.values.allSatisfy({ found[$0] != nil })
        else { return false }
        return !awaited.isEmpty || now >= strangersUntil
    }

    /// The workers that were expected to answer, or have begun to, and have not.
    var silent: Set<String> { expected.union(answers.keys).filter { !hasAnswered($0) } }

    /// - Parameter relevance: the rule, with who has answered, how many take from each queue, and who was asked.
    func inspection(
        _ relevance: (_ answering: Set<String>, _ consumers: [String: Int], _ asked: Set<String>) -> RelevanceRule
    ) -> Inspection {
        guard isAsked else {
            return Inspection(trouble: "the server has no connection to the broker, or has only begun to listen")
        }
        var states: [String?: Inspection.Queue] = [:]
        for (name, real) in queues { states[name] = found[real] ?? .unknown("the broker did not answer in time") }
        let answered = Set(answers.keys.filter { hasAnswered($0) })
        let rule = relevance(answered, consumers, expected)
        let silent = silent.sorted()
        return Inspection(
            held: answers.values.flatMap { $0.values.joined() },
            silent: subjects.mapValues { judge(silent, $0, answered: answered, by: rule) }, queues: states)
    }

    /// What the silence of workers leaves open about a workflow.
    private func judge(
        _ silent: [String], _ subject: Inspection.Subject, answered: Set<String>, by rule: RelevanceRule
    ) -> [Inspection.Silent] {
        let names = Set(subject.queues.compactMap { queues[$0] })
        // Whatever the record does not know has not begun: tasks of the library's write that down when they do.
        let message = RelevanceRule.Subject(queues: names, hasNotBegun: true)
        let attempt: RelevanceRule.Subject? =
            switch subject.begun {
            case .nothing: nil
            case .bySomebody: .init(queues: names, seenBy: subject.workers)
            case .by(let other):
                .init(queues: names, seenBy: subject.workers.union([other]), isDecided: answered.contains(other))
            }
        var found = silent.compactMap { worker -> Inspection.Silent? in
            let mayRun = attempt.map { rule.counts(worker, for: $0) } ?? false
            guard mayRun || rule.counts(worker, for: message) else { return nil }
            return Inspection.Silent(who: "worker \(worker)", mayRun: mayRun)
        }
        if let queue = rule.stranger(for: message) {
            let mayRun = attempt.map { rule.stranger(for: $0) != nil } ?? false
            found.append(Inspection.Silent(who: "an unknown worker of queue \(queue)", mayRun: mayRun))
        }
        return found
    }
}
