import Glibc

/// Publishes messages and says of each what became of it.
///
/// One connection and one thread of its own; publishes from any thread go out at once, many of them per wake-up. While
/// the broker cannot be reached or takes no messages they wait on our side, up to their patience. A message is written
/// once at most: whether an undecided one is sent again is for the caller to say.
package final class AMQPPublisher: Sendable {
    private let thread: ConnectionThread
    private let mailbox = Mailbox<Submission>()
    private let patience: Duration

    /// Connects in the background.
    ///
    /// - Parameter onState: called on the publisher's thread. It and the completions must return soon: while they run
    ///   nothing is sent, heartbeats included.
    package init(
        _ brokers: AMQPBrokers, settings: AMQPSettings = AMQPSettings(),
        onState: @escaping @Sendable (AMQPConnectionState) -> Void = { _ in }
    ) {
        patience = settings.patience
        thread = ConnectionThread(brokers, settings, onState: onState)
        let window = settings.window
        thread.start { [mailbox] in PublisherRole(mailbox, window: window) }
    }

    /// The same with a single broker.
    package convenience init(
        _ address: AMQPAddress, settings: AMQPSettings = AMQPSettings(),
        onState: @escaping @Sendable (AMQPConnectionState) -> Void = { _ in }
    ) {
        self.init(AMQPBrokers(address), settings: settings, onState: onState)
    }

    deinit { thread.stop() }

    /// Publishes a message. Any thread; never waits.
    ///
    /// - Parameters:
    ///   - patience: how long it may wait to be written; nil: as in the settings. There is no limit to the wait for
    ///     the broker's word once it is written, but that of the connection's heartbeats.
    ///   - completion: called once, on the publisher's thread, or at once on this one if the publisher is closed.
    package func publish(
        _ message: AMQPMessage, patience: Duration? = nil, completion: @escaping @Sendable (PublishOutcome) -> Void
    ) {
        let submission = Submission(
            message: message, expiry: .now + (patience ?? self.patience), completion: completion)
        guard mailbox.put(submission) else { return completion(.notSent(reason: PublisherRole.closedReason)) }
        thread.wake()
    }

    /// Ends the connection. What is written already gets a second to be confirmed; then everything that is open is
    /// answered (``PublishOutcome/undecided(reason:)`` or ``PublishOutcome/notSent(reason:)``). Returns within some
    /// five seconds, whatever the broker and the network do. Any thread, any number of times.
    package func close() { thread.close() }
}

/// A message on its way to the publisher's thread.
struct Submission: Sendable {
    let message: AMQPMessage
    let expiry: ContinuousClock.Instant
    let completion: @Sendable (PublishOutcome) -> Void
}
