import RhythmCore

/// How the arguments of an attempt have to look, by the kind of its task.
///
/// Tasks whose base class is the original library's `WorkflowTask` load, and when they end rewrite, the document in
/// `workflow_meta` that their `workflow_id` names, and send the step after theirs. Given the id of a workflow of ours
/// they would overwrite its record and start its next step behind our back; given none they may act on what they
/// remember of an earlier workflow. So they are given the id of a document of their own, with one step
/// (``PrivateDocument``). Plain tasks are given the real id, because that is what they are promised.
///
/// Which kind a task is, its worker says: the remote control command `registered` shows attributes of task objects, and
/// the methods of `WorkflowTask` show their class. Whatever is not known to be plain gets the private document: that is
/// safe for either kind, as a plain task sees nothing but another id.
///
/// The same answer says whether a task's documents tell that it has begun (`track_started`), whether its messages are
/// acknowledged only when it ends (`acks_late`), and how many of it a worker begins in a time (`rate_limit`).
struct TaskKinds {
    /// What a task is known to be.
    enum Kind: Hashable, Sendable {
        /// Based on the library's class, in at least one worker.
        case library
        /// Known to a worker, and to none as the library's.
        case plain
    }

    /// The attributes to ask for: any one of them gives the library away, even where a subclass replaces the others.
    static let attributes = [
        "update_progress", "before_start", "on_success", "on_failure", "track_started", "acks_late", "rate_limit",
    ]
    private static let libraryMark = "WorkflowTask."
    private static let trackingMark = "track_started=True"
    private static let lateMark = "acks_late=True"
    private static let limitMark = "rate_limit="

    private struct Task {
        var kind: Kind
        var tracksStart: Bool
        var acknowledgesLate: Bool
        /// As the worker wrote it, such as `10/m`; nil if there is none.
        var limit: String?
    }

    private var workers: [String: [String: Task]] = [:]
    /// Tasks that some worker has run without saying that they begin, whatever has become of it.
    private var untracked: Set<String> = []

    /// Takes a worker's answer to `registered`: a list of `NAME` or `NAME [attribute=text ...]`.
    mutating func learn(_ answer: JSONValue, of worker: String) {
        guard let entries = answer.arrayValue else { return }
        var tasks: [String: Task] = [:]
        for case .string(let entry) in entries {
            let (name, attributes) = Self.parts(of: entry)
            // What a worker took while there was a limit leaves it at that speed, also after the limit was lifted.
            tasks[name] = Task(
                kind: attributes.contains(Self.libraryMark) ? .library : .plain,
                tracksStart: attributes.contains(Self.trackingMark),
                acknowledgesLate: attributes.contains(Self.lateMark),
                limit: Self.limit(attributes) ?? workers[worker]?[name]?.limit)
            if tasks[name]?.tracksStart == false { untracked.insert(name) }
        }
        workers[worker] = tasks
    }

    /// A task's name, which may hold brackets of its own, and what is said of it.
    private static func parts(of entry: String) -> (name: String, attributes: Substring) {
        for attribute in attributes {
            guard let found = entry.firstRange(of: " [\(attribute)=") else { continue }
            return (String(entry[..<found.lowerBound]), entry[entry.index(after: found.lowerBound)...])
        }
        return (entry, "")
    }

    private static func limit(_ attributes: Substring) -> String? {
        guard let found = attributes.firstRange(of: limitMark) else { return nil }
        let text = attributes[found.upperBound...].prefix { $0 != " " && $0 != "]" }
        guard let number = text.split(separator: "/").first.flatMap({ Double($0) }), number > 0 else { return nil }
        return String(text)
    }

    /// Forgets a worker that is gone.
    mutating func forget(_ worker: String) { workers[worker] = nil }

    /// Whether a worker knows one of these tasks.
    func knows(_ worker: String, anyOf names: Set<String>) -> Bool {
        workers[worker].map { tasks in names.contains { tasks[$0] != nil } } ?? false
    }

    /// Whether a worker has told its tasks.
    func knows(_ worker: String) -> Bool { workers[worker] != nil }

    /// What a task is; nil if no worker that has told its tasks knows it.
    subscript(task: String) -> Kind? {
        var found: Kind?
        for tasks in workers.values {
            switch tasks[task]?.kind {
            case .library: return .library
            case .plain: found = .plain
            case nil: break
            }
        }
        return found
    }

    /// The limit that a worker keeps to with a task; nil if there is none, or the worker has not told its tasks.
    func limit(of task: String, in worker: String) -> String? { workers[worker]?[task]?.limit }

    /// Whether some worker keeps to a limit with a task.
    func isLimited(_ task: String) -> Bool { workers.values.contains { $0[task]?.limit != nil } }

    /// Whether some worker acknowledges the messages of a task only when it ends, so that one that has begun may come
    /// to another worker.
    func acknowledgesLate(_ task: String) -> Bool { workers.values.contains { $0[task]?.acknowledgesLate == true } }

    /// Whether the documents of a task have always said that it has begun, wherever it ran.
    func hasAlwaysTracked(_ task: String) -> Bool { tracksStart(task) == true && !untracked.contains(task) }

    /// Whether the documents of a task say that it has begun, wherever it runs; nil if no worker that has told its tasks
    /// knows it.
    func tracksStart(_ task: String) -> Bool? {
        var isKnown = false
        for tasks in workers.values {
            guard let found = tasks[task] else { continue }
            if !found.tracksStart { return false }
            isKnown = true
        }
        return isKnown ? true : nil
    }
}
