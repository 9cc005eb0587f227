import RhythmCore
import RhythmEngine

/// Follows workflows that another orchestrator drives, for whoever watches them or waits for them: nobody tells of their
/// changes, so those that somebody is interested in are read again once a second, all in one go. Lives on the lane.
final class LegacyFollower {
    private static let interval = Duration.seconds(1)

    private unowned let server: ServerCore
    private let desk: LegacyDesk
    /// What was read last, of those that somebody follows.
    private var known: [WorkflowID: LegacyState] = [:]
    /// Ids that somebody follows and that are not the other orchestrator's.
    private var strangers: Set<WorkflowID> = []

    init(_ desk: LegacyDesk, server: ServerCore) {
        self.desk = desk
        self.server = server
    }

    /// Begins; once.
    func start() { scheduleLook() }

    private func scheduleLook() {
        server.timers.schedule(after: Self.interval) { [self] in look() }
    }

    private func look() {
        let hub = server.hub
        let followed = hub.followedElsewhere
        known = known.filter { followed.contains($0.key) }
        strangers.formIntersection(followed)
        let ids = followed.subtracting(strangers).sorted()
        let searches = hub.legacySearches
        guard !ids.isEmpty || !searches.isEmpty else { return scheduleLook() }
        let desk = desk
        server.read { () throws(StoreError) in
            var found: [[WorkflowID]] = []
            for search in searches {
                found.append(try desk.unfinished(search.filter, within: search.scope, limit: search.limit))
            }
            let joining = Set(found.joined()).subtracting(ids).subtracting(followed)
            return .legacy(try desk.states(ids + joining.sorted()))
        } then: { [self] result in
            if case .legacy(let states) = result { take(ids, states) }
            scheduleLook()
        }
    }

    private func take(_ ids: [WorkflowID], _ states: [LegacyState]) {
        let states = Dictionary(states.map { ($0.workflow.id, $0) }, uniquingKeysWith: { first, _ in first })
        for (id, state) in states.sorted(by: { $0.key < $1.key }) where server.engine.active(id) == nil {
            take(state)
        }
        for id in ids where states[id] == nil {
            strangers.insert(id)
            // It was adopted, or deleted.
            if known.removeValue(forKey: id) != nil { server.hub.recheck(id) }
        }
    }

    private func take(_ state: LegacyState) {
        let id = state.workflow.id
        let old = known.updateValue(state, forKey: id)
        if let old, !state.continues(old) {
            server.hub.restart(with: state.workflow)
        } else if old?.history != state.history {
            server.hub.show(state.workflow, state.history)
        }
        for update in state.progress(since: old) { server.hub.show(update) }
    }
}

extension LegacyState {
    /// Whether its history goes on where the other's ends; if not, something in it was written over.
    fileprivate func continues(_ old: LegacyState) -> Bool {
        history.count >= old.history.count
            && zip(history, old.history).allSatisfy { $0.kind == $1.kind && $0.taskID == $1.taskID }
    }

    /// Progress that the other did not have.
    fileprivate func progress(since old: LegacyState?) -> [Publication.ProgressUpdate] {
        workflow.steps.compactMap { step in
            guard let attempt = step.current, let progress = attempt.progress,
                old?.workflow.position(of: attempt.id).map({ old?.workflow[$0].progress }) != progress
            else { return nil }
            return Publication.ProgressUpdate(
                workflowID: workflow.id, step: step.spec.name, taskID: attempt.id, version: workflow.version,
                progress: progress)
        }
    }
}
