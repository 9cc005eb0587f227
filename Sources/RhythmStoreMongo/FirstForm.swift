import RhythmCore
import RhythmEngine
import RhythmMongo

/// The form that records had before they got a collection of their own: a document of `workflow_meta`, whose top level
/// was for the Python library's readers, and whose sub-document `rhythm` held the record. Only read, to be converted
/// (``Conversion``).
enum FirstForm {
    static let schema: Int64 = 2

    /// The indexes that it needed there.
    static let indexes = [
        "rhythm_request_id", "rhythm_unsettled", "rhythm_created", "rhythm_updated", "rhythm_status", "rhythm_app",
        "rhythm_name", "rhythm_label",
    ]

    /// A record and the events that it keeps.
    static func read(_ document: BSONDocument) throws(StoreError) -> (stored: StoredWorkflow, events: [Event]) {
        let id = document["_id"]?.stringValue ?? "?"
        let outer = Fields(document, "workflow \(id)")
        let fields = try outer.fields("rhythm")
        var steps: [StepSpec] = []
        for step in try fields.unfoldedList("steps") { steps.append(try StepDocument.readExact(step)) }
        var labels: [String: String] = [:]
        for element in try outer.fields("labels").document.elements {
            guard let value = element.value.stringValue else { throw outer.corrupt("labels") }
            labels[element.key] = value
        }
        let spec = WorkflowSpec(
            // What was adopted may lack these: the Python library did not always store them.
            name: try outer.textIfAny("name") ?? "", appID: try outer.textIfAny("app_id") ?? "",
            description: try outer.textIfAny("description") ?? "", labels: labels, args: try fields.json("args"),
            kwargs: try fields.json("kwargs"), steps: steps)
        var workflow = Workflow(
            id: WorkflowID(try outer.text("_id")), spec: spec, createdAt: try fields.timestamp("created_us"),
            requestID: try fields.textIfAny("request_id") ?? "")
        workflow.version = try outer.int64("version")
        workflow.updatedAt = try fields.timestamp("updated_us")
        workflow.startedAt = try fields.timestampIfAny("started_us")
        workflow.endedAt = try fields.timestampIfAny("ended_us")
        workflow.deletesWhenSettled = try fields.bool("deletes")
        let from = try fields.int64IfAny("resume_from").map { Int($0) }
        if let from, !steps.indices.contains(from) { throw fields.corrupt("resume_from", "points to no step") }
        workflow.control = try fields.word("control", ControlWord.self)
            .control(ResumePlan(from: from, args: try fields.jsonIfAny("resume_args")))
        for request in try fields.unfoldedList("requests") {
            workflow.requests.append(try RequestDocument.read(request))
        }
        try WorkflowDocument.readAttempts(fields, into: &workflow)
        let stored = StoredWorkflow(
            workflow: workflow, revision: try fields.int64("revision"), writer: try fields.text("writer"))
        let events = try WorkflowDocument.events(
            try fields.fields("events"), of: workflow.id, after: 0, limit: .max)
        return (stored, events)
    }
}
