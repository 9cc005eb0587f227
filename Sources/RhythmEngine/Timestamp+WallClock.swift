package import RhythmCore

extension Timestamp {
    /// The time of this machine's clock, for runners; it may step back.
    package static var wallClock: Timestamp { SystemClock().now() }
}
