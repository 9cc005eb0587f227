import Glibc
package import RhythmCore

extension Timestamp {
    /// The time of this machine's clock; it may step back.
    package static var wallClock: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
