import RhythmCore
import RhythmEngine
import RhythmWire

/// What the hub shows of workflows that another orchestrator drives, see ``LegacyFollower``.
extension WatchHub {
    /// Workflows to look for, because a watch by filter means them.
    struct LegacySearch: Sendable {
        let filter: WorkflowFilter
        let scope: AppScope
        let limit: Int
    }

    /// Those that somebody follows and this server's engine does not.
    var followedElsewhere: Set<WorkflowID> {
        Set(topics.keys.filter { server.engine.active($0) == nil })
    }

    var legacySearches: [LegacySearch] {
        filterWatches.all.values.compactMap { watch in
            guard var filter = watch.request.filter, !watch.call.isEnded else { return nil }
            let active: Set<WorkflowStatus> = [.pending, .started]
            filter.statuses = filter.statuses.isEmpty ? active : filter.statuses.intersection(active)
            guard !filter.statuses.isEmpty else { return nil }
            return LegacySearch(
                filter: filter, scope: watch.call.scope, limit: min(maxWorkflows, ListQuery.maximumLimit))
        }
    }

    /// Its whole history is known; what watches have seen of it is passed over.
    func show(_ workflow: Workflow, _ history: [Event]) {
        take(workflow, history)
        for cursor in topics[workflow.id]?.followers ?? [] {
            let told = cursor.next - 1
            // It was told of what was written over before this server looked for the first time.
            if told > workflow.version || (told == workflow.version && cursor.status != workflow.status) {
                restart(cursor, with: workflow)
            }
        }
    }

    func show(_ update: Publication.ProgressUpdate) {
        guard let topic = topics[update.workflowID] else { return }
        topic.update(update)
        tellFollowers(of: topic)
    }

    /// What watches have seen of it is no longer true: they begin anew.
    func restart(with workflow: Workflow) {
        guard let topic = topics[workflow.id] else { return }
        topic.reset(version: workflow.version)
        for cursor in topic.followers { restart(cursor, with: workflow) }
        wakeWaiters(of: topic)
    }

    private func restart(_ cursor: Cursor, with workflow: Workflow) {
        // One that waits for a read, or for its first snapshot, will be told what is true then.
        guard case .live = cursor.state, cursor.snapshot == nil else { return }
        cursor.backlog = []
        cursor.gap = workflow.version
        cursor.snapshot = workflow
        cursor.watch.wake(cursor)
    }

    /// Something has become of it that only the store knows.
    func recheck(_ id: WorkflowID) { noticed(id, version: .max) }
}
