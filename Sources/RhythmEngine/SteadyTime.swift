import RhythmCore

/// Time that only goes forwards: it counts what has passed since the system was started, and moves towards a reference so
/// slowly that nothing which waits for a time notices.
///
/// Pure: what the clocks say comes in. A clock that somebody sets, forwards or backwards, moves nothing at once; whoever
/// asked before and asks again is never told an earlier time.
struct SteadyTime: Sendable, Hashable {
    /// It gains or loses at most one part in so many.
    static let share: Int64 = 20

    /// Microseconds since the system was started, and the time then.
    private var boot: Int64
    private var time: Int64
    /// How much it is behind the reference; negative if it is ahead.
    private var owed: Int64 = 0
    /// What has passed and was not used yet for catching up.
    private var credit: Int64 = 0

    /// - Parameters:
    ///   - boot: microseconds since the system was started.
    ///   - time: the time then.
    init(boot: Int64, time: Timestamp) {
        self.boot = boot
        self.time = time.microseconds
    }

    /// The time now.
    mutating func now(boot now: Int64) -> Timestamp {
        let passed = max(0, now - boot)
        boot = max(boot, now)
        time += passed
        if owed != 0 {
            credit += passed
            let step = min(abs(owed), credit / Self.share)
            credit -= step * Self.share
            // Losing, it gives back less than has passed: it never stands still.
            time += owed < 0 ? -step : step
            owed -= owed < 0 ? -step : step
        }
        if owed == 0 { credit = 0 }
        return Timestamp(microseconds: time)
    }

    /// What a reference said at a time, give or take something. It is followed slowly.
    mutating func follow(_ reference: Timestamp, boot at: Int64, uncertainty: Duration) {
        let error = difference(to: reference, boot: at)
        owed = abs(error) <= uncertainty.wholeMicroseconds ? 0 : error
    }

    /// The same, but at once: nobody has been told a time yet.
    mutating func adopt(_ reference: Timestamp, boot at: Int64) {
        time += difference(to: reference, boot: at)
        owed = 0
    }

    /// By how much a reference is ahead (microseconds).
    func difference(to reference: Timestamp, boot at: Int64) -> Int64 { reference.microseconds - (time + (at - boot)) }
}
