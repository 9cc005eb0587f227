import RhythmCore
import RhythmMongo

/// A document of `celery_taskmeta`: what a worker last wrote about an attempt.
///
/// Read with tolerance: fields may be missing (`result_extended` off), dates come as dates or as text without an offset,
/// results as text or as bytes, and tasks write states of their own.
struct ResultDocument: Sendable, Hashable {
    /// The states that say how far an attempt is.
    enum Status: Hashable, Sendable {
        /// Not begun as far as the document says (PENDING, RECEIVED).
        case waiting
        /// STARTED, or a state of the task's own.
        case started
        case retry, success, failure, revoked
    }

    let id: TaskID
    let status: Status
    /// The result as text; nil if there is none, or none that can be read.
    let resultText: String?
    /// A result that is bytes and no JSON.
    let binary: [UInt8]?
    /// Why the result cannot be read; nil if it can.
    let unreadable: String?
    let endedAt: Timestamp?
    let traceback: String
    /// The worker's node name; empty if the document does not say.
    let worker: String
    /// The number of the run that wrote it, from 0; nil if the document does not say.
    let retries: Int?

    init?(_ document: BSONDocument) {
        guard case .string(let id) = document["_id"], case .string(let status) = document["status"] else {
            return nil
        }
        self.id = TaskID(id)
        switch status {
        case "PENDING", "RECEIVED", "REJECTED": self.status = .waiting
        case "RETRY": self.status = .retry
        case "SUCCESS": self.status = .success
        case "FAILURE": self.status = .failure
        case "REVOKED": self.status = .revoked
        default: self.status = .started
        }
        (resultText, unreadable) = Self.text(of: document["result"])
        if unreadable != nil, case .binary(_, let bytes) = document["result"] { binary = bytes } else { binary = nil }
        endedAt = Self.date(document["date_done"])
        traceback = if case .string(let text) = document["traceback"] { text } else { "" }
        worker = if case .string(let name) = document["worker"] { name } else { "" }
        retries =
            switch document["retries"] {
            case .int32(let number): Int(number)
            case .int64(let number): Int(clamping: number)
            case .double(let number): Int(exactly: number.rounded())
            default: nil
            }
    }

    private static func text(of value: BSONValue?) -> (String?, String?) {
        switch value {
        case .string(let text): return (text, nil)
        case .binary(_, let bytes):
            if let text = String(validating: bytes, as: UTF8.self), (try? JSON(parsing: text)) != nil {
                return (text, nil)
            }
            return (
                nil,
                "it is stored compressed or in a binary form; set result_serializer to json and leave "
                    + "result_compression unset in the workers"
            )
        case nil, .null: return (nil, nil)
        // The serializer bson leaves it to the database.
        case .document, .array: return (value?.jsonText, nil)
        default: return (nil, "it is stored as another type than text")
        }
    }

    private static func date(_ value: BSONValue?) -> Timestamp? {
        switch value {
        case .date(let milliseconds):
            let (microseconds, overflow) = milliseconds.multipliedReportingOverflow(by: 1000)
            return overflow ? nil : Timestamp(microseconds: microseconds)
        case .string(let text): return Timestamp(iso8601: text)
        default: return nil
        }
    }

    /// It says SUCCESS or FAILURE, or a REVOKED of the task's own. REVOKED by a worker is none: it says that somebody asked
    /// the attempt to stop, not that it has stopped.
    var tellsEnd: Bool {
        switch status {
        case .success, .failure: true
        case .revoked: isTasksOwnRevoke
        case .waiting, .started, .retry: false
        }
    }

    /// The task itself has stored REVOKED: workers store an exception of Celery's with it.
    var isTasksOwnRevoke: Bool {
        guard status == .revoked, let resultText else { return false }
        return !resultText.contains("TaskRevokedError")
    }

    /// A failure that a worker's main process stores, without a traceback, when no process of its pool is at the task any
    /// more or ever was: its process died, took too long, or nobody knows the task.
    var isWrittenByWorker: Bool {
        guard status == .failure, traceback.isEmpty, let module = result?.value["exc_module"]?.stringValue else {
            return false
        }
        return ["billiard", "celery", "kombu"].contains { module == $0 || module.hasPrefix($0 + ".") }
    }

    /// The result as JSON; nil if it is none.
    private var result: JSON? { resultText.flatMap { try? JSON(parsing: $0) } }

    /// The pool process and the worker that Celery itself names when a task begins; nil for everything else.
    var processID: Int? {
        guard status == .started else { return nil }
        return result?.value["pid"]?.intValue.map { Int(clamping: $0) }
    }

    /// The node that runs it, as far as the document says; empty if it does not.
    var node: String {
        if !worker.isEmpty { return worker }
        guard status == .started else { return "" }
        return result?.value["hostname"]?.stringValue ?? ""
    }
}
