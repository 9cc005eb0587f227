import RhythmCore

extension ResultDocument {
    /// How much of a result that cannot be used goes into a message.
    private static let excerptLength = 200

    /// The end that the document tells; nil for one that tells none (``tellsEnd``).
    ///
    /// - Parameter isLast: no step follows, so nobody needs a result that cannot be read.
    func end(now: Timestamp, isLast: Bool = false) -> Observation? {
        switch status {
        case .success: success(at: endedAt ?? now, isLast: isLast)
        case .failure: .failed(failure, at: endedAt ?? now)
        case .revoked where isTasksOwnRevoke: .revoked(detail: ownRevokeDetail, at: endedAt ?? now)
        case .waiting, .started, .retry, .revoked: nil
        }
    }

    /// What a task says that has stored REVOKED itself.
    private var ownRevokeDetail: String {
        "the task itself has stored REVOKED" + (FailureText(self).message.map { ": \($0)" } ?? "")
    }

    /// What the attempt says of how far it is; nil if it says nothing of the kind.
    func progress(now: Timestamp) -> ProgressReport? {
        guard status == .started, let text = resultText, let meta = try? JSON(parsing: text) else { return nil }
        // What Celery itself stores when a task begins is no report.
        return ProgressReport(reported: meta.value, passing: ["pid", "hostname"], at: now)
    }

    /// Why a run of the attempt ended, if it did end badly.
    var failure: Failure {
        let text = FailureText(self)
        let type = text.type ?? "Exception"
        let module = text.module
        let message = text.message ?? "it left no message"
        if type == "NotRegistered", module == "celery.exceptions" {
            return Failure(
                type: "TaskNotFound", message: "the worker that took it does not know the task \(message)",
                module: module, isRetriable: false)
        }
        return Failure(
            type: type, message: message, module: module, traceback: traceback,
            isRetriable: !Self.isHopeless(type, module))
    }

    /// What no repetition can help: the library's own word for that, and results that cannot be stored.
    private static func isHopeless(_ type: String, _ module: String) -> Bool {
        type == "NonRetryableException" || (type == "EncodeError" && module.hasPrefix("kombu"))
    }

    /// Why it was revoked, in the worker's word: terminated, revoked or expired.
    var revokeDetail: String {
        FailureText(self).message.map { "its worker says: \($0)" } ?? "its worker says that it was revoked"
    }

    private func success(at: Timestamp, isLast: Bool) -> Observation {
        if let unreadable {
            if isLast { return .succeeded(result: nil, at: at) }
            return .failed(wrong("its result cannot be read: \(unreadable)"), at: at)
        }
        guard let text = resultText else { return .succeeded(result: nil, at: at) }
        do throws(JSONError) {
            let json = try JSON(parsing: text)
            // A task that returns nothing hands its own argument on, whoever runs it.
            return .succeeded(result: json == .null ? nil : json, at: at)
        } catch {
            if isLast { return .succeeded(result: .string(text), at: at) }
            return .failed(wrong("its result is \(error): \(text.prefix(Self.excerptLength))"), at: at)
        }
    }

    private func wrong(_ message: String) -> Failure {
        Failure(type: "ResultFormat", message: message, isRetriable: false)
    }
}
