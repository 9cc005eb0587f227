import RhythmCore

/// Who is connected: how many in all, from each address, and without a Hello that was accepted.
struct Crowd {
    private var byAddress: [String: Int] = [:]
    private(set) var beforeHello = 0

    /// Why one more from this address is too many; nil if it is not.
    func refusal(of address: String, all: Int, _ configuration: ServerConfiguration) -> String? {
        if all >= configuration.maxConnections {
            return "max_connections is \(configuration.maxConnections)"
        }
        if byAddress[address, default: 0] >= configuration.maxConnectionsPerAddress {
            return "max_connections_per_address is \(configuration.maxConnectionsPerAddress)"
        }
        if beforeHello >= configuration.maxConnectionsBeforeHello {
            return "max_connections_before_hello is \(configuration.maxConnectionsBeforeHello)"
        }
        return nil
    }

    mutating func came(_ address: String) {
        byAddress[address, default: 0] += 1
        beforeHello += 1
    }

    /// Its Hello was accepted, or it went without one.
    mutating func introduced() { beforeHello -= 1 }

    mutating func went(_ address: String) {
        let left = byAddress[address, default: 1] - 1
        byAddress[address] = left > 0 ? left : nil
    }
}
