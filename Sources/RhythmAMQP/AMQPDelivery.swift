/// A message that came from a queue.
package struct AMQPDelivery: Sendable, Hashable {
    /// Names a delivery within one connection: one of an earlier connection is passed over, as the broker has put its
    /// message back long since.
    package struct Tag: Sendable, Hashable {
        let connection: UInt64
        let number: UInt64
    }

    package let tag: Tag
    /// The queue as it was named in ``AMQPConsumption``.
    package let queue: String
    /// The broker has handed it out before, perhaps to someone else.
    package let redelivered: Bool
    package let exchange: String
    package let routingKey: String
    package let contentType: String?
    package let contentEncoding: String?
    package let persistent: Bool
    package let priority: UInt8?
    package let correlationID: String?
    package let replyTo: String?
    package let headers: AMQPTable
    package let body: [UInt8]
}
