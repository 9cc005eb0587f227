import RhythmCore
import RhythmEngine
import RhythmWire

/// How workflows join filter watches: all that are active when the watch begins, and each that becomes so later.
///
/// A watch follows so many workflows and no more. What it has no place for is counted, told to those who want to know, and
/// looked for again as soon as others that are done make room. Until then the watch does not end.
extension WatchHub {
    /// Workflows of one page, and so of one read of the store: the reads of others come in between.
    private static let page = 200
    /// How long a watch waits before it is looked again for what had no place, or could not be read.
    private static let pause = Duration.milliseconds(200)
    /// After so many reads in a row that failed, some 25 s, the watch ends and says why.
    private static let mostFailures = 8
    private static let longestPause = Duration.seconds(5)

    /// Looks for everything that a watch means: among what is followed here, then in the store.
    func look(for watch: Watch) {
        guard let filter = watch.request.filter, !watch.call.isEnded else { return }
        watch.looking = .underWay
        var leftOut = 0
        for workflow in server.engine.activeWorkflows().sorted(by: { $0.createdAt < $1.createdAt }) {
            if !join(workflow, to: watch) { leftOut += 1 }
        }
        let active: Set<WorkflowStatus> = [.pending, .started]
        var query = ListQuery(filter: filter, ascending: true, limit: Self.page)
        query.filter.statuses = filter.statuses.isEmpty ? active : filter.statuses.intersection(active)
        guard server.engine.isShared || server.engine.legacy != nil, !query.filter.statuses.isEmpty else {
            return lookIsOver(for: watch, leftOut: leftOut)
        }
        server.onBehalf(of: watch.call) { readPage(query, of: watch, leftOut: leftOut) }
    }

    private func readPage(_ query: ListQuery, of watch: Watch, leftOut: Int) {
        let (reader, engine, scope) = (server.engine.reader, server.engine, watch.call.scope)
        let joined = Set(watch.cursors.keys)
        let hasRoom = joined.count < maxWorkflows || watch.cursors.values.contains { $0.isDone }
        server.read { () throws(StoreError) in
            let page = try reader.list(query, within: scope)
            let others = page.rows.filter { !joined.contains($0.id) && engine.active($0.id) == nil }
            guard hasRoom else { return .joining([], leftOut: others.count, next: page.next) }
            var workflows: [Workflow] = []
            for row in others {
                do throws(StoreError) {
                    if let workflow = try reader.load(row.id), !workflow.isSettled { workflows.append(workflow) }
                } catch {
                    // One that is damaged moves no more; it is told by whoever asks for it, and by the log of its server.
                    guard error.concernsOneRecord else { throw error }
                }
            }
            return .joining(workflows, leftOut: 0, next: page.next)
        } then: { [unowned self] result in
            guard !watch.call.isEnded else { return }
            if case .failed(let error) = result { return lookFailed(for: watch, error) }
            guard case .joining(let workflows, let counted, let next) = result else { return }
            watch.failedLooks = 0
            let left = leftOut + counted + workflows.count { !join($0, to: watch) }
            guard let next else { return lookIsOver(for: watch, leftOut: left) }
            var query = query
            query.cursor = next
            readPage(query, of: watch, leftOut: left)
        }
    }

    /// What could not be read may be just what the watch is about.
    private func lookFailed(for watch: Watch, _ error: RhythmError) {
        watch.failedLooks += 1
        guard error.code != .dataLoss, watch.failedLooks < Self.mostFailures else {
            return watch.call.connection.fail(watch.call, error)
        }
        watch.looking = .due
        lookLater(for: watch, after: min(Self.longestPause, Self.pause * (1 << watch.failedLooks)))
    }

    private func lookIsOver(for watch: Watch, leftOut: Int) {
        let isDue = watch.looking == .due
        watch.looking = .done
        watch.leftOut = leftOut
        if isDue { lookLater(for: watch) }
        watch.endIfDone()
    }

    /// What is stored may be something else than was seen, or there is room now.
    func lookAgain(for watch: Watch) {
        if watch.looking == .done { look(for: watch) } else { watch.looking = .due }
    }

    /// The same, once for all that happens in a short time.
    func lookLater(for watch: Watch, after pause: Duration = WatchHub.pause) {
        guard !watch.lookIsScheduled else { return }
        watch.lookIsScheduled = true
        server.timers.schedule(after: pause) { [unowned self] in
            watch.lookIsScheduled = false
            if watch.looking == .underWay { watch.looking = .due } else { look(for: watch) }
        }
    }

    /// A workflow that is active joins every filter watch that means it.
    func offer(_ workflow: Workflow) {
        guard !workflow.isSettled else {
            offered[workflow.id] = nil
            return
        }
        guard offered[workflow.id] != workflow.status else { return }
        var allHaveRoom = true
        for watch in filterWatches.candidates(for: workflow.appID) where !join(workflow, to: watch) {
            allHaveRoom = false
            if watch.leftOut == 0 { watch.leftOut = 1 }
        }
        // One without room is asked again when the workflow has moved.
        offered[workflow.id] = allHaveRoom ? workflow.status : nil
    }

    /// - Returns: false if the watch would take it and has no room.
    @discardableResult
    private func join(_ workflow: Workflow, to watch: Watch) -> Bool {
        guard watch.cursors[workflow.id] == nil, watch.request.filter?.matches(workflow) == true,
            watch.call.scope.contains(workflow.appID)
        else { return true }
        if watch.cursors.count >= maxWorkflows {
            // Those that are done make room; a dashboard is about what moves.
            for cursor in Array(watch.cursors.values) where cursor.isDone {
                unfollow(cursor)
                watch.drop(cursor)
            }
            guard watch.cursors.count < maxWorkflows else { return false }
        }
        let cursor = Cursor(id: workflow.id, watch: watch)
        watch.add(cursor)
        follow(cursor, version: workflow.version)
        cursor.snapshot = workflow
        cursor.status = workflow.status
        cursor.state = .live
        watch.wake(cursor)
        return true
    }
}
