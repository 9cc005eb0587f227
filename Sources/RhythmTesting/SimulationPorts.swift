package import RhythmCore
package import RhythmEngine
import Synchronization

/// The life of one simulated server process. Once it has burnt through, nothing the process does has any effect: so
/// `kill -9` at that very point looks from outside.
package final class SimulationFuse: Sendable {
    private let state = Mutex((left: Int.max, isBurnt: false))

    package init() {}

    /// Burns through after so many more passes.
    package func arm(after passes: Int) { state.withLock { $0.left = passes } }

    /// Burns through now.
    package func burn() { state.withLock { $0.isBurnt = true } }

    package var isBurnt: Bool { state.withLock { $0.isBurnt } }

    /// Asked before everything the process does to the world: whether it still lives.
    package func pass() -> Bool {
        state.withLock { state in
            if state.left == 0 { state.isBurnt = true }
            state.left -= 1
            return !state.isBurnt
        }
    }
}

/// A clock that stands still unless it is told to move.
package final class SimulationClock: EngineClock {
    private let time: Mutex<Timestamp>

    package init(_ start: Timestamp = Timestamp(microseconds: 1_800_000_000_000_000)) { time = Mutex(start) }

    package func now() -> Timestamp { time.withLock { $0 } }
    package func advance(by duration: Duration) { time.withLock { $0 = $0 + duration } }
}

/// What happened, in the order in which it happened, for the checks.
package final class SimulationJournal: Sendable {
    package enum Entry: Sendable {
        /// The machine was given an attempt it did not know.
        case dispatched(Dispatch)
        /// A client got an answer to its n-th request.
        case replied(Int, Result<Reply, RhythmError>)
        case published(Publication)
        case problem(String)
        /// Another server process began; its watchers know nothing yet.
        case booted
    }

    private let entries = Mutex<[Entry]>([])

    package init() {}

    package func append(_ entry: Entry) { entries.withLock { $0.append(entry) } }

    package func take() -> [Entry] {
        entries.withLock { entries in
            defer { entries = [] }
            return entries
        }
    }
}
