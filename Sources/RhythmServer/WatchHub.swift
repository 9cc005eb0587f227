import DequeModule
import RhythmCore
import RhythmEngine
import RhythmWire

/// All watches of a server: takes what the engine publishes, in order, and wakes the watches that it concerns.
final class WatchHub {
    private(set) unowned var server: ServerCore
    private(set) var topics: [WorkflowID: Topic] = [:]
    private var watches: [ObjectIdentifier: Watch] = [:]
    /// Those among them that workflows join as they start.
    private(set) var filterWatches = FilterWatches()
    /// The status in which a workflow was offered to all of those that may mean it. Nothing else of it changes that a
    /// filter looks at, so that it need not be offered again before that does.
    private var offered: [WorkflowID: WorkflowStatus] = [:]
    private let bookmarkInterval: UInt64
    let maxWorkflows: Int
    private var lastWaiter: UInt64 = 0
    /// Workflows of other servers that are being read, with the version that was heard of last.
    private var foreignReads: [WorkflowID: Int64] = [:]

    /// Topics whose followers have yet to be woken.
    private var news = Deque<Topic>()
    /// So many watches on one connection are worth a write of their own.
    private static let manyWatches = 32

    /// Transitions read from the store at once.
    private static let backlogPage = 256

    init(server: ServerCore, bookmarkInterval: Duration, maxWorkflows: Int) {
        self.server = server
        self.bookmarkInterval = UInt64(bookmarkInterval.wholeMicroseconds) * 1000
        self.maxWorkflows = maxWorkflows
    }

    var watchCount: Int { watches.count }

    func now() -> Timestamp { SystemClock().now() }

    /// Takes what one cycle of the engine changed.
    func take(_ publication: Publication) {
        for change in publication.changes {
            take(change.workflow, change.events)
        }
        for change in publication.foreign { noticed(change.id, version: change.version) }
        if publication.mayHaveMissed { recheckForeign() }
        for update in publication.progress {
            guard let topic = topics[update.workflowID] else { continue }
            topic.update(update)
            tellFollowers(of: topic)
        }
        for id in publication.deleted { removed(id) }
    }

    func take(_ workflow: Workflow, _ events: [Event]) {
        if let topic = topics[workflow.id] {
            for event in events { topic.append(event) }
            tellFollowers(of: topic)
            wakeWaiters(of: topic)
            discardIfUnused(topic)
        }
        if !filterWatches.isEmpty { offer(workflow) }
    }

    private func removed(_ id: WorkflowID) {
        offered[id] = nil
        guard let topic = topics.removeValue(forKey: id) else { return }
        topic.markDeleted()
        tellFollowers(of: topic)
        wakeWaiters(of: topic)
    }

    /// Ends the watches that have reached their age.
    func endOldWatches(now: UInt64) {
        guard server.configuration.maxWatchAge != nil else { return }
        for watch in Array(watches.values) { watch.endIfOld(now: now) }
    }

    /// Sends a bookmark on every watch that has been silent for too long.
    func sendBookmarks(now: UInt64) {
        guard now > bookmarkInterval else { return }
        for watch in watches.values { watch.bookmarkIfSilent(since: now - bookmarkInterval) }
    }
}

// MARK: Other servers

extension WatchHub {
    /// Another server has changed a workflow; what it is now is in the store.
    func noticed(_ id: WorkflowID, version: Int64) {
        let known = topics[id]?.version
        guard known.map({ $0 < version }) ?? !filterWatches.isEmpty else { return }
        if foreignReads.updateValue(version, forKey: id) == nil { readForeign(id, after: known ?? version) }
    }

    private func readForeign(_ id: WorkflowID, after known: Int64) {
        let reader = server.engine.reader
        server.read { () throws(StoreError) in
            guard let workflow = try reader.load(id) else { return .workflow(nil) }
            // More than a topic keeps need not be read: who lacks them reads them for himself.
            let after = max(known, workflow.version - Int64(Topic.keptEvents))
            return .foreign(workflow, try reader.events(of: id, after: after, limit: Topic.keptEvents))
        } then: { [unowned self] result in
            let wanted = foreignReads.removeValue(forKey: id)
            switch result {
            case .foreign(let workflow, let events):
                take(workflow, events)
                // It went on while it was read.
                if let wanted, wanted != .max, wanted > workflow.version { noticed(id, version: wanted) }
            case .workflow: removed(id)
            default: break
            }
        }
    }

    /// Reads again what is watched of other servers' workflows: news of them may have been lost.
    func recheckForeign() {
        for id in topics.keys where server.engine.active(id) == nil { noticed(id, version: .max) }
        for watch in filterWatches.all.values { joinForeign(watch) }
    }

    /// The workflows that other servers follow join a filter watch as well.
    private func joinForeign(_ watch: Watch) {
        guard let filter = watch.request.filter else { return }
        var query = ListQuery(filter: filter, limit: min(maxWorkflows, ListQuery.maximumLimit))
        let active: Set<WorkflowStatus> = [.pending, .started]
        query.filter.statuses = filter.statuses.isEmpty ? active : filter.statuses.intersection(active)
        guard !query.filter.statuses.isEmpty else { return }
        let (reader, scope, joined) = (server.engine.reader, watch.call.scope, Set(watch.cursors.keys))
        server.read { [query] () throws(StoreError) in
            var workflows: [Workflow] = []
            for row in try reader.list(query, within: scope).rows where !joined.contains(row.id) {
                if let workflow = try reader.load(row.id) { workflows.append(workflow) }
            }
            return .workflows(workflows)
        } then: { [unowned self] result in
            guard !watch.call.isEnded, case .workflows(let workflows) = result else { return }
            for workflow in workflows { join(workflow, to: watch) }
            watch.endIfDone()
        }
    }
}

// MARK: Opening and ending

extension WatchHub {
    /// Opens a watch: of the workflows it names, and of those that its filter means.
    func open(_ request: WatchProgress, call: Call) {
        guard !request.targets.isEmpty || request.filter != nil else {
            call.connection.fail(
                call,
                RhythmError(
                    .invalidArgument, reason: "TARGETS_OR_FILTER",
                    "name workflows to watch, or give a filter", field: "targets"))
            return
        }
        guard request.targets.count <= maxWorkflows else {
            call.connection.fail(
                call,
                RhythmError(
                    .invalidArgument, reason: "TOO_MANY",
                    "\(request.targets.count) workflows; one watch may follow \(maxWorkflows)", field: "targets"))
            return
        }
        let watch = Watch(request, call: call, server: server)
        watches[ObjectIdentifier(watch)] = watch
        call.onEnd = { [unowned self] in close(watch) }
        for (index, target) in request.targets.enumerated() where watch.cursors[target.workflowID] == nil {
            open(target, at: index, in: watch)
            if call.isEnded { return }
        }
        guard request.filter != nil else { return }
        filterWatches.insert(watch)
        for workflow in server.engine.activeWorkflows().sorted(by: { $0.createdAt < $1.createdAt }) {
            join(workflow, to: watch)
        }
        if server.engine.isShared || server.engine.legacy != nil { joinForeign(watch) } else { watch.endIfDone() }
    }

    private func close(_ watch: Watch) {
        watches[ObjectIdentifier(watch)] = nil
        filterWatches.remove(watch)
        if filterWatches.isEmpty { offered = [:] }
        for cursor in watch.cursors.values { unfollow(cursor) }
        watch.dropAll()
    }

    private func open(_ target: WatchTarget, at index: Int, in watch: Watch) {
        let cursor = Cursor(id: target.workflowID, watch: watch)
        watch.add(cursor)
        // Follow first, read then: whatever is committed after the read is published to this topic.
        follow(cursor, version: server.engine.active(target.workflowID)?.version)
        server.find(target.workflowID, within: watch.call.scope) { [unowned self] result in
            guard !watch.call.isEnded else { return }
            switch result {
            case .success(let workflow): begin(cursor, with: workflow, after: target.afterVersion)
            case .failure(let error) where error.code == .notFound && watch.request.filter != nil:
                // It was there when this watch was interrupted; the others go on. The topic of that id may be a foreign
                // workflow's, so this cursor gets one of its own.
                unfollow(cursor)
                cursor.topic = Topic(id: cursor.id, version: 0)
                cursor.topic?.markDeleted()
                cursor.next = .max
                cursor.state = .live
                watch.wake(cursor)
            case .failure(var error):
                error.field = "targets[\(index)].workflow_id"
                watch.call.connection.fail(watch.call, error)
            }
        }
    }

    private func begin(_ cursor: Cursor, with workflow: Workflow, after version: Int64?) {
        cursor.status = workflow.status
        guard let version else {
            cursor.snapshot = workflow
            cursor.state = .live
            cursor.watch.wake(cursor)
            return
        }
        guard version >= 0, version <= workflow.version else {
            cursor.watch.call.connection.fail(
                cursor.watch.call,
                RhythmError(
                    .outOfRange, reason: "VERSION_AHEAD",
                    "workflow \(workflow.id) has version \(workflow.version); \(version) is not one that it had",
                    field: "targets.after_version"))
            return
        }
        cursor.next = version + 1
        cursor.storedVersion = workflow.version
        cursor.progressFloor = version
        if version < workflow.version {
            readBacklog(of: cursor)
        } else {
            cursor.state = .live
            cursor.watch.wake(cursor)
            cursor.watch.endIfDone()
        }
    }

    /// A workflow that is active joins every filter watch that means it.
    private func offer(_ workflow: Workflow) {
        guard !workflow.isSettled else {
            offered[workflow.id] = nil
            return
        }
        guard offered[workflow.id] != workflow.status else { return }
        var allHaveRoom = true
        for watch in filterWatches.candidates(for: workflow.appID) where !join(workflow, to: watch) {
            allHaveRoom = false
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

// MARK: Following

extension WatchHub {
    private func follow(_ cursor: Cursor, version: Int64?) {
        let topic = topics[cursor.id] ?? Topic(id: cursor.id, version: version ?? 0)
        topics[cursor.id] = topic
        topic.add(cursor)
        cursor.topic = topic
    }

    func unfollow(_ cursor: Cursor) {
        guard let topic = cursor.topic else { return }
        cursor.topic = nil
        topic.remove(cursor)
        discardIfUnused(topic)
    }

    private func discardIfUnused(_ topic: Topic) {
        if topic.isUnused, topics[topic.id] === topic { topics[topic.id] = nil }
    }

    /// Something has happened that its followers may want to know; they are woken at the end of this turn, once however
    /// much it was.
    func tellFollowers(of topic: Topic) {
        guard !topic.hasNews else { return }
        topic.hasNews = true
        news.append(topic)
    }

    /// Wakes those who follow what has happened. Where many watches of one connection do, they send at once, while they
    /// are in the processor's caches and others have yet to be woken.
    func spreadNews() {
        while let topic = news.popFirst() {
            topic.hasNews = false
            topic.groupFollowers()
            var woken = 0
            var connection: Connection?
            for cursor in topic.followers {
                if cursor.watch.connection !== connection {
                    if let connection, woken >= Self.manyWatches { server.flushStreams(of: connection) }
                    connection = cursor.watch.connection
                    woken = 0
                }
                cursor.watch.wake(cursor)
                woken += 1
            }
        }
    }

    func wakeWaiters(of topic: Topic) {
        let waiters = topic.waiters
        topic.waiters = [:]
        for call in waiters.keys.sorted() { waiters[call]?() }
    }

    /// Wakes the cursor when `nanoseconds` have passed.
    func wakeLater(_ cursor: Cursor, after nanoseconds: UInt64) {
        guard !cursor.progressTimerIsSet else { return }
        cursor.progressTimerIsSet = true
        server.timers.schedule(after: .nanoseconds(Int64(nanoseconds) + 1000)) {
            cursor.progressTimerIsSet = false
            cursor.watch.wake(cursor)
        }
    }

    /// Calls `action` after the next transition of the workflow or its deletion, or never if the call ends before.
    func waitForChange(of id: WorkflowID, call: Call, action: @escaping () -> Void) {
        let topic = topics[id] ?? Topic(id: id, version: server.engine.active(id)?.version ?? 0)
        topics[id] = topic
        lastWaiter += 1
        let key = lastWaiter
        topic.waiters[key] = action
        call.onEnd = { [unowned self] in
            topics[id]?.waiters[key] = nil
            if let topic = topics[id] { discardIfUnused(topic) }
        }
    }

    /// Reads what the topic no longer has, or what was missed before the watch was opened.
    func readBacklog(of cursor: Cursor) {
        cursor.state = .reading
        let (id, after, reader) = (cursor.id, cursor.next - 1, server.engine.reader)
        let scope = cursor.watch.call.scope
        server.read { () throws(StoreError) in
            .events(try reader.events(of: id, after: after, limit: Self.backlogPage, within: scope))
        } then: { [unowned self] result in
            guard !cursor.watch.call.isEnded else { return }
            switch result {
            case .events(let events): take(events, for: cursor)
            case .failed(let error): cursor.watch.call.connection.fail(cursor.watch.call, error)
            default: break
            }
        }
    }

    private func take(_ events: [Event], for cursor: Cursor) {
        cursor.state = .live
        if let first = events.first, first.version == cursor.next {
            cursor.backlog = events.reversed()
            cursor.watch.wake(cursor)
            return
        }
        // They are no longer kept: start again with what is true now.
        cursor.state = .reading
        server.find(cursor.id, within: cursor.watch.call.scope) { result in
            guard !cursor.watch.call.isEnded else { return }
            switch result {
            case .success(let workflow):
                cursor.gap = events.first?.version ?? workflow.version
                cursor.snapshot = workflow
                cursor.state = .live
                cursor.watch.wake(cursor)
            case .failure(let error) where error.code == .notFound:
                // Deleted meanwhile. The topic knows, or is about to be told.
                cursor.next = .max  // Nothing of it is left to be read.
                cursor.state = .live
                cursor.watch.wake(cursor)
            case .failure(let error): cursor.watch.call.connection.fail(cursor.watch.call, error)
            }
        }
    }
}
