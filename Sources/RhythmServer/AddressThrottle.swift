/// Says what is worth a line in the log: once a minute about each address, so that a peer cannot fill the disk with what
/// it does wrong. Times are the machine's uptime in nanoseconds.
struct AddressThrottle {
    private static let minute: UInt64 = 60_000_000_000
    /// Above it everything is forgotten: somebody who has so many addresses writes so many lines a minute at most.
    private static let addressesMax = 4096

    private struct Entry {
        var lastAt: UInt64
        var withheld = 0
    }

    private var entries: [String: Entry] = [:]

    /// - Returns: how many lines about this address were withheld since the one before; nil if this one is withheld too.
    mutating func admits(_ address: String, at now: UInt64) -> Int? {
        if let entry = entries[address], now &- entry.lastAt < Self.minute {
            entries[address]?.withheld += 1
            return nil
        }
        let withheld = entries[address]?.withheld ?? 0
        if entries.count >= Self.addressesMax { entries = [:] }
        entries[address] = Entry(lastAt: now)
        return withheld
    }
}
