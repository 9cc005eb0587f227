/// So many a second, and ten seconds' worth of them at once; what is beyond that counts as strikes, and the third one is
/// too many. Times are the machine's uptime in nanoseconds.
struct RateLimit {
    private static let strikesMax = 3

    let perSecond: Int
    private var left: Double
    private var lastAt: UInt64
    private var strikes = 0

    init(perSecond: Int, at now: UInt64) {
        self.perSecond = perSecond
        left = Double(perSecond) * 10
        lastAt = now
    }

    /// Takes one more.
    ///
    /// - Returns: whether it is still to be borne.
    mutating func admits(at now: UInt64) -> Bool {
        let passed = Double(now &- lastAt) / 1e9
        lastAt = now
        left = min(Double(perSecond) * 10, left + passed * Double(perSecond))
        if left >= 1 {
            left -= 1
            return true
        }
        strikes += 1
        return strikes < Self.strikesMax
    }
}
