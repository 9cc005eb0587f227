/// A message to publish.
package struct AMQPMessage: Sendable, Hashable {
    /// Empty: the default exchange, whose routing keys are queue names.
    package var exchange: String
    package var routingKey: String
    /// The broker gives it back (``PublishOutcome/unroutable(code:text:)``) instead of dropping it where no queue takes
    /// it. Without this a message to a queue that does not exist is confirmed like any other.
    package var mandatory: Bool
    package var contentType: String?
    package var contentEncoding: String?
    /// Survives a restart of the broker, in a durable queue.
    package var persistent: Bool
    /// 0...9 on queues with priorities; nil leaves the property out.
    package var priority: UInt8?
    package var correlationID: String?
    package var replyTo: String?
    package var headers: AMQPTable
    package var body: [UInt8]

    package init(
        exchange: String = "", routingKey: String, mandatory: Bool = true, contentType: String? = nil,
        contentEncoding: String? = nil, persistent: Bool = true, priority: UInt8? = nil, correlationID: String? = nil,
        replyTo: String? = nil, headers: AMQPTable = AMQPTable(), body: [UInt8]
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.mandatory = mandatory
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.persistent = persistent
        self.priority = priority
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.headers = headers
        self.body = body
    }
}

/// What became of a message that was given to an ``AMQPPublisher``. Each message has exactly one outcome.
package enum PublishOutcome: Sendable, Hashable {
    /// The broker has it: in every queue that takes it, on disk if the message is persistent and the queue durable.
    case confirmed
    /// The broker found no queue for it and does not have it.
    case unroutable(code: Int, text: String)
    /// The broker refused it (a full queue, an error of its own) and does not have it.
    case rejected
    /// Nothing of it was ever written: it can be sent again under the same id.
    case notSent(reason: String)
    /// It was written, but the connection or the channel ended before the broker's word: it may be queued or not.
    case undecided(reason: String)
}
