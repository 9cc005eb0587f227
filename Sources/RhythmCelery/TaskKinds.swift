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
/// The same answer says whether a task's documents tell that it has begun (`track_started`).
struct TaskKinds {
    /// What a task is known to be.
    enum Kind: Hashable, Sendable {
        /// Based on the library's class, in at least one worker.
        case library
        /// Known to a worker, and to none as the library's.
        case plain
    }

    /// The attributes to ask for: any one of them gives the library away, even where a subclass replaces the others.
    static let attributes = ["update_progress", "before_start", "on_success", "on_failure", "track_started"]
    private static let libraryMark = "WorkflowTask."
    private static let trackingMark = "track_started=True"

    private struct Task {
        var kind: Kind
        var tracksStart: Bool
    }

    private var workers: [String: [String: Task]] = [:]

    /// Takes a worker's answer to `registered`: a list of `NAME` or `NAME [attribute=text ...]`.
    mutating func learn(_ answer: JSONValue, of worker: String) {
        guard let entries = answer.arrayValue else { return }
        var tasks: [String: Task] = [:]
        for case .string(let entry) in entries {
            let parts = entry.split(separator: " [", maxSplits: 1, omittingEmptySubsequences: false)
            let attributes = parts.count > 1 ? parts[1] : ""
            tasks[String(parts[0])] = Task(
                kind: attributes.contains(Self.libraryMark) ? .library : .plain,
                tracksStart: attributes.contains(Self.trackingMark))
        }
        workers[worker] = tasks
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
