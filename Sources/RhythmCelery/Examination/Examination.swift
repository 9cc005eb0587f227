import RhythmAMQP
import RhythmCore
import RhythmEngine

/// Collects what `rhythm doctor` rests on: every worker's answers, a look at every queue that is needed, a look at the
/// database. A value; times count from when the runner began.
struct Examination {
    /// Who wants to know.
    struct Caller: Sendable {
        /// What there is to run.
        var needs: [TaskNeed]
        var answer: @Sendable ([Finding]) -> Void
    }

    /// The commands that every worker is asked.
    enum Part: Hashable, Sendable, CaseIterable {
        case ping, settings, stats, queues, tasks
    }

    /// What one worker answered; nil where it has not.
    struct Answers: Hashable, Sendable {
        /// How long its answer to a ping took.
        var ping: Duration?
        var settings: WorkerSettings?
        var pool: WorkerPool?
        var queues: [WorkerQueue]?
        var tasks: [String: TaskOptions]?
        fileprivate var parts: Set<Part> = []

        /// It answered something.
        var isThere: Bool { !parts.isEmpty }
    }

    let callers: [Caller]
    let begun: Duration
    /// By then it ends, whoever is silent.
    let deadline: Duration
    /// The workers that have to answer before it can end earlier.
    private let expected: Set<String>
    private(set) var answers: [String: Answers] = [:]
    private(set) var queues: [String: QueueInspection] = [:]
    private var openQueues: Set<String>
    private(set) var database: DatabaseState?

    init(for callers: [Caller], queues: Set<String>, expected: Set<String>, begun: Duration, deadline: Duration) {
        self.callers = callers
        self.begun = begun
        self.deadline = deadline
        self.expected = expected
        openQueues = queues
    }

    /// Everybody who is known has answered everything.
    var isComplete: Bool {
        database != nil && openQueues.isEmpty
            && expected.allSatisfy { answers[$0]?.parts.count == Part.allCases.count }
    }

    /// Takes a worker's answer.
    mutating func take(_ part: Part, from node: String, _ value: JSONValue, now: Duration) {
        var answer = answers[node] ?? Answers()
        answer.parts.insert(part)
        switch part {
        case .ping: answer.ping = now - begun
        case .settings: answer.settings = WorkerSettings(value)
        case .stats: answer.pool = WorkerPool(value)
        case .queues: answer.queues = WorkerQueue.read(value)
        case .tasks: answer.tasks = TaskOptions.read(value)
        }
        answers[node] = answer
    }

    /// Takes a look at a queue.
    mutating func take(queue name: String, _ found: QueueInspection) {
        openQueues.remove(name)
        queues[name] = found
    }

    /// Takes a look at the database.
    mutating func take(_ state: DatabaseState) { database = state }
}

/// How the results database does.
enum DatabaseState: Hashable, Sendable {
    /// What a look at it showed.
    struct Seen: Hashable, Sendable {
        var time: Duration
        var isWritable: Bool
        var hasChangeStreams: Bool
        /// How many of the latest results were looked at.
        var results: Int
        /// How many of them have no arguments.
        var bareResults: Int
        /// How many workflows of the library that are not done have a step of a task that is sent bare
        /// (``CeleryConfiguration/bareTasks``), by the task.
        var libraryWorkflows: [String: Int] = [:]
    }

    case answers(Seen)
    case fails(String)
}
