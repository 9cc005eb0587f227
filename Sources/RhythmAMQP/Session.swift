import CRabbitMQ
import Glibc
import Synchronization

/// One connection to a broker, logged in, with one channel: the only owner of the C handle.
///
/// Confined to the thread that made it: the library's connections may not be shared. ``Interrupter`` alone reaches it
/// from outside. Once a call has thrown a failure of the connection it is of no more use than to be released.
final class Session {
    let handle: amqp_connection_state_t
    /// Another one for every connection of this process.
    let number: UInt64
    let address: AMQPAddress
    private let interrupter: Interrupter
    private var reader = FrameReader()
    private var queues: [String: String] = [:]

    static let channel: amqp_channel_t = 1
    private static let counter = Atomic<UInt64>(0)

    /// The largest frame that both sides take, in bytes.
    var frameMax: Int { Int(amqp_get_frame_max(handle)) }
    var descriptor: Int32 { amqp_get_sockfd(handle) }
    /// Something has arrived already: waiting for the descriptor would miss it.
    var hasInput: Bool { amqp_frames_enqueued(handle) != 0 || amqp_data_in_buffer(handle) != 0 }
    /// How long a wait may last before the library has to be called, so that heartbeats go out in time.
    var longestWait: Duration {
        let heartbeat = Int(amqp_get_heartbeat(handle))
        return heartbeat > 0 ? .milliseconds(heartbeat * 500) : .seconds(60)
    }

    /// Connects, logs in and opens the channel.
    init(_ address: AMQPAddress, _ settings: AMQPSettings, _ interrupter: Interrupter) throws(AMQPFailure) {
        guard let handle = amqp_new_connection() else { throw AMQPFailure(.connection, "out of memory") }
        self.handle = handle
        self.address = address
        self.interrupter = interrupter
        number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        try connect(settings.connectTimeout)
        interrupter.watch(descriptor)
        try logIn(settings)
        try openChannel()
    }

    deinit {
        interrupter.withdraw()
        amqp_destroy_connection(handle)
    }

    /// Says goodbye and waits a second at most for the answer.
    func close() {
        var patience = timeval(.seconds(1))
        amqp_set_rpc_timeout(handle, &patience)
        amqp_connection_close(handle, AMQP_REPLY_SUCCESS)
    }
}

// MARK: Talking

extension Session {
    /// Writes a message. Nothing tells that it arrived but the broker's acknowledgement, whose tags count from 1 in
    /// every channel.
    func publish(_ message: AMQPMessage, messageID: String) throws(AMQPFailure) {
        let arena = CArena()
        defer { arena.free() }
        var properties = amqp_basic_properties_t()
        var flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG
        func set(_ flag: Int32, _ text: String?, _ place: WritableKeyPath<amqp_basic_properties_t, amqp_bytes_t>) {
            guard let text else { return }
            flags |= flag
            properties[keyPath: place] = arena.bytes(text)
        }
        set(AMQP_BASIC_CONTENT_TYPE_FLAG, message.contentType, \.content_type)
        set(AMQP_BASIC_CONTENT_ENCODING_FLAG, message.contentEncoding, \.content_encoding)
        set(AMQP_BASIC_CORRELATION_ID_FLAG, message.correlationID, \.correlation_id)
        set(AMQP_BASIC_REPLY_TO_FLAG, message.replyTo, \.reply_to)
        properties.message_id = arena.bytes(messageID)
        properties.delivery_mode = message.persistent ? 2 : 1
        if let priority = message.priority {
            flags |= AMQP_BASIC_PRIORITY_FLAG
            properties.priority = priority
        }
        if !message.headers.entries.isEmpty {
            flags |= AMQP_BASIC_HEADERS_FLAG
            properties.headers = arena.table(message.headers)
        }
        properties._flags = amqp_flags_t(flags)
        // SAFETY: the library only reads the body, and only during the call.
        let code = message.body.withUnsafeBytes { body in
            amqp_basic_publish(
                handle, Self.channel, arena.bytes(message.exchange), arena.bytes(message.routingKey),
                message.mandatory ? 1 : 0, 0, &properties,
                amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress)))
        }
        try check(code, "publishing")
    }

    /// Acknowledges a delivery of this connection, or all up to it.
    func acknowledge(_ tag: AMQPDelivery.Tag, multiple: Bool) throws(AMQPFailure) {
        guard tag.connection == number else { return }
        try check(amqp_basic_ack(handle, Self.channel, tag.number, multiple ? 1 : 0), "acknowledging")
    }

    /// What has arrived; nil if nothing has. Never waits. Sends heartbeats when they are due and throws when the broker
    /// has been silent for too long.
    func next() throws(AMQPFailure) -> Incoming? {
        while true {
            var frame = amqp_frame_t()
            var none = timeval(tv_sec: 0, tv_usec: 0)
            let code = amqp_simple_wait_frame_noblock(handle, &frame, &none)
            guard code != AMQP_STATUS_TIMEOUT.rawValue else { return nil }
            try check(code, "reading")
            // What a frame points to has been copied by then.
            defer { amqp_maybe_release_buffers_on_channel(handle, frame.channel) }
            if let incoming = try understand(frame) { return incoming }
        }
    }

    private func understand(_ frame: amqp_frame_t) throws(AMQPFailure) -> Incoming? {
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD: return try understand(frame.payload.method)
        case AMQP_FRAME_HEADER: return reader.header(frame, queues: queues)
        case AMQP_FRAME_BODY: return reader.body(frame, queues: queues)
        default: return nil
        }
    }

    private func understand(_ method: amqp_method_t) throws(AMQPFailure) -> Incoming? {
        // SAFETY: the library decodes the arguments into the structure that belongs to the method's number.
        func arguments<Structure>(_ type: Structure.Type) -> Structure {
            method.decoded.assumingMemoryBound(to: type).pointee
        }
        switch method.id {
        case AMQP_BASIC_ACK_METHOD:
            let ack = arguments(amqp_basic_ack_t.self)
            return .acknowledged(tag: ack.delivery_tag, multiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = arguments(amqp_basic_nack_t.self)
            return .refused(tag: nack.delivery_tag, multiple: nack.multiple != 0)
        case AMQP_BASIC_RETURN_METHOD, AMQP_BASIC_DELIVER_METHOD:
            reader.method(method, connection: number)
            return nil
        case AMQP_BASIC_CANCEL_METHOD:
            return .consumerCancelled(tag: String(copying: arguments(amqp_basic_cancel_t.self).consumer_tag))
        case AMQP_CONNECTION_BLOCKED_METHOD:
            return .blocked(reason: String(copying: arguments(amqp_connection_blocked_t.self).reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .unblocked
        case AMQP_CHANNEL_CLOSE_METHOD, AMQP_CONNECTION_CLOSE_METHOD:
            let failure = closed(by: method)
            guard failure.scope == .channel else { throw failure }
            return .channelClosed(failure)
        default: return nil
        }
    }

    func queue(ofConsumer tag: String) -> String? { queues[tag] }

    /// Remembers which queue a consumer takes from.
    func name(consumer: String, queue: String) { queues[consumer] = queue }
}
