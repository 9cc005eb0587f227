/// How a connection to the broker is doing.
package enum AMQPConnectionState: Sendable, Hashable {
    case connecting
    /// At work. `again`: it was ready before, so what happened in between may have been missed.
    case ready(again: Bool)
    /// The broker takes no messages for now: memory or disk is short over there. Reads go on.
    case blocked(reason: String)
    /// Not connected; the reason says what to do about it where that is known, and never holds credentials.
    case down(reason: String, retryIn: Duration)
    /// Closed by us, for good.
    case closed
}
