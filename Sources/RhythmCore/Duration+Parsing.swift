extension Duration {
    /// Reads what people write for a duration: seconds (`90`, `1.5`), or numbers with units (`90s`, `15m`, `2h`, `1d`,
    /// `500ms`, `1h30m`); nil for anything else and for what does not fit.
    public init?(parsing text: String) {
        var seconds = 0.0
        var rest = Substring(text)
        var unitsSeen = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let amount = Double(digits), digits.last != ".", digits.first != "." else { return nil }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(unit.count)
            // Only the last number may stand without a unit, and only if it is the only one.
            guard let factor = Self.seconds(of: unit), !unit.isEmpty || unitsSeen == 0 && rest.isEmpty else {
                return nil
            }
            unitsSeen += 1
            seconds += amount * factor
        }
        self.init(seconds: seconds)
    }

    /// A duration of so many seconds, exact to the microsecond; nil if it is not finite or does not fit.
    public init?(seconds: Double) {
        let microseconds = (seconds * 1_000_000).rounded()
        guard microseconds.isFinite, abs(microseconds) < 9e18 else { return nil }
        self = .microseconds(Int64(microseconds))
    }

    private static func seconds(of unit: Substring) -> Double? {
        switch unit {
        case "ms": 0.001
        case "", "s": 1
        case "m", "min": 60
        case "h": 3600
        case "d": 86_400
        default: nil
        }
    }
}
