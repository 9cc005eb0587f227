import RhythmCore

/// The latest commands of a workflow and their receipts as one JSON text; nil if there are none, which is the rule.
enum AppliedRequestsCoding {
    static func text(_ requests: [AppliedRequest]) -> String? {
        if requests.isEmpty { return nil }
        return JSONValue.array(requests.map { .object(members(of: $0)) }).compactText
    }

    /// Nil if the text is none of ours.
    static func requests(_ json: JSON) -> [AppliedRequest]? {
        guard let elements = json.value.arrayValue else { return nil }
        var requests: [AppliedRequest] = []
        for element in elements {
            guard let id = element["id"]?.stringValue, let receipt = receipt(element) else { return nil }
            requests.append(AppliedRequest(id: id, receipt: receipt))
        }
        return requests
    }

    private static func members(of request: AppliedRequest) -> [JSONValue.Member] {
        let receipt = request.receipt
        return [
            .init("id", .string(request.id)), .init("command", .string(receipt.command.rawValue)),
            .init("accepted", .bool(receipt.accepted)), .init("already", .bool(receipt.already)),
            .init("reason", .string(receipt.reason)), .init("message", .string(receipt.message)),
            .init("revoked", receipt.revokedStep.map(value) ?? .null),
            .init("restarted", receipt.restartedStep.map(value) ?? .null),
            .init("quiesced", .bool(receipt.quiesced)), .init("status", .string(receipt.status.rawValue)),
            .init("version", .integer(receipt.version)),
        ]
    }

    private static func receipt(_ value: JSONValue) -> Receipt? {
        guard let command = value["command"]?.stringValue.flatMap(Receipt.Command.init(rawValue:)),
            case .bool(let accepted)? = value["accepted"], case .bool(let already)? = value["already"],
            let reason = value["reason"]?.stringValue, let message = value["message"]?.stringValue,
            case .bool(let quiesced)? = value["quiesced"],
            let status = value["status"]?.stringValue.flatMap(WorkflowStatus.init(rawValue:)),
            let version = value["version"]?.intValue, let revoked = value["revoked"],
            let restarted = value["restarted"]
        else { return nil }
        return Receipt(
            command: command, accepted: accepted, already: already, reason: reason, message: message,
            revokedStep: summary(revoked), restartedStep: summary(restarted), quiesced: quiesced, status: status,
            version: version)
    }

    private static func value(_ summary: AttemptSummary) -> JSONValue {
        .array([.string(summary.taskID.rawValue), .string(summary.task), .string(summary.step)])
    }

    private static func summary(_ value: JSONValue) -> AttemptSummary? {
        guard let parts = value.arrayValue, parts.count == 3, let id = parts[0].stringValue,
            let task = parts[1].stringValue, let step = parts[2].stringValue
        else { return nil }
        return AttemptSummary(taskID: TaskID(id), task: task, step: step)
    }
}
