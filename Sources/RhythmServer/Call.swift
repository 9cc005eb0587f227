import RhythmCore

/// One call of one connection, from its request to its answer. Exactly one reply or status ends it.
final class Call {
    let id: UInt64
    /// It is answered by many frames and has no end of its own; a server that goes ends it at once.
    let isStream: Bool
    /// Weak, because a call may outlive its connection in the hands of the engine.
    private(set) weak var connection: Connection?
    /// What is to be undone when it ends, however it ends.
    var onEnd: (() -> Void)?
    /// The timer of its deadline.
    var deadline: UInt64?
    private(set) var isEnded = false

    init(id: UInt64, isStream: Bool, connection: Connection) {
        self.id = id
        self.isStream = isStream
        self.connection = connection
    }

    /// Marks it as ended. Called by its connection, which then sends the last frame.
    func end() {
        guard !isEnded else { return }
        isEnded = true
        onEnd?()
        onEnd = nil
    }
}
