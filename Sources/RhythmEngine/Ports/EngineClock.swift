public import RhythmCore

/// What time it is, for the engine: its third port. Simulations give their own.
public protocol EngineClock: Sendable {
    /// The time now. It may step back; nothing relies on more than "roughly now".
    func now() -> Timestamp
}
