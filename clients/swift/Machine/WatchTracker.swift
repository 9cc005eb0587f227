package import RhythmCore
package import RhythmWire

/// What a watch has seen, so that it can go on over a new connection without losing or doubling a transition.
package struct WatchTracker: Sendable {
    private struct Seen: Sendable {
        var version: Int64
        var isDone: Bool
    }

    /// What came of an event.
    package enum Verdict: Sendable, Hashable {
        /// News for the program.
        case deliver(WatchUpdate)
        /// Seen before, or of no interest.
        case drop
        /// A version is missing before it: subscribe anew from the last one that was seen.
        case hole
    }

    /// Filter watches forget workflows that are done once they remember this many; one that was forgotten may show up
    /// again, as a snapshot, after a reconnection.
    package static let remembered = 65_536

    /// After a lost connection a filter watch names at most so many of the workflows that were not done, to learn of each
    /// transition that it missed; a request has to fit into a frame.
    package static let resumedByName = 4096

    private let original: WatchProgress
    private var seen: [WorkflowID: Seen] = [:]
    private var gapped: Set<WorkflowID> = []
    private var deleted: Set<WorkflowID> = []
    /// What the program was told last of workflows that have no place.
    private var limit: (maxWorkflows: Int, leftOut: Int) = (0, 0)
    /// Whether the server ever sent anything; then the watch goes on for ever over lost connections.
    package private(set) var hasStarted = false

    package init(_ request: WatchProgress) {
        original = request
        for target in request.targets {
            if let version = target.afterVersion { seen[target.workflowID] = Seen(version: version, isDone: false) }
        }
    }

    /// What to ask for now; nil if everything that was watched has been deleted.
    package var request: WatchProgress? {
        var next = original
        guard original.filter == nil else {
            next.targets = seen.filter { !$0.value.isDone }.sorted { $0.key < $1.key }.prefix(Self.resumedByName)
                .map { WatchTarget(workflowID: $0.key, afterVersion: gapped.contains($0.key) ? nil : $0.value.version) }
            return next
        }
        next.targets = original.targets.compactMap { target in
            guard !deleted.contains(target.workflowID) else { return nil }
            let id = target.workflowID
            return WatchTarget(workflowID: id, afterVersion: gapped.contains(id) ? nil : seen[id]?.version)
        }
        return next.targets.isEmpty && !original.targets.isEmpty ? nil : next
    }

    /// The request goes out, to whichever server. Another one may have room for all, and says nothing then.
    ///
    /// - Returns: what the program has to be told.
    package mutating func begin() -> WatchUpdate? {
        guard limit.leftOut > 0 else { return nil }
        limit.leftOut = 0
        return .limited(maxWorkflows: limit.maxWorkflows, leftOut: 0)
    }

    /// Takes what the server sent.
    package mutating func take(_ event: WatchEvent) -> Verdict {
        hasStarted = true
        switch event {
        case .snapshot(let snapshot): return take(snapshot)
        case .transition(let event): return take(event)
        case .progress(let update):
            return .deliver(
                .progress(
                    StepProgress(
                        workflowID: update.workflowID, step: update.step, taskID: update.taskID,
                        progress: update.progress)))
        case .gap(let id, let oldestVersion):
            gapped.insert(id)
            return .deliver(.gap(id, oldestVersion: oldestVersion))
        case .deleted(let id):
            return forget(id) ? .deliver(.deleted(id)) : .drop
        case .bookmark: return .drop
        case .limited(let most, let leftOut):
            limit = (Int(most), Int(clamping: leftOut))
            return .deliver(.limited(maxWorkflows: Int(most), leftOut: Int(clamping: leftOut)))
        }
    }

    /// The server does not know this workflow.
    /// - Returns: whether it was watched; then it was deleted meanwhile.
    package mutating func forget(_ id: WorkflowID) -> Bool {
        let known = seen.removeValue(forKey: id) != nil
        gapped.remove(id)
        guard original.filter == nil else { return known }
        return original.targets.contains { $0.workflowID == id } && deleted.insert(id).inserted
    }

    /// The versions that were seen mean nothing to the server: each workflow begins again with a snapshot.
    package mutating func forgetVersions() { gapped = Set(seen.keys) }

    /// The workflow that a NOT_FOUND, as the answer to ``request``, is about; nil if it cannot be told, or if it was
    /// never seen to exist.
    package func target(of error: RhythmError) -> WorkflowID? {
        guard hasStarted, error.code == .notFound, let request else { return nil }
        var id: WorkflowID?
        if request.targets.count == 1 {
            id = request.targets.first?.workflowID
        } else if error.field.hasPrefix("targets["), let end = error.field.firstIndex(of: "]"),
            let index = Int(error.field.dropFirst("targets[".count).prefix(upTo: end)),
            request.targets.indices.contains(index)
        {
            id = request.targets[index].workflowID
        }
        return id.flatMap { seen[$0] == nil ? nil : $0 }
    }

    private mutating func take(_ snapshot: Snapshot) -> Verdict {
        let summary = snapshot.summary
        let wasGapped = gapped.remove(summary.id) != nil
        if let known = seen[summary.id], summary.version <= known.version, !wasGapped { return .drop }
        remember(summary.id, summary.version, isDone: summary.status.isDone)
        return .deliver(.snapshot(WorkflowSnapshot(snapshot)))
    }

    private mutating func take(_ event: Event) -> Verdict {
        if let known = seen[event.workflowID], !gapped.contains(event.workflowID) {
            if event.version <= known.version { return .drop }
            if event.version > known.version + 1 { return .hole }
        }
        remember(event.workflowID, event.version, isDone: event.status.isDone)
        return .deliver(.transition(event))
    }

    private mutating func remember(_ id: WorkflowID, _ version: Int64, isDone: Bool) {
        seen[id] = Seen(version: version, isDone: isDone)
        if original.filter != nil, seen.count > Self.remembered {
            let target = id
            seen = seen.filter { !$0.value.isDone || $0.key == target }
        }
    }
}
