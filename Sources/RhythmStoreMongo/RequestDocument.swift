import RhythmCore
import RhythmEngine
import RhythmMongo

/// A command that came with a request id, and its receipt, as a document of the folded array `requests`.
enum RequestDocument {
    static func make(_ request: AppliedRequest) -> BSONDocument {
        let receipt = request.receipt
        var document: BSONDocument = [
            "id": .string(request.id), "command": .string(receipt.command.rawValue),
            "accepted": .bool(receipt.accepted), "already": .bool(receipt.already),
            "reason": .string(receipt.reason), "message": .string(receipt.message),
            "quiesced": .bool(receipt.quiesced), "status": .string(receipt.status.rawValue),
            "version": .int64(receipt.version),
        ]
        document.add("revoked", receipt.revokedStep.map { .document(make($0)) })
        document.add("restarted", receipt.restartedStep.map { .document(make($0)) })
        return document
    }

    static func read(_ fields: Fields) throws(StoreError) -> AppliedRequest {
        var receipt = Receipt(
            command: try fields.word("command"), accepted: try fields.bool("accepted"),
            already: try fields.bool("already"), reason: try fields.text("reason"),
            message: try fields.text("message"), quiesced: try fields.bool("quiesced"),
            status: try fields.word("status"), version: try fields.int64("version"))
        if let step = try fields.fieldsIfAny("revoked") { receipt.revokedStep = try readSummary(step) }
        if let step = try fields.fieldsIfAny("restarted") { receipt.restartedStep = try readSummary(step) }
        return AppliedRequest(id: try fields.text("id"), receipt: receipt)
    }

    private static func make(_ summary: AttemptSummary) -> BSONDocument {
        [
            "task_id": .string(summary.taskID.rawValue), "task": .string(summary.task), "step": .string(summary.step),
        ]
    }

    private static func readSummary(_ fields: Fields) throws(StoreError) -> AttemptSummary {
        AttemptSummary(
            taskID: TaskID(try fields.text("task_id")), task: try fields.text("task"), step: try fields.text("step"))
    }
}
