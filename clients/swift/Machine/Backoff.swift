/// How long to wait before the next attempt to connect.
///
/// The first attempt after a loss is made at once: most losses are a restart or a cut wire. Each further wait is 1.6
/// times the one before, spread by a fifth so that the clients of one server do not come back in step.
package struct Backoff: Sendable, Hashable {
    /// The second attempt waits this long.
    package static let base = Duration.milliseconds(50)
    /// No wait is longer than this (before it is spread).
    package static let cap = Duration.seconds(5)
    package static let factor = 1.6
    package static let spread = 0.2

    /// Attempts since the last success.
    package private(set) var attempts = 0

    package init() {}

    /// The wait before the next attempt. `random` is between 0 and 1.
    package mutating func next(random: Double) -> Duration {
        defer { attempts += 1 }
        guard attempts > 0 else { return .zero }
        var wait = Self.base
        for _ in 1..<max(1, min(attempts, 64)) where wait < Self.cap { wait = wait * Self.factor }
        return min(wait, Self.cap) * (1 + Self.spread * (2 * random - 1))
    }

    /// The server did something useful: begin anew.
    package mutating func reset() { attempts = 0 }
}
