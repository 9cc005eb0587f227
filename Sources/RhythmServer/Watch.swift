import RhythmCore
import RhythmEngine
import RhythmWire

/// One WatchProgress call: sends, whenever the peer has room, the next thing it has not seen of one of its workflows.
///
/// For each workflow in order: a gap notice if transitions were lost to it, a snapshot if it needs one, then every
/// transition once and in version order, with the latest progress in between. What waits is a cursor, never a buffer.
final class Watch: OutgoingStream {
    var isQueued = false
    let call: Call
    let callID: UInt64
    /// Its call has ended.
    private var isOver = false
    let request: WatchProgress
    private(set) var cursors: [WorkflowID: Cursor] = [:]
    /// When it last sent anything (uptime, nanoseconds).
    private(set) var lastSentAt: UInt64
    /// Those that may have something to send, a chain: most watches follow one workflow, and need no more than that.
    private var firstQueued: Cursor?
    private var lastQueued: Cursor?
    private var owesBookmark = false
    /// Whether the client has been told, as the last thing of that kind, that something is left out.
    private var toldThatCut = false
    private var owesLimit: Bool { request.tellLimit && (leftOut > 0) != toldThatCut }
    /// Whether it is known what its filter means, in the store too.
    enum Looking {
        case underWay
        /// What was found is not all there is: it has to be looked again.
        case due
        case done
    }
    var looking = Looking.done
    var lookIsScheduled = false
    /// Looks into the store in a row that failed.
    var failedLooks = 0
    /// Workflows that its filter means and that it has no place for, as far as they were counted.
    var leftOut = 0 {
        didSet {
            guard owesLimit, !isOver else { return }
            connection.readyStreams.add(self)
            server.markDirty(connection)
        }
    }
    private let server: ServerCore
    let connection: Connection
    private let progressInterval: UInt64
    /// When it has reached its age (uptime, nanoseconds).
    private let oldAt: UInt64

    init(_ request: WatchProgress, call: Call, server: ServerCore) {
        self.request = request
        self.call = call
        self.server = server
        connection = call.connection
        callID = call.id
        lastSentAt = LaneTimers.now()
        oldAt = Connection.endOfAge(server.configuration.maxWatchAge, from: lastSentAt)
        let wanted = Duration.milliseconds(Int64(request.minProgressIntervalMilliseconds))
        self.progressInterval = UInt64(max(wanted, server.configuration.progressInterval).wholeMicroseconds) * 1000
    }

    func add(_ cursor: Cursor) { cursors[cursor.id] = cursor }

    func drop(_ cursor: Cursor) {
        cursors[cursor.id] = nil
        cursor.state = .ended
    }

    /// Lets go of everything: its call has ended.
    func dropAll() {
        isOver = true
        cursors = [:]
        while takeQueued() != nil {}
    }

    private func takeQueued() -> Cursor? {
        guard let cursor = firstQueued else { return nil }
        firstQueued = cursor.nextQueued
        if firstQueued == nil { lastQueued = nil }
        cursor.nextQueued = nil
        cursor.isQueued = false
        return cursor
    }

    private func queue(_ cursor: Cursor) {
        cursor.isQueued = true
        if let lastQueued { lastQueued.nextQueued = cursor } else { firstQueued = cursor }
        lastQueued = cursor
    }

    /// Something of this workflow may be ready to be sent.
    func wake(_ cursor: Cursor) {
        guard !isOver, !cursor.isQueued else { return }
        queue(cursor)
        connection.readyStreams.add(self)
        server.markDirty(connection)
    }

    /// Ends the watch if it has reached its age; its client goes on where it was.
    func endIfOld(now: UInt64) {
        guard now >= oldAt, !call.isEnded else { return }
        server.statistics.watchesAged += 1
        connection.dismiss(call, .watchAge)
    }

    /// Says that the watch is alive, if it has been silent since `deadline`.
    func bookmarkIfSilent(since deadline: UInt64) {
        guard lastSentAt < deadline, !owesBookmark, !call.isEnded else { return }
        owesBookmark = true
        connection.readyStreams.add(self)
        server.markDirty(connection)
    }

    func sendNext() -> Bool {
        guard !isOver else { return false }
        while let cursor = takeQueued() {
            guard sendNext(of: cursor) else { continue }
            noteSent()
            if cursor.mayHaveMore { queue(cursor) }
            if firstQueued != nil { return true }
        }
        if owesLimit {
            toldThatCut = leftOut > 0
            let most = UInt32(clamping: server.hub.maxWorkflows)
            connection.send(
                .watchEvent(.limited(maxWorkflows: most, leftOut: UInt64(leftOut))), call: callID)
            noteSent()
        }
        if owesBookmark {
            connection.send(.watchEvent(.bookmark(at: server.hub.now())), call: callID)
            noteSent()
        }
        endIfDone()
        return false
    }

    private func noteSent() {
        owesBookmark = false
        lastSentAt = server.now
        server.statistics.eventsSent += 1
    }

    /// Ends the call if that was asked for and every workflow is done or gone.
    func endIfDone() {
        guard !call.isEnded else { return }
        if request.filter != nil {
            // Those that are done make room for others.
            if leftOut > 0, !lookIsScheduled, cursors.values.contains(where: \.isDone) {
                server.hub.lookLater(for: self)
            }
            // That nothing is left out any more is told before the end, by whose turn to send it is.
            guard looking == .done, leftOut == 0, !owesLimit else { return }
        }
        guard request.untilDone, cursors.values.allSatisfy(\.isDone) else { return }
        call.connection.complete(call)
    }

    /// - Returns: whether anything was sent.
    private func sendNext(of cursor: Cursor) -> Bool {
        if case .reading = cursor.state { return false }
        if case .ended = cursor.state { return false }
        if let oldest = cursor.gap {
            cursor.gap = nil
            connection.send(.watchEvent(.gap(cursor.id, oldestVersion: oldest)), call: callID)
            return true
        }
        guard let topic = cursor.topic else { return false }
        if let kept = cursor.snapshot {
            sendSnapshot(of: cursor, kept, topic)
            return true
        }
        if sendProgress(of: cursor, topic) { return true }
        while let event = cursor.backlog.popLast() {
            guard event.version >= cursor.next else { continue }
            cursor.next = event.version + 1
            cursor.status = event.status
            connection.send(.watchEvent(.transition(event)), call: callID)
            return true
        }
        if let item = topic.event(cursor.next) {
            cursor.next += 1
            cursor.status = item.status
            connection.send(item.encoded, call: callID)
            return true
        }
        if topic.isDeleted {
            // What it missed, if anything, is gone with the workflow.
            server.hub.unfollow(cursor)
            drop(cursor)
            connection.send(.watchEvent(.deleted(cursor.id)), call: callID)
            return true
        }
        if cursor.next <= max(topic.version, cursor.storedVersion) { server.hub.readBacklog(of: cursor) }
        return false
    }

    private func sendSnapshot(of cursor: Cursor, _ kept: Workflow, _ topic: Topic) {
        // What is true now rather than what was true when it began to wait; but after a deletion the id may be another
        // workflow's.
        let active = topic.isDeleted ? nil : server.active(cursor.id, within: call.scope)
        let workflow = active ?? kept
        cursor.snapshot = nil
        cursor.next = workflow.version + 1
        cursor.progressFloor = workflow.version
        cursor.status = workflow.status
        // Memory is never behind the topic, so the snapshot holds all progress that is known here.
        if active != nil { cursor.sentProgress = topic.lastSequence }
        connection.send(.watchEvent(.snapshot(Snapshot(workflow))), call: callID)
    }

    /// Progress belongs behind the transition after which it was reported and before the next one, so that the last
    /// progress of an attempt comes before its end.
    private func sendProgress(of cursor: Cursor, _ topic: Topic) -> Bool {
        guard !request.withoutProgress, topic.lastSequence > cursor.sentProgress,
            let item = topic.progress.first(where: {
                $0.sequence > cursor.sentProgress && $0.version >= cursor.progressFloor
            }), item.version < cursor.next
        else { return false }
        let now = server.now
        // What is followed by a transition already is sent without waiting: it is the last of its attempt.
        if now < cursor.progressNotBefore, cursor.next > topic.version {
            server.hub.wakeLater(cursor, after: cursor.progressNotBefore - now)
            return false
        }
        cursor.sentProgress = item.sequence
        cursor.progressNotBefore = now + progressInterval
        connection.send(item.encoded, call: callID)
        return true
    }
}
