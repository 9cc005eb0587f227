import RhythmCore

/// One question to all workers, "which of these attempts do you hold", and their answers.
///
/// It takes two commands: `query_task` and `scheduled` (before 5.7 the first does not find what is held for later). For
/// attempts that are being stopped it takes two more: a worker forgets a task in the moment in which it signals the
/// task's process, whether that ends or not. So `query_task` is asked before the signal too, to learn the process, and
/// `stats` after it, to learn whether that is still there. A worker has answered when it has answered all of them.
struct Census {
    /// The commands.
    enum Part: Hashable, Sendable, CaseIterable {
        case query, scheduled, stats
        /// `query_task` before the signal.
        case before
        /// `active`: what the processes are at.
        case active
        /// `registered`: limits on how often tasks begin; another part of the desk reads it.
        case tasks
        /// `active_queues`: from which queues the worker takes; another part of the desk reads it.
        case queues
    }

    private struct Answer {
        var query: [TaskID: Holding]?
        var before: [TaskID: Holding]?
        var active: [Int: TaskID]?
        var scheduled: [TaskID: Holding]?
        /// Outer nil: not answered. Inner nil: a pool without processes.
        var processes: Set<Int>??
        var hasToldTasks = false
        var hasToldQueues = false

        func isComplete(_ parts: Set<Part>) -> Bool {
            parts.allSatisfy { part in
                switch part {
                case .query: query != nil
                case .before: before != nil
                case .active: active != nil
                case .scheduled: scheduled != nil
                case .stats: processes != nil
                case .tasks: hasToldTasks
                case .queues: hasToldQueues
                }
            }
        }
    }

    /// What all workers said about one attempt.
    struct Finding: Hashable, Sendable {
        /// Who holds it, and how.
        var holders: [String: Holding] = [:]
        /// The holders whose process may be at work on it.
        var running: Set<String> = []
        /// The processes that ran it before they were told to stop, by worker.
        var processes: [String: Int] = [:]
        /// The processes that the workers have now and that are at nothing else as far as is known, by worker; workers
        /// without a pool of processes are absent.
        var pools: [String: Set<Int>] = [:]
        /// Who should have answered and did not.
        var silent: Set<String> = []
        /// How many workers said that they do not hold it.
        var denials = 0
        /// Those that did not hold it before they were told to stop it.
        var deniedBefore: Set<String> = []
        /// Those that have said what their processes are at.
        var saidActivity: Set<String> = []
        /// Those that have answered everything.
        var answered: Set<String> = []
    }

    let ids: [TaskID]
    /// Those of them that workers were told to stop, or that somebody else has revoked, before they were asked.
    let revokes: Set<TaskID>
    /// The commands that were sent.
    let parts: Set<Part>
    /// When it began.
    let begun: Duration
    /// Those that were asked and have to answer.
    let expected: Set<String>
    /// Those of them that are worth waiting for: others never answer.
    private let awaited: Set<String>
    private var answers: [String: Answer] = [:]

    init(
        of ids: [TaskID], revokes: Set<TaskID> = [], parts: Set<Part> = [.query, .scheduled, .stats],
        expected: Set<String>, awaited: Set<String>? = nil,
        begun: Duration
    ) {
        self.ids = ids
        self.revokes = revokes
        self.parts = parts
        self.expected = expected
        self.awaited = awaited ?? expected
        self.begun = begun
    }

    /// Takes a worker's answer to one part.
    mutating func take(_ part: Part, from node: String, _ value: JSONValue) {
        var answer = answers[node] ?? Answer()
        switch part {
        case .query: answer.query = Holding.read(query: value)
        case .before: answer.before = Holding.read(query: value)
        case .active: answer.active = Holding.read(active: value)
        case .scheduled: answer.scheduled = Holding.read(scheduled: value)
        case .stats: answer.processes = .some(Holding.read(processes: value))
        case .tasks: answer.hasToldTasks = true
        case .queues: answer.hasToldQueues = true
        }
        answers[node] = answer
    }

    /// Everybody who was waited for has answered, and somebody was.
    var isComplete: Bool {
        !awaited.isEmpty && awaited.allSatisfy { answers[$0]?.isComplete(parts) == true }
            && answers.values.allSatisfy { $0.isComplete(parts) }
    }

    /// Those that have answered everything.
    var answered: Set<String> { Set(answers.filter { $0.value.isComplete(parts) }.keys) }

    /// Nobody is known who could answer.
    var expectsNobody: Bool { expected.isEmpty }

    /// What was said about one of the attempts.
    func finding(of id: TaskID) -> Finding {
        var finding = Finding()
        for (node, answer) in answers {
            guard answer.isComplete(parts) else {
                finding.silent.insert(node)
                continue
            }
            finding.answered.insert(node)
            if let before = answer.before, before[id] == nil { finding.deniedBefore.insert(node) }
            if answer.active != nil { finding.saidActivity.insert(node) }
            let processes = answer.processes ?? nil
            // A process that is at something else has left this one behind.
            let others = Set((answer.active ?? [:]).filter { $0.value != id }.keys)
            finding.pools[node] = processes?.subtracting(others)
            if let process = answer.before?[id]?.process ?? answer.query?[id]?.process {
                finding.processes[node] = process
            }
            guard let holding = answer.query?[id] ?? answer.scheduled?[id] else {
                finding.denials += 1
                continue
            }
            if holding.state == .ready, !holding.mayRun(in: processes) {
                finding.denials += 1
                continue
            }
            finding.holders[node] = holding
            if holding.mayRun(in: processes) { finding.running.insert(node) }
        }
        finding.silent.formUnion(expected.filter { answers[$0] == nil })
        return finding
    }
}
