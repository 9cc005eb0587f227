/// How far an attempt says it is.
public struct ProgressReport: Sendable, Hashable {
    /// What is being counted, for people.
    public var name: String
    /// How much is done, in `units`.
    public var done: Double
    /// How much there is to do; nil if unknown.
    public var total: Double?
    /// What `done` and `total` count.
    public var units: String
    /// When it was reported.
    public var at: Timestamp
    /// What the task has reported, as an object, if the rest does not say all of it; nil if it does.
    public var reported: JSON?
    /// It says how much is done; otherwise `done` means nothing.
    public var isCounted: Bool

    /// Makes a report.
    public init(
        name: String = "", done: Double, total: Double? = nil, units: String = "", at: Timestamp,
        reported: JSON? = nil, isCounted: Bool = true
    ) {
        self.reported = reported
        self.isCounted = isCounted
        self.name = name
        self.done = done
        self.total = total
        self.units = units
        self.at = at
    }
}

/// The progress of an attempt with what follows from it: how far, how fast, how long yet.
///
/// The rate is an exponentially weighted mean of the rates between reports: what came before counts 0.9, the newest
/// sample 0.1. After n samples the weights add up to 1 - 0.9^n, so the mean is divided by that sum; without this
/// correction the first estimates would be far too low.
public struct Progress: Sendable, Hashable {
    /// The weight of what came before the newest sample.
    static let alpha = 0.9

    /// What is being counted.
    public private(set) var name: String
    /// How much is done.
    public private(set) var done: Double
    /// How much there is to do; nil if unknown.
    public private(set) var total: Double?
    /// What is counted.
    public private(set) var units: String
    /// What the task has reported last, as an object, if the rest does not say all of it; nil if it does.
    public private(set) var reported: JSON?
    /// The task says how much is done; otherwise `done` means nothing.
    public private(set) var isCounted: Bool
    /// When the first report came.
    public private(set) var firstAt: Timestamp
    /// When the latest report came.
    public private(set) var updatedAt: Timestamp
    /// `done` at the first report.
    public private(set) var firstDone: Double
    /// The weighted mean before its correction, and the sum of its weights.
    public private(set) var weightedSum: Double
    /// The sum of the weights in `weightedSum`.
    public private(set) var weight: Double

    /// The progress that a first report makes.
    public init(_ report: ProgressReport) {
        name = report.name
        done = report.done.isFinite ? report.done : 0
        total = report.total.flatMap { $0.isFinite && $0 > 0 ? $0 : nil }
        units = report.units
        reported = report.reported
        isCounted = report.isCounted
        firstAt = report.at
        updatedAt = report.at
        firstDone = done
        weightedSum = 0
        weight = 0
    }

    /// Takes the next report. One that goes backwards, or counts something else, starts the rates anew; one older
    /// than the latest is dropped.
    /// - Returns: whether anything changed.
    public mutating func update(_ report: ProgressReport) -> Bool {
        guard report.at >= updatedAt, report.done.isFinite else { return false }
        guard report.isCounted, isCounted else {
            if report.isCounted == isCounted, report.reported == reported, report.name == name { return false }
            let first = firstAt
            self = Progress(report)
            if !isCounted { firstAt = first }
            return true
        }
        guard report.name == name, report.units == units, report.done >= done else {
            self = Progress(report)
            return true
        }
        let elapsed = report.at.since(updatedAt).inSeconds
        let newTotal = report.total.flatMap { $0.isFinite && $0 > 0 ? $0 : nil }
        // A runner may tell the same report again, such as the last one together with the end.
        if elapsed == 0, report.done == done, newTotal == total, report.reported == reported { return false }
        if elapsed > 0 {
            weightedSum = Self.alpha * weightedSum + (1 - Self.alpha) * (report.done - done) / elapsed
            weight = Self.alpha * weight + (1 - Self.alpha)
            updatedAt = report.at
        }
        done = report.done
        total = newTotal
        reported = report.reported
        return true
    }

    /// `done` of `total`, between 0 and 1; nil without a total.
    public var fractionDone: Double? { total.map { min(1, max(0, done / $0)) } }

    /// Units a second, newest samples first; nil before the second report.
    public var weightedRate: Double? { weight > 0 ? Self.finite(weightedSum / weight) : nil }

    /// Units a second since the first report; nil before any time passed.
    public var averageRate: Double? {
        let elapsed = updatedAt.since(firstAt).inSeconds
        return isCounted && elapsed > 0 ? Self.finite((done - firstDone) / elapsed) : nil
    }

    /// Nobody can be told of an infinite rate.
    private static func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }

    /// Seconds until `total` at the present rate; nil if nobody can say.
    public var timeRemaining: Double? {
        guard let total else { return reportedNumber("time_remaining_sec") }
        if done >= total { return 0 }
        guard let rate = weightedRate, rate > 0 else { return nil }
        return Self.finite((total - done) / rate)
    }
}

extension Progress {
    /// Everything a store has to keep.
    public struct State: Sendable, Hashable {
        public var name, units: String
        public var done: Double
        public var total: Double?
        public var firstAt, updatedAt: Timestamp
        public var firstDone, weightedSum, weight: Double
        public var reported: JSON?

        /// Makes a state.
        public init(
            name: String, units: String, done: Double, total: Double?, firstAt: Timestamp, updatedAt: Timestamp,
            firstDone: Double, weightedSum: Double, weight: Double, reported: JSON? = nil
        ) {
            self.reported = reported
            self.name = name
            self.units = units
            self.done = done
            self.total = total
            self.firstAt = firstAt
            self.updatedAt = updatedAt
            self.firstDone = firstDone
            self.weightedSum = weightedSum
            self.weight = weight
        }
    }

    /// What a store has to keep.
    public var state: State {
        State(
            name: name, units: units, done: done, total: total, firstAt: firstAt, updatedAt: updatedAt,
            firstDone: firstDone, weightedSum: weightedSum, weight: weight, reported: reported)
    }

    /// Progress read back from a store.
    public init(restoring state: State) {
        name = state.name
        done = state.done
        total = state.total
        units = state.units
        firstAt = state.firstAt
        updatedAt = state.updatedAt
        firstDone = state.firstDone
        weightedSum = state.weightedSum
        weight = state.weight
        reported = state.reported
        isCounted = state.reported.map { Self.counts($0) } ?? true
    }
}
