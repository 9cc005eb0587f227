import Glibc

/// Takes messages from queues, on one connection and one thread of its own.
///
/// At every connection all declarations are made anew, in their order, then all consumers begin. If the broker ends a
/// consumer because its queue was deleted, the connection is made anew, and the queue with it.
package final class AMQPSubscriber: Sendable {
    private let thread: ConnectionThread
    private let mailbox = Mailbox<AMQPSubscriberRequest>()

    /// Connects in the background.
    ///
    /// - Parameters:
    ///   - onState: `ready(again: true)` says that messages may have been missed in between: those that found no
    ///     queue, and, with automatic acknowledgement, those that were on their way.
    ///   - onDelivery: a message. Both are called on the subscriber's thread and must return soon: while they run no
    ///     heartbeats go out.
    package init(
        _ brokers: AMQPBrokers, declarations: [AMQPDeclaration], consume: [AMQPConsumption],
        settings: AMQPSettings = AMQPSettings(),
        onState: @escaping @Sendable (AMQPConnectionState) -> Void = { _ in },
        onDelivery: @escaping @Sendable (AMQPDelivery) -> Void
    ) {
        thread = ConnectionThread(brokers, settings, onState: onState)
        thread.start { [mailbox] in SubscriberRole(declarations, consume, mailbox, onDelivery) }
    }

    /// The same with a single broker.
    package convenience init(
        _ address: AMQPAddress, declarations: [AMQPDeclaration], consume: [AMQPConsumption],
        settings: AMQPSettings = AMQPSettings(),
        onState: @escaping @Sendable (AMQPConnectionState) -> Void = { _ in },
        onDelivery: @escaping @Sendable (AMQPDelivery) -> Void
    ) {
        self.init(
            AMQPBrokers(address), declarations: declarations, consume: consume, settings: settings, onState: onState,
            onDelivery: onDelivery)
    }

    deinit { thread.stop() }

    /// Acknowledges a delivery, or all up to it. Those of a connection that has ended are passed over: they come again.
    /// Any thread; never waits.
    package func acknowledge(_ tag: AMQPDelivery.Tag, upTo multiple: Bool = false) {
        if mailbox.put(AMQPSubscriberRequest(tag: tag, multiple: multiple)) { thread.wake() }
    }

    /// Ends the connection; what was not acknowledged goes back to its queue. Returns within some five seconds,
    /// whatever the broker and the network do. Any thread, any number of times.
    package func close() { thread.close() }
}

/// An acknowledgement on its way to the subscriber's thread.
struct AMQPSubscriberRequest: Sendable {
    let tag: AMQPDelivery.Tag
    let multiple: Bool
}

/// Declares, consumes, hands over.
final class SubscriberRole: ConnectionRole {
    private let declarations: [AMQPDeclaration]
    private let consumptions: [AMQPConsumption]
    private let mailbox: Mailbox<AMQPSubscriberRequest>
    private let onDelivery: @Sendable (AMQPDelivery) -> Void

    init(
        _ declarations: [AMQPDeclaration], _ consumptions: [AMQPConsumption],
        _ mailbox: Mailbox<AMQPSubscriberRequest>, _ onDelivery: @escaping @Sendable (AMQPDelivery) -> Void
    ) {
        self.declarations = declarations
        self.consumptions = consumptions
        self.mailbox = mailbox
        self.onDelivery = onDelivery
    }

    var hasWork: Bool { false }
    var isSettled: Bool { true }

    func opened(_ session: Session) throws(AMQPFailure) {
        for declaration in declarations { try session.declare(declaration) }
        for consumption in consumptions { try session.consume(consumption) }
    }

    func work(_ session: Session) throws(AMQPFailure) {
        for request in mailbox.takeAll() { try session.acknowledge(request.tag, multiple: request.multiple) }
    }

    func received(_ incoming: Incoming, _ session: Session) throws(AMQPFailure) {
        switch incoming {
        case .delivered(let delivery): onDelivery(delivery)
        case .consumerCancelled(let tag):
            let queue = session.queue(ofConsumer: tag) ?? "?"
            throw AMQPFailure(.connection, "the broker ended the consumer: the queue \"\(queue)\" was deleted")
        case .channelClosed(let failure):
            throw AMQPFailure(.connection, code: failure.code, "the broker closed the channel: \(failure)")
        case .acknowledged, .refused, .returned, .blocked, .unblocked: break
        }
    }

    func lost(_ failure: AMQPFailure) {}
    func expire(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? { nil }
    func closed() { _ = mailbox.close() }
}
