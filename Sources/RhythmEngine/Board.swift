import RhythmCore
import Synchronization

/// What is true now, for readers on any thread.
final class Board: Sendable {
    private struct State {
        var active: [WorkflowID: Workflow] = [:]
        var observers: [@Sendable (Publication) -> Void] = []
        var trouble: StoreError?
        var peersTrouble: String?
    }

    private let state = Mutex(State())

    func workflow(_ id: WorkflowID) -> Workflow? { state.withLock { $0.active[id] } }
    func all() -> [Workflow] { state.withLock { Array($0.active.values) } }
    var count: Int { state.withLock { $0.active.count } }
    func add(_ observer: @escaping @Sendable (Publication) -> Void) { state.withLock { $0.observers.append(observer) } }

    var trouble: StoreError? {
        get { state.withLock { $0.trouble } }
        set { state.withLock { $0.trouble = newValue } }
    }

    /// Why news of other servers do not come.
    var peersTrouble: String? { state.withLock { $0.peersTrouble } }

    /// - Returns: what it was before.
    func setPeersTrouble(_ trouble: String?) -> String? {
        state.withLock { state in
            defer { state.peersTrouble = trouble }
            return state.peersTrouble
        }
    }

    func publish(_ publication: Publication) {
        let observers = state.withLock { state in
            for change in publication.changes {
                state.active[change.workflow.id] = change.workflow.isSettled ? nil : change.workflow
            }
            for update in publication.progress {
                guard let position = state.active[update.workflowID]?.position(of: update.taskID) else { continue }
                state.active[update.workflowID]?[position].progress = update.progress
            }
            for id in publication.deleted + publication.released { state.active[id] = nil }
            return state.observers
        }
        for observer in observers { observer(publication) }
    }
}
