import CRabbitMQ

/// Makes messages of frames: a return or a delivery is a method, a header and any number of bodies.
///
/// Confined to its session's thread. The library could do this too, but it waits while it does.
struct FrameReader {
    private enum Beginning {
        case returned(code: Int, text: String)
        case delivered(AMQPDelivery.Tag, consumer: String, redelivered: Bool, exchange: String, routingKey: String)
    }

    private var beginning: Beginning?
    private var properties = Properties()
    private var body: [UInt8] = []
    private var missing = 0

    /// Takes a frame that belongs to a message; says so when it completes one.
    mutating func method(_ method: amqp_method_t, connection: UInt64) {
        if method.id == AMQP_BASIC_RETURN_METHOD {
            // SAFETY: the library decodes the arguments into the structure that belongs to the method's number.
            let returned = method.decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            beginning = .returned(code: Int(returned.reply_code), text: String(copying: returned.reply_text))
        } else {
            // SAFETY: as above.
            let delivery = method.decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self).pointee
            beginning = .delivered(
                AMQPDelivery.Tag(connection: connection, number: delivery.delivery_tag),
                consumer: String(copying: delivery.consumer_tag), redelivered: delivery.redelivered != 0,
                exchange: String(copying: delivery.exchange), routingKey: String(copying: delivery.routing_key))
        }
    }

    mutating func header(_ frame: amqp_frame_t, queues: [String: String]) -> Incoming? {
        guard beginning != nil, let decoded = frame.payload.properties.decoded else { return nil }
        // SAFETY: the header of a basic message is decoded into this structure.
        properties = Properties(copying: decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee)
        missing = Int(clamping: frame.payload.properties.body_size)
        body = []
        body.reserveCapacity(min(missing, 1 << 20))
        return missing == 0 ? complete(queues) : nil
    }

    mutating func body(_ frame: amqp_frame_t, queues: [String: String]) -> Incoming? {
        guard beginning != nil else { return nil }
        let fragment = frame.payload.body_fragment
        body += UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len)
        missing -= fragment.len
        return missing <= 0 ? complete(queues) : nil
    }

    private mutating func complete(_ queues: [String: String]) -> Incoming? {
        defer {
            beginning = nil
            body = []
        }
        switch beginning {
        case nil: return nil
        case .returned(let code, let text):
            return .returned(code: code, text: text, messageID: properties.messageID)
        case .delivered(let tag, let consumer, let redelivered, let exchange, let routingKey):
            return .delivered(
                AMQPDelivery(
                    tag: tag, queue: queues[consumer] ?? "", redelivered: redelivered, exchange: exchange,
                    routingKey: routingKey, contentType: properties.contentType,
                    contentEncoding: properties.contentEncoding, persistent: properties.persistent,
                    priority: properties.priority, correlationID: properties.correlationID,
                    replyTo: properties.replyTo, headers: properties.headers, body: body))
        }
    }
}

/// The properties of a message that we look at.
private struct Properties {
    var contentType: String?
    var contentEncoding: String?
    var persistent = false
    var priority: UInt8?
    var correlationID: String?
    var replyTo: String?
    var messageID: String?
    var headers = AMQPTable()

    init() {}

    init(copying source: amqp_basic_properties_t) {
        func has(_ flag: Int32) -> Bool { source._flags & amqp_flags_t(flag) != 0 }
        func text(_ flag: Int32, _ bytes: amqp_bytes_t) -> String? { has(flag) ? String(copying: bytes) : nil }
        contentType = text(AMQP_BASIC_CONTENT_TYPE_FLAG, source.content_type)
        contentEncoding = text(AMQP_BASIC_CONTENT_ENCODING_FLAG, source.content_encoding)
        persistent = has(AMQP_BASIC_DELIVERY_MODE_FLAG) && source.delivery_mode == 2
        priority = has(AMQP_BASIC_PRIORITY_FLAG) ? source.priority : nil
        correlationID = text(AMQP_BASIC_CORRELATION_ID_FLAG, source.correlation_id)
        replyTo = text(AMQP_BASIC_REPLY_TO_FLAG, source.reply_to)
        messageID = text(AMQP_BASIC_MESSAGE_ID_FLAG, source.message_id)
        if has(AMQP_BASIC_HEADERS_FLAG) { headers = AMQPTable(copying: source.headers) }
    }
}
