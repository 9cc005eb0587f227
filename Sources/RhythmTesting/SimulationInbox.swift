import RhythmEngine
import Synchronization

/// Where a server process keeps reports until its next cycle.
final class SimulationInbox: Sendable {
    private let reports = Mutex<[Report]>([])

    func add(_ more: [Report]) { reports.withLock { $0 += more } }
    func clear() { reports.withLock { $0 = [] } }

    func take() -> [Report] {
        reports.withLock { reports in
            defer { reports = [] }
            return reports
        }
    }
}

/// Counts from 1.
final class Counter: Sendable {
    private let last = Mutex(0)

    func next() -> Int {
        last.withLock { last in
            last += 1
            return last
        }
    }
}
