import Glibc
public import RhythmCore

/// The machine's wall clock.
public struct SystemClock: EngineClock {
    /// Makes a clock.
    public init() {}

    /// The time now.
    public func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
