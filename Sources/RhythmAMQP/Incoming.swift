/// What the broker said, in our own values.
enum Incoming {
    case acknowledged(tag: UInt64, multiple: Bool)
    case refused(tag: UInt64, multiple: Bool)
    /// A mandatory message that no queue takes; it is acknowledged as well, afterwards.
    case returned(code: Int, text: String, messageID: String?)
    case delivered(AMQPDelivery)
    /// The broker ended a consumer: its queue is gone.
    case consumerCancelled(tag: String)
    case blocked(reason: String)
    case unblocked
    /// The broker closed the channel; this has been acknowledged.
    case channelClosed(AMQPFailure)
}
