/// A point in time: microseconds since 1970-01-01T00:00:00Z. The core never reads a clock; every time comes in.
public struct Timestamp: Hashable, Sendable, Comparable {
    /// Microseconds since the Unix epoch, UTC.
    public var microseconds: Int64

    /// Makes a point in time from microseconds since the Unix epoch.
    public init(microseconds: Int64) { self.microseconds = microseconds }

    /// Earlier is less.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.microseconds < rhs.microseconds }

    /// The point in time that lies `duration` later; stops at the ends of the representable range.
    public static func + (lhs: Self, rhs: Duration) -> Self {
        let (sum, overflow) = lhs.microseconds.addingReportingOverflow(rhs.wholeMicroseconds)
        return Timestamp(microseconds: overflow ? (rhs < .zero ? .min : .max) : sum)
    }

    /// How long after `rhs` this point lies; never negative, because clocks step back.
    public func since(_ earlier: Self) -> Duration {
        let (difference, overflow) = microseconds.subtractingReportingOverflow(earlier.microseconds)
        return .microseconds(overflow ? (self < earlier ? 0 : .max) : max(0, difference))
    }
}

extension Duration {
    /// The duration in whole microseconds, cut towards zero and limited to what 64 bits hold.
    public var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        let (micros, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carry) = micros.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        return carry ? (seconds < 0 ? .min : .max) : sum
    }

    /// The duration in whole milliseconds, cut towards zero.
    public var wholeMilliseconds: Int64 { wholeMicroseconds / 1000 }

    /// The duration in seconds, for arithmetic on rates.
    public var inSeconds: Double { Double(wholeMicroseconds) / 1_000_000 }
}

extension Timestamp {
    /// ISO 8601 in UTC with microseconds, such as `2026-01-02T03:04:05.678901Z`.
    public var iso8601: String {
        var days = microseconds / 86_400_000_000
        var rest = microseconds % 86_400_000_000
        if rest < 0 {
            rest += 86_400_000_000
            days -= 1
        }
        let (year, month, day) = Self.civil(daysSinceEpoch: days)
        let seconds = rest / 1_000_000
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2))"
            + ":\(pad(seconds % 60, 2)).\(pad(rest % 1_000_000, 6))Z"
    }

    /// The proleptic Gregorian date of a day number, by Howard Hinnant's `civil_from_days`
    /// (https://howardhinnant.github.io/date_algorithms.html).
    private static func civil(daysSinceEpoch: Int64) -> (Int64, Int64, Int64) {
        let shifted = daysSinceEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private func pad(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
