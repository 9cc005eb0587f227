/// What the C library would refuse only after it has written a part of the message, which ends the connection: looked
/// at before anything is written.
extension AMQPMessage {
    /// RabbitMQ's own limit; past it the broker closes the channel.
    static let largestBody = 134_217_728

    /// Why the message cannot be sent; nil if it can.
    func fault(frameMax: Int) -> String? {
        let texts = [
            ("exchange", exchange), ("routing key", routingKey), ("content type", contentType),
            ("content encoding", contentEncoding), ("correlation id", correlationID), ("reply to", replyTo),
        ]
        for case (let name, let text?) in texts where text.utf8.count > 255 {
            return "the \(name) has \(text.utf8.count) bytes, of 255 that are possible"
        }
        if let key = headers.longestKey, key.utf8.count > 255 {
            return "the header \"\(key.prefix(40))...\" has a name of \(key.utf8.count) bytes, of 255 that are possible"
        }
        guard body.count <= Self.largestBody else {
            return "the body has \(body.count) bytes, of \(Self.largestBody) that are possible"
        }
        // Class, weight, body size, flags, delivery mode, priority, each short text with its length, our message id,
        // and the frame's own header and end.
        let properties = texts.dropFirst(2).reduce(0) { $0 + 1 + ($1.1?.utf8.count ?? 0) } + 12 + 2 + 2 + 24 + 8
        let size = properties + headers.encodedSize
        guard size <= frameMax else {
            return "the headers take \(size) bytes, of \(frameMax) that fit into a frame: shorten the longest"
        }
        return nil
    }
}

extension AMQPTable {
    /// Bytes on the wire.
    var encodedSize: Int { entries.reduce(4) { $0 + 1 + $1.key.utf8.count + $1.value.encodedSize } }

    /// Of this table and all inside it.
    var longestKey: String? {
        entries.flatMap { [$0.key, $0.value.longestKey].compactMap { $0 } }.max { $0.utf8.count < $1.utf8.count }
    }
}

extension AMQPValue {
    /// Bytes on the wire, with the byte that names the type.
    fileprivate var encodedSize: Int {
        switch self {
        case .null: 1
        case .bool: 2
        case .int32: 5
        case .int64, .double, .timestamp: 9
        case .string(let text): 5 + text.utf8.count
        case .bytes(let data): 5 + data.count
        case .table(let table): 1 + table.encodedSize
        case .array(let values): values.reduce(5) { $0 + $1.encodedSize }
        }
    }

    fileprivate var longestKey: String? {
        switch self {
        case .table(let table): table.longestKey
        case .array(let values): values.compactMap(\.longestKey).max { $0.utf8.count < $1.utf8.count }
        default: nil
        }
    }
}
