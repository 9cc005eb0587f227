/// Lets so many lines a second into the log and counts the rest: a flood of calls or of bad peers must neither fill the
/// disk nor slow the server down.
struct LogThrottle {
    private let perSecond: UInt64
    private var second: UInt64 = 0
    private var count: UInt64 = 0
    /// Left out since the last line that was let in.
    private var leftOut: UInt64 = 0
    /// Left out in all.
    private(set) var total: UInt64 = 0

    init(perSecond: UInt64) { self.perSecond = perSecond }

    /// - Parameter now: uptime in nanoseconds.
    /// - Returns: nil if the line is to be left out; else how many were left out before it.
    mutating func admit(at now: UInt64) -> UInt64? {
        if now / 1_000_000_000 != second {
            second = now / 1_000_000_000
            count = 0
        }
        guard count < perSecond else {
            leftOut += 1
            total += 1
            return nil
        }
        count += 1
        defer { leftOut = 0 }
        return leftOut
    }
}
