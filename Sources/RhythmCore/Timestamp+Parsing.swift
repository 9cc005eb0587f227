extension Timestamp {
    /// Reads an ISO 8601 date (`2026-01-02`, midnight UTC) or date and time (`2026-01-02T03:04:05.678Z`, with `Z`, an
    /// offset such as `+01:00`, or neither for UTC); nil for anything else.
    public init?(iso8601 text: String) {
        var reader = DigitReader(text)
        guard let year = reader.number(digits: 4), reader.skip("-"), let month = reader.number(digits: 2),
            reader.skip("-"), let day = reader.number(digits: 2), (1...12).contains(month),
            (1...Self.days(in: month, of: year)).contains(day)
        else { return nil }
        var microseconds = Self.days(year: year, month: month, day: day) * 86_400_000_000
        if !reader.atEnd {
            guard reader.skip("T") || reader.skip("t") || reader.skip(" "), let time = reader.time(),
                let offset = reader.offset(), reader.atEnd
            else { return nil }
            microseconds += time - offset
        }
        self.init(microseconds: microseconds)
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }

    /// The day number of a proleptic Gregorian date, by Howard Hinnant's `days_from_civil`
    /// (https://howardhinnant.github.io/date_algorithms.html).
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// Takes digits and signs from the front of a text.
private struct DigitReader {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = Substring(text).utf8 }

    var atEnd: Bool { rest.isEmpty }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, UInt32(first) == character.value else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func number(digits: Int) -> Int64? {
        let head = rest.prefix(digits)
        guard head.count == digits, head.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        rest = rest.dropFirst(digits)
        return head.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }

    /// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`, in microseconds.
    mutating func time() -> Int64? {
        guard let hour = number(digits: 2), hour < 24, skip(":"), let minute = number(digits: 2), minute < 60 else {
            return nil
        }
        var microseconds = (hour * 60 + minute) * 60_000_000
        guard skip(":") else { return microseconds }
        guard let second = number(digits: 2), second <= 60 else { return nil }
        microseconds += second * 1_000_000
        guard skip(".") else { return microseconds }
        var scale: Int64 = 100_000
        guard let first = number(digits: 1) else { return nil }
        microseconds += first * scale
        while let digit = number(digits: 1) {
            scale /= 10
            microseconds += digit * scale
        }
        return microseconds
    }

    /// `Z`, `+HH:MM`, `-HH:MM` or nothing, in microseconds.
    mutating func offset() -> Int64? {
        if atEnd || skip("Z") || skip("z") { return 0 }
        let sign: Int64 = if skip("+") { 1 } else if skip("-") { -1 } else { 0 }
        guard sign != 0, let hour = number(digits: 2), hour < 24 else { return nil }
        _ = skip(":")
        guard let minute = number(digits: 2), minute < 60 else { return nil }
        return sign * (hour * 60 + minute) * 60_000_000
    }
}
