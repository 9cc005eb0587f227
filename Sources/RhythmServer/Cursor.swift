import RhythmCore
import RhythmWire

/// How far one watch has got with one workflow. This is all that a watch costs while nothing happens.
final class Cursor {
    enum State {
        /// Something is being read from the store; nothing can be sent before it is there.
        case reading
        /// What comes next is in the topic, or will be.
        case live
        /// Nothing more will come: it was deleted and the watch was told, or it had to make room.
        case ended
    }

    let id: WorkflowID
    let watch: Watch
    /// What it follows; nil before and after. Kept here as well as in the hub, which lets go of it with its workflow:
    /// a new workflow of the same id has a topic of its own.
    var topic: Topic?
    var state = State.reading
    /// The version of the transition to be sent next.
    var next: Int64 = 0
    /// The version that the workflow had when the watch was opened. A topic made then knows nothing of what was before.
    var storedVersion: Int64 = 0
    /// To be sent first: the oldest version that is still kept, for a watch that missed some.
    var gap: Int64?
    /// To be sent before any transition.
    var snapshot: Workflow?
    /// Transitions read from the store, the next one last.
    var backlog: [Event] = []
    /// The highest progress sequence that was sent.
    var sentProgress: UInt64 = 0
    /// Progress that was reported before this version is of no interest: what the watch knows is newer.
    var progressFloor: Int64 = 0
    /// Before this time no progress is sent (uptime, nanoseconds).
    var progressNotBefore: UInt64 = 0
    var progressTimerIsSet = false
    /// The status that the watch was told last.
    var status = WorkflowStatus.pending
    /// It waits in the watch's queue, in front of `nextQueued`.
    var isQueued = false
    var nextQueued: Cursor?
    /// Where it is among those that follow its topic.
    var place = 0

    init(id: WorkflowID, watch: Watch) {
        self.id = id
        self.watch = watch
    }

    /// There may be something to be sent. Never false when there is.
    var mayHaveMore: Bool {
        guard case .live = state, let topic else { return false }
        return snapshot != nil || gap != nil || !backlog.isEmpty || next <= max(topic.version, storedVersion)
            || topic.lastSequence > sentProgress || topic.isDeleted
    }

    /// The watch knows that the workflow is done, or gone.
    var isDone: Bool {
        if case .ended = state { return true }
        if case .reading = state { return false }
        return status.isDone && snapshot == nil && backlog.isEmpty && gap == nil
    }
}
