import Glibc
public import RhythmCore
import Synchronization

/// The clock of an engine: it goes forwards evenly, whatever becomes of the machine's wall clock.
///
/// Alone, it follows the wall clock slowly, because people read its times. With a store that several servers share it
/// follows the store's clock instead, so that all servers mean the same by a time; how the wall clock of this machine is
/// set does not matter then.
public final class SteadyClock: EngineClock {
    /// What another machine's clock said.
    public struct Sample: Sendable, Hashable {
        /// The time over there.
        public var time: Timestamp
        /// When that was, in microseconds since this system was started.
        public var boot: Int64
        /// It may have been so much earlier or later.
        public var uncertainty: Duration

        /// Makes a sample.
        public init(time: Timestamp, boot: Int64, uncertainty: Duration) {
            self.time = time
            self.boot = boot
            self.uncertainty = uncertainty
        }

        /// Asks for a time, and notes when the answer came.
        public static func taken<Failure: Error>(
            _ ask: () throws(Failure) -> Timestamp?
        ) throws(Failure) -> Sample? {
            let before = SteadyClock.boot()
            guard let time = try ask() else { return nil }
            let half = (SteadyClock.boot() - before) / 2
            // Clocks of databases tell milliseconds.
            return Sample(time: time, boot: before + half, uncertainty: .microseconds(half + 1_000))
        }
    }

    private struct State {
        var steady: SteadyTime
        var hasReference = false
        var isAsked = false
        var wallCheckedAt: Int64
    }

    private let state: Mutex<State>
    private let boot: @Sendable () -> Int64
    private let wall: @Sendable () -> Timestamp

    /// How often the wall clock is looked at, and what it may differ before that counts (microseconds).
    private static let wallInterval: Int64 = 1_000_000
    private static let wallTolerance = Duration.milliseconds(20)

    /// Makes a clock that begins with the machine's time.
    public convenience init() { self.init(boot: Self.boot, wall: { .wallClock }) }

    /// - Parameters:
    ///   - boot: microseconds since the system was started; never less than before.
    ///   - wall: the machine's time, which may be set.
    package init(boot: @escaping @Sendable () -> Int64, wall: @escaping @Sendable () -> Timestamp) {
        self.boot = boot
        self.wall = wall
        let now = boot()
        state = Mutex(State(steady: SteadyTime(boot: now, time: wall()), wallCheckedAt: now))
    }

    public func now() -> Timestamp {
        let (now, time) = (boot(), wall())
        return state.withLock { state in
            state.isAsked = true
            if !state.hasReference, now - state.wallCheckedAt >= Self.wallInterval {
                state.wallCheckedAt = now
                state.steady.follow(time, boot: now, uncertainty: Self.wallTolerance)
            }
            return state.steady.now(boot: now)
        }
    }

    /// Follows another clock from now on, and no longer the machine's: at once if nobody has asked for the time yet, else
    /// slowly.
    public func follow(_ sample: Sample) {
        let now = boot()
        state.withLock { state in
            _ = state.steady.now(boot: now)
            if state.isAsked {
                state.steady.follow(sample.time, boot: sample.boot, uncertainty: sample.uncertainty)
            } else {
                state.steady.adopt(sample.time, boot: sample.boot)
            }
            state.hasReference = true
        }
    }

    /// By how much the machine's wall clock is ahead of the clock that is followed; nil if it is that itself.
    public var wallAhead: Duration? {
        let (now, time) = (boot(), wall())
        return state.withLock { state in
            guard state.hasReference else { return nil }
            return .microseconds(state.steady.difference(to: time, boot: now))
        }
    }

    /// Microseconds since the system was started, sleep included.
    package static func boot() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }
}
