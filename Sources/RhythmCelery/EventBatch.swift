import RhythmCore

/// What one message of the event exchange says: an array of events for `task.multi`, one event for all others.
///
/// Events are a reason to look at a document, never the truth about it: one of success can come for a task that did not
/// run, and a killed worker sends none.
struct EventBatch {
    /// One event.
    enum Event: Hashable, Sendable {
        /// A worker took the attempt from its queue.
        case received(TaskID, worker: String)
        /// A process of the worker's pool began it.
        case started(TaskID, worker: String, at: Timestamp)
        /// A run of it is over: its process is done with it, whatever its document says.
        case finished(TaskID, End, worker: String)
        /// Something else happened to the attempt: its document is worth a look.
        case changed(TaskID)
        /// A worker came up, or is connected again.
        case online(String, Pulse)
        /// A worker is there.
        case alive(String, Pulse)
        /// A worker takes no more tasks; it may still be finishing some.
        case offline(String)
    }

    /// How a run ended, in its worker's word.
    enum End: Hashable, Sendable {
        case succeeded
        /// The exception, as Python shows it.
        case failed(String)
        /// It is tried again under the same id.
        case retried
    }

    /// What a worker's sign of life says of it.
    struct Pulse: Hashable, Sendable {
        /// When it was sent, by the clock of the worker's machine.
        var sentAt: Timestamp?
        /// The version of Celery, such as `5.2.7`.
        var version: String?
    }

    let events: [Event]
    /// So much of an exception is kept.
    private static let exceptionLength = 300

    /// Reads a message. Whatever is not understood is passed over.
    init(body: [UInt8]) {
        guard let text = String(validating: body, as: UTF8.self), let value = (try? JSON(parsing: text))?.value else {
            events = []
            return
        }
        events = (value.arrayValue ?? [value]).compactMap(Self.event)
    }

    private static func event(_ value: JSONValue) -> Event? {
        guard let type = value["type"]?.stringValue, let host = value["hostname"]?.stringValue, !host.isEmpty else {
            return nil
        }
        switch type {
        case "worker-online": return .online(host, pulse(value))
        case "worker-heartbeat": return .alive(host, pulse(value))
        case "worker-offline": return .offline(host)
        default: break
        }
        guard type.hasPrefix("task-"), let id = value["uuid"]?.stringValue else { return nil }
        switch type {
        case "task-sent": return nil
        case "task-received": return .received(TaskID(id), worker: host)
        case "task-started":
            return time(value["timestamp"]).map { .started(TaskID(id), worker: host, at: $0) } ?? .changed(TaskID(id))
        case "task-succeeded": return .finished(TaskID(id), .succeeded, worker: host)
        case "task-failed":
            let exception = value["exception"]?.stringValue ?? ""
            return .finished(TaskID(id), .failed(String(exception.prefix(exceptionLength))), worker: host)
        case "task-retried": return .finished(TaskID(id), .retried, worker: host)
        default: return .changed(TaskID(id))
        }
    }

    private static func pulse(_ value: JSONValue) -> Pulse {
        Pulse(sentAt: time(value["timestamp"]), version: value["sw_ver"]?.stringValue)
    }

    static func time(_ value: JSONValue?) -> Timestamp? {
        guard let seconds = value?.doubleValue, abs(seconds) < 1e11 else { return nil }
        return Timestamp(microseconds: Int64(seconds * 1_000_000))
    }
}
