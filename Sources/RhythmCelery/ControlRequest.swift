import RhythmAMQP
import RhythmCore

/// A remote control command for workers, as kombu's mailboxes understand it.
struct ControlRequest: Hashable, Sendable {
    /// Where answers go.
    struct ReplyAddress: Hashable, Sendable {
        var exchange: String
        var routingKey: String
    }

    /// How hard a running attempt is told to stop.
    enum Signal: String, Hashable, Sendable {
        /// The pool process raises SystemExit in the task; a task can ignore it.
        case terminate = "SIGTERM"
        /// The pool process is gone at once.
        case kill = "SIGKILL"
    }

    var method: String
    var arguments: JSONValue = .object([])
    /// The nodes that are meant; nil for all.
    var destination: [String]?

    /// Any worker answers while its main process lives, however busy its pool is.
    static let ping = ControlRequest(method: "ping")
    /// What a worker holds for later: before 5.7 `query_task` does not find those.
    static let scheduled = ControlRequest(method: "scheduled")
    /// What the processes of a worker's pool are at, with the arguments.
    static let active = ControlRequest(method: "active")
    /// What a worker has taken and not begun.
    static let reserved = ControlRequest(method: "reserved")
    /// The processes of a worker's pool, among other things.
    static let stats = ControlRequest(method: "stats")
    /// Makes a worker send task events, without any setting of its own. It forgets this when it reconnects.
    static let enableEvents = ControlRequest(method: "enable_events")
    /// A worker's tasks, with what tells their kind.
    static let registered = ControlRequest(
        method: "registered",
        arguments: .object([.init("taskinfoitems", .array(TaskKinds.attributes.map { .string($0) }))]))

    /// All of a worker's settings, defaults included, without passwords. What its command line says is not among them.
    static let settings = ControlRequest(method: "conf", arguments: .object([.init("with_defaults", .bool(true))]))
    /// The queues that a worker takes from, and how it declared them.
    static let queues = ControlRequest(method: "active_queues")
    /// A worker's tasks, with what each has of its own or from the settings.
    static let taskOptions = ControlRequest(
        method: "registered",
        arguments: .object([.init("taskinfoitems", .array(TaskOptions.attributes.map { .string($0) }))]))

    /// Which of these a worker holds.
    static func query(_ ids: [TaskID]) -> ControlRequest {
        ControlRequest(method: "query_task", arguments: .object([.init("ids", list(ids))]))
    }

    /// Never begin these, and stop what runs of them.
    static func revoke(_ ids: [TaskID], _ signal: Signal) -> ControlRequest {
        ControlRequest(
            method: "revoke",
            arguments: .object([
                .init("task_id", list(ids)), .init("terminate", .bool(true)),
                .init("signal", .string(signal.rawValue)),
            ]))
    }

    /// The same command for some nodes only.
    func to(_ nodes: [String]) -> ControlRequest {
        var copy = self
        copy.destination = nodes
        return copy
    }

    /// The message for the mailboxes' exchange.
    ///
    /// - Parameters:
    ///   - ticket: comes back with each answer; nil if none is wanted.
    func message(exchange: String, ticket: String? = nil, replyTo: ReplyAddress? = nil) -> AMQPMessage {
        var body: [JSONValue.Member] = [
            .init("method", .string(method)), .init("arguments", arguments),
            .init("destination", destination.map { .array($0.map { .string($0) }) } ?? .null),
            .init("pattern", .null), .init("matcher", .null),
        ]
        if let ticket, let replyTo {
            body.append(.init("ticket", .string(ticket)))
            body.append(
                .init(
                    "reply_to",
                    .object([
                        .init("exchange", .string(replyTo.exchange)),
                        .init("routing_key", .string(replyTo.routingKey)),
                    ])))
        }
        return Self.message(exchange: exchange, routingKey: "", body: .object(body))
    }

    /// The answer to a worker that is starting (``ControlCall/hello(node:ticket:replyTo:)``): from then on it drops
    /// these ids when it meets them.
    static func helloAnswer(
        revoked: [TaskID], from server: String, ticket: String, to address: ReplyAddress
    ) -> AMQPMessage {
        let answer = JSONValue.object([.init("revoked", list(revoked)), .init("clock", .integer(1))])
        var message = Self.message(
            exchange: address.exchange, routingKey: address.routingKey,
            body: .object([.init("rhythm@\(server)", answer)]))
        message.headers = ["ticket": .string(ticket), "clock": .int32(1)]
        return message
    }

    private static func message(exchange: String, routingKey: String, body: JSONValue) -> AMQPMessage {
        AMQPMessage(
            exchange: exchange, routingKey: routingKey, mandatory: false, contentType: "application/json",
            contentEncoding: "utf-8", persistent: false, headers: ["clock": .int32(1)],
            body: Array(body.compactText.utf8))
    }

    private static func list(_ ids: [TaskID]) -> JSONValue { .array(ids.map { .string($0.rawValue) }) }
}
