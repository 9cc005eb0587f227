import RhythmAMQP
import RhythmCore

/// A worker's answer to a remote control command.
struct ControlReply: Hashable, Sendable {
    /// Which command it answers.
    let ticket: String
    /// Who answers.
    let node: String
    /// What it says.
    let value: JSONValue

    /// Reads an answer; nil for anything else.
    init?(headers: AMQPTable, body: [UInt8]) {
        guard let ticket = headers["ticket"]?.stringValue, let text = String(validating: body, as: UTF8.self),
            let json = try? JSON(parsing: text), case .object(let members) = json.value, let answer = members.first
        else { return nil }
        self.ticket = ticket
        node = answer.name
        value = answer.value
    }
}

/// How a worker holds an attempt.
struct Holding: Hashable, Sendable {
    /// What the worker says of it.
    enum State: String, Hashable, Sendable {
        /// A process of its pool runs it.
        case active
        /// Taken from the queue, not begun.
        case reserved
        /// Taken from the queue and held until a time: a retry's delay.
        case scheduled
        /// Neither of these, and not forgotten yet: it is ending.
        case ready
    }

    var state: State
    /// The pool process that runs it, if one does.
    var process: Int?
    /// When that began it, by the clock of the worker's machine.
    var begunAt: Timestamp?

    /// The answers to `query_task`, by id.
    static func read(query value: JSONValue) -> [TaskID: Holding] {
        guard case .object(let members) = value else { return [:] }
        var found: [TaskID: Holding] = [:]
        for member in members {
            guard let pair = member.value.arrayValue, let word = pair.first?.stringValue else { continue }
            let info = pair.count > 1 ? pair[1] : .null
            found[TaskID(member.name)] = Holding(
                state: State(rawValue: word) ?? .active,
                process: info["worker_pid"]?.intValue.map { Int(clamping: $0) },
                begunAt: EventBatch.time(info["time_start"]))
        }
        return found
    }

    /// The ids that an answer to `scheduled` names.
    static func read(scheduled value: JSONValue) -> [TaskID: Holding] {
        var found: [TaskID: Holding] = [:]
        for entry in value.arrayValue ?? [] {
            guard let id = entry["request"]?["id"]?.stringValue else { continue }
            found[TaskID(id)] = Holding(state: .scheduled, process: nil)
        }
        return found
    }

    /// What runs, by id, in an answer to `active`.
    static func read(running value: JSONValue) -> [TaskID: Holding] {
        var found: [TaskID: Holding] = [:]
        for entry in value.arrayValue ?? [] {
            guard let id = entry["id"]?.stringValue else { continue }
            found[TaskID(id)] = Holding(
                state: .active, process: entry["worker_pid"]?.intValue.map { Int(clamping: $0) },
                begunAt: EventBatch.time(entry["time_start"]))
        }
        return found
    }

    /// What each process is at, in an answer to `active`.
    static func read(active value: JSONValue) -> [Int: TaskID] {
        var found: [Int: TaskID] = [:]
        for entry in value.arrayValue ?? [] {
            guard let process = entry["worker_pid"]?.intValue, let id = entry["id"]?.stringValue else { continue }
            found[Int(clamping: process)] = TaskID(id)
        }
        return found
    }

    /// The processes that an answer to `stats` names; nil if this kind of pool has none.
    static func read(processes value: JSONValue) -> Set<Int>? {
        guard let list = value["pool"]?["processes"]?.arrayValue else { return nil }
        return Set(list.compactMap { $0.intValue.map { Int(clamping: $0) } })
    }

    /// Whether a process may be at work on it.
    ///
    /// - Parameter processes: those of the worker's pool; nil if unknown.
    func mayRun(in processes: Set<Int>?) -> Bool {
        switch state {
        case .active: return true
        case .reserved, .scheduled: return false
        case .ready:
            guard let process else { return false }
            return processes?.contains(process) ?? true
        }
    }
}

/// A command that somebody sent to all mailboxes, as far as the server cares.
enum ControlCall: Hashable, Sendable {
    /// A worker is starting and asks which ids are revoked; it waits a second for answers before it takes tasks.
    case hello(node: String, ticket: String, replyTo: ControlRequest.ReplyAddress)

    /// Reads a command; nil for all others and for junk.
    init?(body: [UInt8]) {
        guard let text = String(validating: body, as: UTF8.self), let value = (try? JSON(parsing: text))?.value,
            value["method"]?.stringValue == "hello", let ticket = value["ticket"]?.stringValue,
            let exchange = value["reply_to"]?["exchange"]?.stringValue,
            let key = value["reply_to"]?["routing_key"]?.stringValue
        else { return nil }
        self = .hello(
            node: value["arguments"]?["from_node"]?.stringValue ?? "", ticket: ticket,
            replyTo: ControlRequest.ReplyAddress(exchange: exchange, routingKey: key))
    }
}
