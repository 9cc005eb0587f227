import RhythmAuth
import RhythmCore

/// One call of one connection, from its request to its answer. Exactly one reply or status ends it.
final class Call {
    let id: UInt64
    /// What it asks for.
    let name: CallName
    /// When its request was read (uptime, nanoseconds).
    let beganAt: UInt64
    /// It waits for what may never come: a stream, or a status that is to change. A server that goes ends it at once,
    /// and so does a client that has sent its last.
    var isOpenEnded: Bool
    /// A call in the hands of the engine may outlive its connection's socket; what it says then goes nowhere.
    let connection: Connection
    /// What is to be undone when it ends, however it ends.
    var onEnd: (() -> Void)?
    /// The timer of its deadline.
    var deadline: UInt64?
    /// What to do when its time is over, if that is no failure.
    var whenOverdue: (() -> Void)?
    private(set) var isEnded = false
    /// Reads and commands of it that the store and the engine have yet to answer.
    private var work = 0
    /// The workflows it may find: none until it was decided that it is allowed at all.
    var scope = AppScope.only([])

    init(id: UInt64, _ name: CallName, isOpenEnded: Bool, beganAt: UInt64, connection: Connection) {
        self.id = id
        self.name = name
        self.beganAt = beganAt
        self.isOpenEnded = isOpenEnded
        self.connection = connection
    }

    /// Something was begun that goes on if the call ends: it keeps the call's place taken.
    func workBegan() { work += 1 }

    func workEnded() {
        work -= 1
        if isEnded, work == 0 { connection.abandonedCalls -= 1 }
    }

    /// Marks it as ended. Called by its connection, which then sends the last frame.
    func end() {
        guard !isEnded else { return }
        isEnded = true
        if work > 0 { connection.abandonedCalls += 1 }
        onEnd?()
        onEnd = nil
        whenOverdue = nil
    }
}
