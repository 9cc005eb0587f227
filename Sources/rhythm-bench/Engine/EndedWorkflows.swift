import RhythmCore
import RhythmEngine
import Synchronization

/// Keeps the records of workflows as they end.
final class EndedWorkflows: Sendable {
    private let workflows = Mutex<[Workflow]>([])

    init(_ service: EngineService) {
        service.observe { [weak self] publication in
            let ended = publication.changes.map(\.workflow).filter { $0.endedAt != nil }
            if !ended.isEmpty { self?.workflows.withLock { $0 += ended } }
        }
    }

    /// Those that ended since the last time.
    func take() -> [Workflow] {
        workflows.withLock { workflows in
            defer { workflows = [] }
            return workflows
        }
    }
}
