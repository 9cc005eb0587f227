/// A point on the client's monotonic clock. The state machine never reads a clock; every moment comes in.
package struct Moment: Sendable, Hashable, Comparable {
    /// Since an origin of no meaning.
    package var nanoseconds: UInt64

    /// Makes a moment.
    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.nanoseconds < rhs.nanoseconds }

    /// The moment that lies `duration` later; a negative duration counts as none.
    package static func + (lhs: Self, rhs: Duration) -> Self {
        let (sum, overflow) = lhs.nanoseconds.addingReportingOverflow(UInt64(max(0, rhs.wholeNanoseconds)))
        return Moment(nanoseconds: overflow ? .max : sum)
    }

    /// How long after `earlier` this moment lies; never negative.
    package func since(_ earlier: Self) -> Duration {
        self > earlier ? .nanoseconds(Int64(clamping: nanoseconds - earlier.nanoseconds)) : .zero
    }
}

extension Duration {
    /// Limited to what 64 bits hold.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carry) = nanoseconds.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carry ? .max : sum
    }
}
