/// Something that has to be there in the broker. Declaring what is there already changes nothing, unless it is there
/// with other settings: then the broker refuses (406).
package enum AMQPDeclaration: Sendable, Hashable {
    package enum ExchangeKind: String, Sendable, Hashable {
        case direct, fanout, topic, headers
    }

    case exchange(
        String, ExchangeKind, durable: Bool = true, autoDelete: Bool = false, isInternal: Bool = false,
        arguments: AMQPTable = AMQPTable())
    /// The exchange must exist, whatever its settings.
    case existingExchange(String)
    /// An empty name: the broker makes one up, and an empty queue name in what follows means that queue.
    case queue(
        String, durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false,
        arguments: AMQPTable = AMQPTable())
    /// The queue must exist, whatever its settings.
    case existingQueue(String)
    case binding(queue: String, exchange: String, routingKey: String, arguments: AMQPTable = AMQPTable())
}

/// A queue to take messages from.
package struct AMQPConsumption: Sendable, Hashable {
    /// When a message is gone from the queue.
    package enum Acknowledgement: Sendable, Hashable {
        /// As soon as the broker has sent it.
        case automatic
        /// When it is acknowledged; the broker sends no more than `prefetch` ahead.
        case manual(prefetch: UInt16)
    }

    package var queue: String
    package var acknowledgement: Acknowledgement
    /// Nobody else may consume from it.
    package var exclusive: Bool

    package init(queue: String, acknowledgement: Acknowledgement = .automatic, exclusive: Bool = false) {
        self.queue = queue
        self.acknowledgement = acknowledgement
        self.exclusive = exclusive
    }
}
