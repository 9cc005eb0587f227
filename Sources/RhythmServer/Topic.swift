import DequeModule
import RhythmCore
import RhythmEngine
import RhythmWire

/// One workflow that somebody watches: its latest transitions and progress, encoded once for all watches.
///
/// Keeps only the newest transitions. A watch that is further behind reads what it missed from the store, so a slow
/// reader costs no memory here.
final class Topic {
    /// How many transitions are kept for watches that are a little behind.
    static let keptEvents = 64
    /// So many more for each watch: where many are behind, each would read the same from the store.
    private static let keptEventsPerWatch = 8
    private static let keptEventsMax = 4096

    /// The latest progress of one step.
    struct ProgressItem {
        /// Orders all progress of the workflow; a watch remembers the highest it has sent.
        let sequence: UInt64
        /// The workflow's version when it was reported: it belongs behind that transition.
        let version: Int64
        let step: String
        let encoded: EncodedBody
    }

    /// A transition as it goes out.
    struct EventItem {
        let version: Int64
        let status: WorkflowStatus
        let encoded: EncodedBody
    }

    let id: WorkflowID
    /// Versions in a row, the newest last.
    private(set) var events = Deque<EventItem>()
    /// At most one a step, in order of `sequence`.
    private(set) var progress: [ProgressItem] = []
    private(set) var lastSequence: UInt64 = 0
    /// The highest version that was published.
    private(set) var version: Int64
    private(set) var isDeleted = false
    private(set) var followers: [Cursor] = []
    private var isGrouped = true
    /// Its followers have yet to be woken for what has happened.
    var hasNews = false
    /// Calls that wait for the next transition.
    var waiters: [UInt64: () -> Void] = [:]

    init(id: WorkflowID, version: Int64) {
        self.id = id
        self.version = version
    }

    var isUnused: Bool { followers.isEmpty && waiters.isEmpty }

    func append(_ event: Event) {
        // What was committed before this topic was made, or found again after a doubt, may come a second time.
        guard event.version > version else { return }
        if event.version != version + 1 { events.removeAll() }
        version = event.version
        events.append(
            EventItem(
                version: event.version, status: event.status, encoded: EncodedBody(.watchEvent(.transition(event)))))
        let kept = min(Self.keptEvents + Self.keptEventsPerWatch * followers.count, Self.keptEventsMax)
        while events.count > kept { events.removeFirst() }
    }

    func update(_ update: Publication.ProgressUpdate) {
        lastSequence += 1
        progress.removeAll { $0.step == update.step }
        let event = WatchEvent.progress(
            ProgressUpdate(
                workflowID: update.workflowID, step: update.step, taskID: update.taskID, progress: update.progress))
        progress.append(
            ProgressItem(
                sequence: lastSequence, version: update.version, step: update.step,
                encoded: EncodedBody(.watchEvent(event))))
    }

    /// What was told of it is no longer true.
    func reset(version: Int64) {
        events.removeAll()
        progress.removeAll()
        self.version = version
    }

    func add(_ follower: Cursor) {
        if let last = followers.last, last.watch.connection.id > follower.watch.connection.id { isGrouped = false }
        follower.place = followers.count
        followers.append(follower)
    }

    /// Puts those of one connection next to each other.
    func groupFollowers() {
        guard !isGrouped else { return }
        isGrouped = true
        followers.sort { $0.watch.connection.id < $1.watch.connection.id }
        for (place, follower) in followers.enumerated() { follower.place = place }
    }

    func remove(_ follower: Cursor) {
        guard followers.indices.contains(follower.place), followers[follower.place] === follower else { return }
        if follower.place < followers.count - 1 { isGrouped = false }
        followers.swapAt(follower.place, followers.count - 1)
        followers[follower.place].place = follower.place
        followers.removeLast()
    }

    func markDeleted() { isDeleted = true }

    /// The transition with this version; nil if it is no longer, or not yet, here.
    func event(_ version: Int64) -> EventItem? {
        guard let first = events.first, version >= first.version, version <= self.version else { return nil }
        return events[Int(version - first.version)]
    }
}
