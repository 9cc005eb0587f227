import RhythmAMQP
import RhythmCore

/// A task message in Celery's protocol 2, as every worker from 4.0 on understands it.
///
/// Messages are checked before they are sent (``check(_:limits:)``): some malformed ones end the worker that takes them,
/// return to the queue and end the next one; others vanish without a trace.
struct TaskMessage {
    /// Why a message is not sent.
    struct Refusal: Error, Hashable, CustomStringConvertible {
        /// The field at fault, such as `args[0].size` or `queue`.
        var field: String
        /// What stands there, cut.
        var value: String
        /// What would be right.
        var wanted: String

        var description: String { "\(field) is \(value); it must be \(wanted)" }
    }

    /// How large and of what kind messages may be.
    struct Limits: Sendable {
        /// Bytes of the body: args and kwargs are copied into the result document, which MongoDB limits to 16 MiB.
        var bodyBytes = 15 << 20
        /// Workers copy the arguments into the result document (`result_extended`).
        var isExtended = true
    }

    /// AMQP short strings: queue names, routing keys, correlation ids.
    private static let shortBytes = 255
    /// All headers must fit into one frame of 128 KiB.
    private static let headerBytes = 120_000
    /// One name among the headers.
    private static let nameBytes = 20_000

    /// Makes the message of an attempt.
    ///
    /// - Parameters:
    ///   - kwargs: with everything that is injected.
    ///   - origin: who sends it, for the worker's logs.
    static func make(of dispatch: Dispatch, queue: String, kwargs: JSON, origin: String) -> AMQPMessage {
        let id = dispatch.taskID.rawValue
        return AMQPMessage(
            exchange: "", routingKey: queue, mandatory: true, contentType: "application/json",
            contentEncoding: "utf-8", persistent: true, priority: UInt8(min(9, max(0, dispatch.priority))),
            correlationID: id,
            headers: [
                "lang": "py", "task": .string(dispatch.task), "id": .string(id), "shadow": .null, "eta": .null,
                "expires": .null,
                // Copied into every document of the attempt, whatever becomes of it: who looks at the collection can
                // tell which workflow and step it belongs to.
                "group": .string(dispatch.workflowID.rawValue), "group_index": .null,
                "parent_id": .string(dispatch.step), "root_id": .string(id), "retries": .int32(0),
                "timelimit": .array([.null, .null]), "argsrepr": .string(PythonRepr.arguments(dispatch.args)),
                "kwargsrepr": .string(PythonRepr.keywords(kwargs)), "origin": .string(origin),
                // Said outright: a task that is defined with ignore_result stores its result all the same.
                "ignore_result": false, "replaced_task_nesting": .int32(0), "stamped_headers": .null,
                "stamps": .table([:]),
            ],
            body: Array(
                ("[" + dispatch.args.text + "," + kwargs.text
                    + #",{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#).utf8))
    }

    /// Refuses whatever would end a worker, vanish, or lose its outcome.
    static func check(_ message: AMQPMessage, limits: Limits = Limits()) throws(Refusal) {
        try checkProperties(message)
        try checkHeaders(message.headers)
        try checkBody(message.body, limits: limits)
    }

    private static func checkProperties(_ message: AMQPMessage) throws(Refusal) {
        guard message.contentType == "application/json" else {
            throw Refusal(
                field: "content_type", value: shown(message.contentType), wanted: "application/json")
        }
        guard message.contentEncoding == "utf-8" else {
            throw Refusal(field: "content_encoding", value: shown(message.contentEncoding), wanted: "utf-8")
        }
        try checkShort("queue", message.routingKey)
        if let id = message.correlationID { try checkShort("task_id", id) }
        guard (message.priority ?? 0) <= 9 else {
            throw Refusal(field: "priority", value: "\(message.priority ?? 0)", wanted: "0 to 9")
        }
    }

    private static func checkShort(_ field: String, _ text: String) throws(Refusal) {
        guard (1...shortBytes).contains(text.utf8.count), !text.utf8.contains(0) else {
            throw Refusal(
                field: field, value: shown(text),
                wanted: "1 to \(shortBytes) bytes without NUL; it has \(text.utf8.count)")
        }
    }

    private static func checkHeaders(_ headers: AMQPTable) throws(Refusal) {
        for name in ["task", "id"] {
            guard let text = headers[name]?.stringValue, (1...nameBytes).contains(text.utf8.count) else {
                throw Refusal(
                    field: name, value: shown(headers[name]?.stringValue), wanted: "text of 1 to \(nameBytes) bytes")
            }
        }
        guard let timelimit = headers["timelimit"], case .array(let limits) = timelimit, limits.count == 2 else {
            throw Refusal(
                field: "timelimit", value: "\(headers["timelimit"].map { "\($0)" } ?? "missing")",
                wanted: "an array of two")
        }
        for name in ["eta", "expires"] {
            guard headers[name] == .null else {
                throw Refusal(
                    field: name, value: "\(headers[name].map { "\($0)" } ?? "missing")",
                    wanted: "null: workers hold such messages or drop them unseen")
            }
        }
        guard headers["ignore_result"] == .bool(false) else {
            throw Refusal(field: "ignore_result", value: "not false", wanted: "false, or no result would be stored")
        }
        var total = 0
        for entry in headers.entries {
            guard let text = entry.value.stringValue else { continue }
            total += entry.key.utf8.count + text.utf8.count + 8
            if entry.key == "group" || entry.key == "parent_id", text.utf8.count > nameBytes {
                throw Refusal(
                    field: entry.key == "group" ? "workflow_id" : "step", value: shown(text),
                    wanted: "at most \(nameBytes) bytes")
            }
        }
        guard total <= headerBytes else {
            throw Refusal(field: "headers", value: "\(total) bytes", wanted: "at most \(headerBytes) bytes")
        }
    }

    private static func checkBody(_ body: [UInt8], limits: Limits) throws(Refusal) {
        guard body.count <= limits.bodyBytes else {
            throw Refusal(
                field: "args and kwargs", value: "\(body.count) bytes", wanted: "at most \(limits.bodyBytes) bytes")
        }
        guard let text = String(validating: body, as: UTF8.self), let json = try? JSON(parsing: text) else {
            throw Refusal(field: "body", value: "not JSON", wanted: "JSON in UTF-8")
        }
        let elements: [UInt8]
        do throws(ArgumentScan.Finding) {
            elements = try ArgumentScan.check(json.text, isExtended: limits.isExtended)
        } catch {
            throw Refusal(field: field(of: error.path), value: error.value, wanted: error.wanted)
        }
        guard elements.count == 3 else {
            throw Refusal(field: "body", value: "\(elements.count) elements", wanted: "[args, kwargs, embed]")
        }
        let wanted: [(String, UInt8, String)] = [
            ("args", UInt8(ascii: "["), "an array"), ("kwargs", UInt8(ascii: "{"), "an object"),
            ("embed", UInt8(ascii: "{"), "an object"),
        ]
        for (element, (name, first, kind)) in zip(elements, wanted) where element != first {
            throw Refusal(field: name, value: "something else", wanted: kind)
        }
    }

    /// `[0][2].a` within the body is `args[2].a`.
    private static func field(of path: String) -> String {
        for (prefix, name) in [("[0]", "args"), ("[1]", "kwargs")] where path.hasPrefix(prefix) {
            return name + path.dropFirst(prefix.count)
        }
        return "body" + path
    }

    private static func shown(_ text: String?) -> String {
        text.map { JSON.string(String($0.prefix(60))).text } ?? "missing"
    }
}
