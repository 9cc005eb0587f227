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
    var offered: [WorkflowID: WorkflowStatus] = [:]
    private let bookmarkInterval: UInt64
    let maxWorkflows: Int
    private var lastWaiter: UInt64 = 0
    /// Workflows that are being read from the store because other servers have changed them.
    var foreignReads: [WorkflowID: ForeignRead] = [:]

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
            // The server that made the others has not told of them.
            if topic.version < workflow.version { noticed(workflow.id, version: workflow.version) }
            tellFollowers(of: topic)
            wakeWaiters(of: topic)
            discardIfUnused(topic)
        }
        if !filterWatches.isEmpty { offer(workflow) }
    }

    func removed(_ id: WorkflowID) {
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
        look(for: watch)
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

    /// - Parameter wait: how long to wait if the store does not have the version either.
    private func begin(
        _ cursor: Cursor, with workflow: Workflow, after version: Int64?, wait: Duration = ServerCore.firstWait
    ) {
        cursor.status = workflow.status
        guard let version else {
            cursor.snapshot = workflow
            cursor.state = .live
            cursor.watch.wake(cursor)
            return
        }
        if version > workflow.version, server.engine.isShared, wait <= ServerCore.lastWait {
            return lookForVersion(version, of: cursor, wait: wait)
        }
        guard version >= 0, version <= workflow.version else {
            cursor.watch.call.connection.fail(
                cursor.watch.call, workflow.hasNot(version, "targets.after_version"))
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

    /// A watch comes from a server that had more recent news: the store has them, or will any moment now.
    private func lookForVersion(_ version: Int64, of cursor: Cursor, wait: Duration) {
        let call = cursor.watch.call
        server.onBehalf(of: call) {
            server.readFollowed(cursor.id, withFollower: false, within: call.scope) { [unowned self] result in
                guard !call.isEnded else { return }
                switch result {
                case .failure(let error): call.connection.fail(call, error)
                case .success(let found) where found.workflow.version >= version:
                    begin(cursor, with: found.workflow, after: version)
                case .success(let found):
                    server.timers.schedule(after: wait) { [unowned self] in
                        guard !call.isEnded else { return }
                        begin(cursor, with: found.workflow, after: version, wait: wait * 2)
                    }
                }
            }
        }
    }
}

// MARK: Following

extension WatchHub {
    func follow(_ cursor: Cursor, version: Int64?) {
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
