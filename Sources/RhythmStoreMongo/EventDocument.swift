import RhythmCore
import RhythmEngine
import RhythmMongo

/// An event as a folded document in `events`, under its version: so a write adds some and drops others without
/// the server looking at the rest.
enum EventDocument {
    static func name(_ version: Int64) -> String { String(version) }

    static func makeElement(_ event: Event) -> BSONDocument.Element {
        .init(name(event.version), BSONValue.document(make(event)).folded)
    }

    private static func make(_ event: Event) -> BSONDocument {
        var document: BSONDocument = [
            "at_us": .exact(event.at), "kind": .string(event.kind.rawValue),
            "status": .string(event.status.rawValue), "steps_done": .exact(event.stepsDone),
        ]
        if !event.step.isEmpty { document.append("step", .string(event.step)) }
        document.add("task_id", event.taskID?.rawValue)
        if event.attempt != 0 { document.append("attempt", .exact(event.attempt)) }
        if !event.detail.isEmpty { document.append("detail", .string(event.detail)) }
        return document
    }

    static func read(_ fields: Fields, version: Int64, of id: WorkflowID) throws(StoreError) -> Event {
        Event(
            workflowID: id, version: version, at: try fields.timestamp("at_us"),
            kind: try fields.word("kind"), status: try fields.word("status"), stepsDone: try fields.int("steps_done"),
            step: try fields.textIfAny("step") ?? "", taskID: try fields.textIfAny("task_id").map { TaskID($0) },
            attempt: try fields.int64IfAny("attempt").map { Int($0) } ?? 0,
            detail: try fields.textIfAny("detail") ?? "")
    }
}
