/// What a server has counted since its start.
package struct ServerStats: Sendable, Hashable {
    /// One number. A name that ends in `_total` only grows; others go up and down.
    package struct Metric: Sendable, Hashable {
        package var name: String
        package var value: UInt64
        /// What it means, for people.
        package var help: String

        /// Makes a metric.
        package init(_ name: String, _ value: UInt64, help: String) {
            self.name = name
            self.value = value
            self.help = help
        }
    }

    /// What became of the calls of one kind.
    package struct Calls: Sendable, Hashable {
        /// As in the protocol, such as `start_workflow`.
        package var name: String
        /// How many ended with which code: gRPC's number, 0 for an answer.
        package var ended: [UInt32: UInt64]
        /// How many took how long: entry i counts those of less than 2^i microseconds that no entry before it counts,
        /// the last one all others.
        package var durations: [UInt64]
        /// All of them together.
        package var totalMicroseconds: UInt64

        /// Makes an entry.
        package init(name: String, ended: [UInt32: UInt64], durations: [UInt64], totalMicroseconds: UInt64) {
            self.name = name
            self.ended = ended
            self.durations = durations
            self.totalMicroseconds = totalMicroseconds
        }
    }

    package var metrics: [Metric]
    package var calls: [Calls]

    /// Makes an answer.
    package init(metrics: [Metric], calls: [Calls]) {
        self.metrics = metrics
        self.calls = calls
    }

    /// The value of a metric; nil if the server has none of that name.
    package subscript(name: String) -> UInt64? { metrics.first { $0.name == name }?.value }
}
