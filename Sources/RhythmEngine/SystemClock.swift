public import RhythmCore

/// The machine's wall clock.
public struct SystemClock: EngineClock {
    /// Makes a clock.
    public init() {}

    /// The time now.
    public func now() -> Timestamp { .wallClock }
}
