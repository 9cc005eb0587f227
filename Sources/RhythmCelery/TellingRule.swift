/// When workers are asked to send events of their tasks.
///
/// The events of a short step cost its worker, the broker and the server a third of what the step costs without them,
/// and its end is found as soon by polling; of a long one they spare the second between two reads. Workers that send
/// events anyway (`-E`, or because others have asked) are listened to, except with ``never``.
public enum TaskEvents: String, Sendable, CaseIterable {
    /// Once a worker runs an attempt that takes longer than ``CeleryConfiguration/Times/longAttempt``, or a task whose
    /// documents do not say that it has begun (`track_started`).
    case auto
    /// As soon as it is there.
    case always
    /// Never; polling and change streams alone say when to read.
    case never
}

/// Which workers are asked for task events.
///
/// Nobody is asked to stop: others may be listening by then. A worker that starts anew has forgotten it, and is asked
/// again. A value.
struct TellingRule {
    /// Some workers.
    enum Workers: Hashable, Sendable {
        /// Those that there are, and those to come.
        case all
        case some(Set<String>)
    }

    private let mode: TaskEvents
    private(set) var wanted: Workers
    /// There may be others worth asking.
    var isOpen: Bool { mode == .auto && wanted != .all }

    init(_ mode: TaskEvents) {
        self.mode = mode
        wanted = mode == .always ? .all : .some([])
    }

    /// Whether a worker that has come is to be asked.
    func wants(_ worker: String) -> Bool {
        switch wanted {
        case .all: true
        case .some(let workers): workers.contains(worker)
        }
    }

    /// A worker is worth asking; none has an empty name.
    ///
    /// - Returns: whom to ask now.
    mutating func want(_ worker: String) -> Workers {
        guard isOpen, !worker.isEmpty, case .some(var workers) = wanted, workers.insert(worker).inserted else {
            return .some([])
        }
        wanted = .some(workers)
        return .some([worker])
    }

    /// All are worth asking.
    ///
    /// - Returns: whom to ask now.
    mutating func wantAll() -> Workers {
        guard isOpen else { return .some([]) }
        wanted = .all
        return .all
    }

    /// A worker is gone for good.
    mutating func forget(_ worker: String) {
        guard case .some(var workers) = wanted else { return }
        workers.remove(worker)
        wanted = .some(workers)
    }
}
