import Histogram
import Synchronization

/// Collects durations from any thread; three significant digits, up to a minute.
final class Latencies: Sendable {
    private static let nanosecondsMax: UInt64 = 60_000_000_000
    private let histogram = Mutex(Histogram<UInt32>(highestTrackableValue: nanosecondsMax))

    func record(nanoseconds: UInt64) {
        histogram.withLock { _ = $0.record(min(nanoseconds, Self.nanosecondsMax)) }
    }

    func reset() { histogram.withLock { $0.reset() } }

    var count: UInt64 { histogram.withLock { $0.totalCount } }

    func microseconds(atPercentile percentile: Double) -> Double {
        histogram.withLock { Double($0.valueAtPercentile(percentile)) / 1000 }
    }
}
