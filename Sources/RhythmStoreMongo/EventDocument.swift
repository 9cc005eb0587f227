import RhythmCore
import RhythmEngine
import RhythmMongo

/// An event as a document in the array `rhythm.events`, oldest first.
enum EventDocument {
    static func make(_ event: Event) -> BSONDocument {
        var document: BSONDocument = [
            "version": .int64(event.version), "at_us": .exact(event.at), "kind": .string(event.kind.rawValue),
            "status": .string(event.status.rawValue), "steps_done": .exact(event.stepsDone),
        ]
        if !event.step.isEmpty { document.append("step", .string(event.step)) }
        document.add("task_id", event.taskID?.rawValue)
        if event.attempt != 0 { document.append("attempt", .exact(event.attempt)) }
        if !event.detail.isEmpty { document.append("detail", .string(event.detail)) }
        return document
    }

    static func read(_ fields: Fields, of id: WorkflowID) throws(StoreError) -> Event {
        Event(
            workflowID: id, version: try fields.int64("version"), at: try fields.timestamp("at_us"),
            kind: try fields.word("kind"), status: try fields.word("status"), stepsDone: try fields.int("steps_done"),
            step: try fields.textIfAny("step") ?? "", taskID: try fields.textIfAny("task_id").map { TaskID($0) },
            attempt: try fields.int64IfAny("attempt").map { Int($0) } ?? 0,
            detail: try fields.textIfAny("detail") ?? "")
    }
}
