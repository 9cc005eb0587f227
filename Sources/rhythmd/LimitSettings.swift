import RhythmCore
import RhythmServer

/// What a peer may cost: limits by the names that the protocol and the errors use.
struct LimitSettings: Equatable {
    /// One limit: what it may be, and where it goes.
    struct Limit: Sendable {
        let name: String
        let range: ClosedRange<Double>
        /// Seconds rather than a number or bytes.
        let isTime: Bool
        let set: @Sendable (inout ServerConfiguration, Double) -> Void

        private init(
            _ name: String, _ range: ClosedRange<Double>, isTime: Bool,
            set: @escaping @Sendable (inout ServerConfiguration, Double) -> Void
        ) {
            self.name = name
            self.range = range
            self.isTime = isTime
            self.set = set
        }

        static func number(
            _ name: String, _ range: ClosedRange<Double>,
            _ set: @escaping @Sendable (inout ServerConfiguration, Int) -> Void
        ) -> Self {
            Self(name, range, isTime: false) { set(&$0, Int($1)) }
        }

        static func time(
            _ name: String, _ range: ClosedRange<Double>,
            _ set: @escaping @Sendable (inout ServerConfiguration, Duration) -> Void
        ) -> Self {
            Self(name, range, isTime: true) { set(&$0, .milliseconds(Int64($1 * 1000))) }
        }
    }

    /// All there are.
    static let known: [Limit] = [
        .number("max_request_bytes", 4096...16_777_216) { $0.maxRequestBytes = $1 },
        .number("max_response_bytes", 4096...268_435_456) { $0.maxResponseBytes = $1 },
        .number("max_calls", 1...10_000) { $0.maxCalls = $1 },
        .number("max_connections", 1...1_000_000) { $0.maxConnections = $1 },
        .number("max_connections_per_address", 1...1_000_000) { $0.maxConnectionsPerAddress = $1 },
        .number("max_connections_before_hello", 1...1_000_000) { $0.maxConnectionsBeforeHello = $1 },
        .number("max_watched_workflows", 1...100_000) { $0.maxWatchedWorkflows = $1 },
        .number("max_pings_per_s", 1...1_000_000) { $0.maxPingsPerSecond = $1 },
        .number("max_cancels_per_s", 1...1_000_000) { $0.maxCancelsPerSecond = $1 },
        .number("max_waiting_bytes", 1_048_576...1e12) { $0.maxWaitingBytes = $1 },
        .time("hello_timeout", 0.1...600) { $0.helloTimeout = $1 },
        .time("frame_timeout", 0.1...600) { $0.frameTimeout = $1 },
        .time("ping_interval", 0.1...3600) { $0.pingInterval = $1 },
        .time("default_timeout", 0.1...3600) { $0.defaultTimeout = $1 },
        .time("stall_timeout", 0.1...3600) { $0.stallTimeout = $1 },
    ]

    private var values: [String: Double] = [:]

    /// The defaults.
    init() {}

    /// - Throws: ``SettingsError`` that names the limit, its value and what would be right.
    init(_ values: [String: Double]) throws(SettingsError) {
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            guard let limit = Self.known.first(where: { $0.name == name }) else {
                let names = Self.known.map(\.name).joined(separator: ", ")
                throw SettingsError("limit: there is no '\(name)'; there are \(names)")
            }
            guard limit.range.contains(value), limit.isTime || value == value.rounded() else {
                let (least, most) = (limit.range.lowerBound, limit.range.upperBound)
                throw SettingsError(
                    limit.isTime
                        ? "limit: \(name)=\(value) is not between \(least) and \(most) seconds"
                        : "limit: \(name)=\(value) is not a whole number between \(Int(least)) and \(Int(most))")
            }
        }
        self.values = values
    }

    func apply(to configuration: inout ServerConfiguration) {
        for limit in Self.known {
            if let value = values[limit.name] { limit.set(&configuration, value) }
        }
    }

    /// Reads `NAME=VALUE` entries.
    static func values(_ entries: [String], source: String) throws(SettingsError) -> [String: Double] {
        var values: [String: Double] = [:]
        for entry in entries {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, let value = Double(parts[1]) else {
                throw PartialSettings.unusable(source, entry, "NAME=VALUE, such as max_calls=64")
            }
            values[String(parts[0])] = value
        }
        return values
    }
}
