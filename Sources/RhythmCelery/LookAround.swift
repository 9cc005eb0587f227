import RhythmCore
import RhythmEngine

/// One question to all workers, "what do you hold", and the queues that were looked at for it. A value.
struct LookAround {
    /// The commands that it takes.
    enum Part: Hashable, Sendable, CaseIterable {
        case active, reserved, scheduled
    }

    let number: Int
    /// When whoever asked is answered at the latest.
    let deadline: Duration
    /// By the name it was asked for; the value is the real one.
    let queues: [String?: String]
    let answer: @Sendable (Inspection) -> Void
    /// The workers that have to answer; nil until they were asked.
    private(set) var expected: Set<String>?
    /// When the answers count as complete if nobody was expected.
    private(set) var strangersUntil: Duration = .zero
    private var answers: [String: [Part: [Inspection.Holding]]] = [:]
    private var found: [String: Inspection.Queue] = [:]

    init(
        number: Int, deadline: Duration, queues: [String?: String],
        answer: @escaping @Sendable (Inspection) -> Void
    ) {
        self.number = number
        self.deadline = deadline
        self.queues = queues
        self.answer = answer
    }

    mutating func asked(_ workers: Set<String>, strangersUntil: Duration) {
        expected = workers
        self.strangersUntil = strangersUntil
    }

    mutating func take(_ part: Part, from node: String, _ value: JSONValue) {
        let entries = value.arrayValue ?? []
        answers[node, default: [:]][part] = entries.compactMap { entry in
            Self.holding(part == .scheduled ? entry["request"] ?? .null : entry, by: node)
        }
    }

    mutating func saw(queue: String, _ state: Inspection.Queue) {
        if found[queue] == nil { found[queue] = state }
    }

    private static func holding(_ entry: JSONValue, by node: String) -> Inspection.Holding? {
        guard let id = entry["id"]?.stringValue else { return nil }
        return Inspection.Holding(
            worker: node, taskID: TaskID(id),
            workflowID: WorkflowID(entry["kwargs"]?["workflow_id"]?.stringValue ?? ""),
            step: entry["kwargs"]?["step"]?.stringValue ?? "")
    }

    /// Everybody who has to has answered, and every queue was seen.
    func isComplete(now: Duration) -> Bool {
        guard let expected, silent.isEmpty, queues.values.allSatisfy({ found[$0] != nil }) else { return false }
        return !expected.isEmpty || now >= strangersUntil
    }

    private var silent: [String] {
        (expected ?? []).union(answers.keys).filter { (answers[$0]?.count ?? 0) < Part.allCases.count }.sorted()
    }

    func inspection() -> Inspection {
        guard expected != nil else {
            return Inspection(trouble: "the server has no connection to the broker, or has only begun to listen")
        }
        var states: [String?: Inspection.Queue] = [:]
        for (name, real) in queues { states[name] = found[real] ?? .unknown("the broker did not answer in time") }
        return Inspection(
            held: answers.values.flatMap { $0.values.joined() }, silent: silent, queues: states)
    }
}
