import Dispatch
import Synchronization

/// Lets reads in until the store closes, which waits for those that are under way. The pool does not keep them apart by
/// itself: a read that waits for a connection while the pool closes is given a closed one, and SQLite then follows a null
/// pointer. Any thread.
final class ReadGate: Sendable {
    private let isClosed = Mutex(false)
    private let underWay = DispatchGroup()

    /// - Returns: false if the store is closed; else ``leave()`` has to follow.
    func enter() -> Bool {
        isClosed.withLock { isClosed in
            guard !isClosed else { return false }
            underWay.enter()
            return true
        }
    }

    func leave() { underWay.leave() }

    /// Nobody comes in any more; returns when all have left.
    func close() {
        isClosed.withLock { $0 = true }
        underWay.wait()
    }
}
