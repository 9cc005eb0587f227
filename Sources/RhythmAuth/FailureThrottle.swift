/// Makes failed attempts slow: each failure of one address is answered later than the one before. What is right is never
/// delayed, so nobody can lock out others of the same address.
///
/// A value without a clock: times are any nanoseconds that only grow. Bounded, whatever comes in.
package struct FailureThrottle: Sendable {
    /// What to do with a failed attempt.
    package enum Verdict: Sendable, Hashable {
        /// Answer after this time, then call ``release(_:)``.
        case answer(after: Duration)
        /// Too many of them wait already: hang up without an answer.
        case hangUp
    }

    private struct Entry {
        var failures = 0
        var waiting = 0
        var lastAt: UInt64
    }

    /// The wait after a first failure; each further one doubles it.
    package static let firstDelay = Duration.milliseconds(200)
    /// Shorter than the time that clients wait for the answer to their hello.
    package static let longestDelay = Duration.seconds(3)
    /// An address without failures for this long begins anew.
    package static let memory = Duration.seconds(300)
    /// Addresses that are remembered.
    package static let addressesMax = 1024
    /// Answers that wait at once, of one address and of all.
    package static let waitingMax = 8
    package static let waitingMaxOfAll = 256

    private var entries: [String: Entry] = [:]
    private var waiting = 0
    /// Failed attempts in all.
    package private(set) var total: UInt64 = 0

    package init() {}

    /// How many addresses it remembers.
    package var count: Int { entries.count }

    /// How often an address failed, as far as it is remembered.
    package func failures(of address: String) -> Int { entries[address]?.failures ?? 0 }

    /// An attempt failed.
    package mutating func fail(_ address: String, at now: UInt64) -> Verdict {
        total += 1
        makeRoom(for: address, at: now)
        var entry = entries[address] ?? Entry(lastAt: now)
        entry.failures += 1
        entry.lastAt = now
        defer { entries[address] = entry }
        guard entry.waiting < Self.waitingMax, waiting < Self.waitingMaxOfAll else { return .hangUp }
        entry.waiting += 1
        waiting += 1
        let doublings = min(entry.failures - 1, 16)
        return .answer(after: min(Self.longestDelay, Self.firstDelay * (1 << doublings)))
    }

    /// An answer that waited went out, or its connection is gone.
    package mutating func release(_ address: String) {
        waiting = max(0, waiting - 1)
        guard let count = entries[address]?.waiting else { return }
        entries[address]?.waiting = max(0, count - 1)
    }

    /// Forgets what is old; if that is not enough, whoever failed the longest ago.
    private mutating func makeRoom(for address: String, at now: UInt64) {
        let memory = UInt64(Self.memory.components.seconds) * 1_000_000_000
        if let entry = entries[address] {
            if now &- entry.lastAt > memory { entries[address]?.failures = 0 }
            return
        }
        guard entries.count >= Self.addressesMax else { return }
        entries = entries.filter { $0.value.waiting > 0 || now &- $0.value.lastAt <= memory }
        while entries.count >= Self.addressesMax,
            let oldest = entries.min(by: { $0.value.lastAt < $1.value.lastAt })
        {
            entries[oldest.key] = nil
        }
    }
}
