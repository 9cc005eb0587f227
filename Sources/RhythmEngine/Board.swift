import RhythmCore
import Synchronization

/// What is true now, for readers on any thread.
final class Board: Sendable {
    private struct State {
        var active: [WorkflowID: Workflow] = [:]
        var observers: [@Sendable (Publication) -> Void] = []
        var lastKnown = LastKnown()
        var trouble: StoreError?
        var peersTrouble: String?
        var muteBecause: String?
        var othersAreMute = false
    }

    private let state = Mutex(State())

    func workflow(_ id: WorkflowID) -> Workflow? { state.withLock { $0.active[id] } }
    /// Also one that another server took over while the store could not be asked.
    func lastKnown(_ id: WorkflowID) -> Workflow? { state.withLock { $0.active[id] ?? $0.lastKnown[id] } }
    func all() -> [Workflow] { state.withLock { Array($0.active.values) } }
    var count: Int { state.withLock { $0.active.count } }
    func add(_ observer: @escaping @Sendable (Publication) -> Void) { state.withLock { $0.observers.append(observer) } }

    var trouble: StoreError? {
        get { state.withLock { $0.trouble } }
        set {
            state.withLock { state in
                state.trouble = newValue
                // The store answers: what it says counts.
                if newValue?.code != .unavailable { state.lastKnown.forgetAll() }
            }
        }
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

    /// Why other servers do not hear of what this one does; nil if they do.
    var muteBecause: String? { state.withLock { $0.muteBecause } }

    func setMute(because reason: String?) { state.withLock { $0.muteBecause = reason } }

    /// Another server is not heard.
    var othersAreMute: Bool { state.withLock { $0.othersAreMute } }

    func publish(_ publication: Publication) {
        let observers = state.withLock { state in
            if let areMute = publication.othersAreMute { state.othersAreMute = areMute }
            for change in publication.changes {
                state.active[change.workflow.id] = change.workflow.isSettled ? nil : change.workflow
                state.lastKnown.forget(change.workflow.id)
            }
            for update in publication.progress {
                guard let position = state.active[update.workflowID]?.position(of: update.taskID) else { continue }
                state.active[update.workflowID]?[position].progress = update.progress
            }
            for id in publication.released {
                guard let last = state.active.removeValue(forKey: id) else { continue }
                if publication.storeIsAway { state.lastKnown.keep(last) }
            }
            for id in publication.deleted {
                state.active[id] = nil
                state.lastKnown.forget(id)
            }
            return state.observers
        }
        for observer in observers { observer(publication) }
    }
}
