import CRabbitMQ

// Calls that wait for the broker's answer, `callTimeout` at most. Frames that come in between are kept for ``next()``.
// After a failure of the channel it has to be opened again.

extension Session {
    func openChannel() throws(AMQPFailure) {
        amqp_channel_open(handle, Self.channel)
        try check(amqp_get_rpc_reply(handle), "opening a channel")
    }

    /// From now on the broker acknowledges every message.
    func confirmPublishes() throws(AMQPFailure) {
        amqp_confirm_select(handle, Self.channel)
        try check(amqp_get_rpc_reply(handle), "asking for confirms")
    }

    func declare(_ declaration: AMQPDeclaration) throws(AMQPFailure) {
        let arena = CArena()
        defer { arena.free() }
        switch declaration {
        case .exchange(let name, let kind, let durable, let autoDelete, let isInternal, let arguments):
            amqp_exchange_declare(
                handle, Self.channel, arena.bytes(name), arena.bytes(kind.rawValue), 0, durable ? 1 : 0,
                autoDelete ? 1 : 0, isInternal ? 1 : 0, arena.table(arguments))
            try check(amqp_get_rpc_reply(handle), "declaring the exchange \"\(name)\"")
        case .existingExchange(let name):
            amqp_exchange_declare(
                handle, Self.channel, arena.bytes(name), arena.bytes("direct"), 1, 0, 0, 0, amqp_table_t())
            try check(amqp_get_rpc_reply(handle), "looking for the exchange \"\(name)\"")
        case .queue(let name, let durable, let exclusive, let autoDelete, let arguments):
            amqp_queue_declare(
                handle, Self.channel, arena.bytes(name), 0, durable ? 1 : 0, exclusive ? 1 : 0, autoDelete ? 1 : 0,
                arena.table(arguments))
            try check(amqp_get_rpc_reply(handle), "declaring the queue \"\(name)\"")
        case .existingQueue(let name): _ = try lookAt(queue: name)
        case .binding(let queue, let exchange, let routingKey, let arguments):
            amqp_queue_bind(
                handle, Self.channel, arena.bytes(queue), arena.bytes(exchange), arena.bytes(routingKey),
                arena.table(arguments))
            try check(amqp_get_rpc_reply(handle), "binding the queue \"\(queue)\" to the exchange \"\(exchange)\"")
        }
    }

    /// Messages that are ready, and consumers, of a queue that must exist.
    func lookAt(queue: String) throws(AMQPFailure) -> (ready: Int, consumers: Int) {
        let arena = CArena()
        defer { arena.free() }
        let answer = amqp_queue_declare(handle, Self.channel, arena.bytes(queue), 1, 0, 0, 0, amqp_table_t())
        try check(amqp_get_rpc_reply(handle), "looking for the queue \"\(queue)\"")
        guard let answer else { throw AMQPFailure(.connection, "no answer for the queue \"\(queue)\"") }
        // SAFETY: the structure lives until the channel's buffers are released, which happens in next() only.
        return (Int(answer.pointee.message_count), Int(answer.pointee.consumer_count))
    }

    /// Deletes a queue with all that is in it; that there is none is fine.
    func delete(queue: String) throws(AMQPFailure) {
        let arena = CArena()
        defer { arena.free() }
        amqp_queue_delete(handle, Self.channel, arena.bytes(queue), 0, 0)
        try check(amqp_get_rpc_reply(handle), "deleting the queue \"\(queue)\"")
    }

    func consume(_ consumption: AMQPConsumption) throws(AMQPFailure) {
        let arena = CArena()
        defer { arena.free() }
        var automatic: amqp_boolean_t = 1
        if case .manual(let prefetch) = consumption.acknowledgement {
            automatic = 0
            // Not global: for the consumers that begin after it, each of them. Quorum queues know no other kind.
            amqp_basic_qos(handle, Self.channel, 0, prefetch, 0)
            try check(amqp_get_rpc_reply(handle), "setting the prefetch")
        }
        let answer = amqp_basic_consume(
            handle, Self.channel, arena.bytes(consumption.queue), amqp_bytes_t(), 0, automatic,
            consumption.exclusive ? 1 : 0, amqp_table_t())
        try check(amqp_get_rpc_reply(handle), "consuming from the queue \"\(consumption.queue)\"")
        guard let answer else { throw AMQPFailure(.connection, "no answer for the queue \"\(consumption.queue)\"") }
        // SAFETY: as in lookAt(queue:).
        name(consumer: String(copying: answer.pointee.consumer_tag), queue: consumption.queue)
    }
}

// MARK: Errors

extension Session {
    func check(_ code: Int32, _ doing: String) throws(AMQPFailure) {
        guard code < 0 else { return }
        throw AMQPFailure(.connection, "\(doing): \(Self.text(of: code))")
    }

    func check(_ reply: amqp_rpc_reply_t, _ doing: String) throws(AMQPFailure) {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            let failure = closed(by: reply.reply)
            throw AMQPFailure(failure.scope, code: failure.code, "\(doing): \(failure.description)")
        case AMQP_RESPONSE_LIBRARY_EXCEPTION: try check(reply.library_error, doing)
        default: break
        }
        throw AMQPFailure(.connection, "\(doing): the broker ended the connection")
    }

    /// Acknowledges that the broker closed the channel or the connection, and says why it did.
    func closed(by method: amqp_method_t) -> AMQPFailure {
        switch method.id {
        case AMQP_CHANNEL_CLOSE_METHOD:
            // SAFETY: the library decodes the arguments into the structure that belongs to the method's number.
            let close = method.decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            let failure = AMQPFailure(
                .channel, code: Int(close.reply_code), refusal(close.reply_code, close.reply_text))
            var answer = amqp_channel_close_ok_t()
            amqp_send_method(handle, Self.channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &answer)
            return failure
        case AMQP_CONNECTION_CLOSE_METHOD:
            // SAFETY: as above.
            let close = method.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            let failure = AMQPFailure(
                .connection, code: Int(close.reply_code), refusal(close.reply_code, close.reply_text))
            var answer = amqp_connection_close_ok_t()
            amqp_send_method(handle, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &answer)
            return failure
        default:
            return AMQPFailure(.connection, "the broker answered with method \(String(method.id, radix: 16))")
        }
    }

    private func refusal(_ code: UInt16, _ text: amqp_bytes_t) -> String {
        let text = String(copying: text)
        if code == 403, text.contains("Login was refused") {
            return "\(code) \(text) Check the user \"\(address.user)\" and its password in the broker's address;"
                + " \"guest\" may only log in from the broker's own machine."
        }
        if code == 530, text.contains("vhost") {
            return "\(code) \(text). Make it with `rabbitmqctl add_vhost`, and let the user in with"
                + " `rabbitmqctl set_permissions -p`, or name another one in the broker's address."
        }
        return "\(code) \(text)"
    }
}
