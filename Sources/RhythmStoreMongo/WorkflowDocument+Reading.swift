import RhythmCore
import RhythmEngine
import RhythmMongo

/// A workflow that was read, and what a write must name.
struct StoredWorkflow {
    var workflow: Workflow
    var revision: Int64
    var writer: String
}

extension WorkflowDocument {
    /// Whether the Python library, and not a server of ours, wrote this document.
    static func isLegacy(_ document: BSONDocument) -> Bool { document["rhythm"]?.documentValue == nil }

    /// The record of a document of ours.
    static func read(_ document: BSONDocument) throws(StoreError) -> StoredWorkflow {
        let id = document["_id"]?.stringValue ?? "?"
        let outer = Fields(document, "workflow \(id)")
        let fields = try outer.fields("rhythm")
        try check(fields)
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
        try readAttempts(fields, into: &workflow)
        return StoredWorkflow(
            workflow: workflow, revision: try fields.int64("revision"), writer: try fields.text("writer"))
    }

    private static func check(_ fields: Fields) throws(StoreError) {
        try check(schema: try fields.int64("schema"), of: fields.what)
    }

    /// Refuses the forms of other versions of this program: there is nothing that converts them.
    static func check(schema found: Int64, of what: String) throws(StoreError) {
        if found == schema { return }
        let both = "\(what) has schema version \(found), this program reads and writes version \(schema) only"
        guard found < schema else { throw StoreError(.tooNew, both + ": use a newer one") }
        throw StoreError(
            .tooOld,
            both + "; nothing was changed. Let the version that wrote it finish its workflows, and give this one "
                + "another database")
    }

    private static func readAttempts(_ fields: Fields, into workflow: inout Workflow) throws(StoreError) {
        var attempts: [(step: Int, attempt: Attempt)] = []
        let stored = try fields.fields("attempts")
        for name in stored.document.elements.map(\.key) {
            attempts.append(
                try AttemptDocument.read(stored.unfoldedFields(name, "attempt \(name) of \(fields.what)")))
        }
        attempts.sort { ($0.step, $0.attempt.number) < ($1.step, $1.attempt.number) }
        for (step, attempt) in attempts {
            guard workflow.steps.indices.contains(step) else { throw fields.corrupt("attempts", "belong to no step") }
            guard attempt.number == workflow.steps[step].attempts.count + 1 else {
                throw fields.corrupt(
                    "attempts", "of step \(step) before number \(attempt.number) are missing")
            }
            workflow.steps[step].attempts.append(attempt)
        }
    }

    /// The events of a document of ours with a version above `version`, oldest first.
    static func events(
        _ document: BSONDocument, of id: WorkflowID, after version: Int64, limit: Int
    ) throws(StoreError) -> [Event] {
        guard !isLegacy(document), limit > 0 else { return [] }
        let fields = try Fields(document, "workflow \(id)").fields("rhythm")
        let stored = try fields.fields("events")
        let versions = stored.document.elements.compactMap { Int64($0.key) }.filter { $0 > version }.sorted()
        var events: [Event] = []
        for version in versions.prefix(limit) {
            let name = EventDocument.name(version)
            let event = try stored.unfoldedFields(name, "event \(name) of \(fields.what)")
            events.append(try EventDocument.read(event, version: version, of: id))
        }
        return events
    }

    /// What ``summary(_:)`` needs of a document; of the Python library's also what its steps have run.
    static let summaryFields: BSONDocument = [
        "name": 1, "app_id": 1, "description": 1, "_status": 1, "version": 1, "labels": 1, "created_at": 1,
        "updated_at": 1, "steps.name": 1, "steps.task": 1, "steps.task_runs": 1, "rhythm.schema": 1,
        "rhythm.control": 1, "rhythm.steps_done": 1, "rhythm.steps_total": 1, "rhythm.pending_step": 1,
        "rhythm.created_us": 1, "rhythm.updated_us": 1, "rhythm.started_us": 1, "rhythm.ended_us": 1,
    ]

    /// A document of ours as a row of a list.
    static func summary(_ document: BSONDocument) throws(StoreError) -> WorkflowSummary {
        let outer = Fields(document, "workflow \(document["_id"]?.stringValue ?? "?")")
        let fields = try outer.fields("rhythm")
        try check(fields)
        var labels: [String: String] = [:]
        for element in try outer.fields("labels").document.elements { labels[element.key] = element.value.stringValue }
        let control: ControlWord = try fields.word("control")
        return WorkflowSummary(
            id: WorkflowID(try outer.text("_id")), name: try outer.textIfAny("name") ?? "",
            appID: try outer.textIfAny("app_id") ?? "",
            labels: labels, status: try outer.word("_status"), isPaused: control == .paused || control == .pausing,
            isCancelled: control == .cancelled, stepsDone: try fields.int("steps_done"),
            totalSteps: try fields.int("steps_total"), pendingStep: try fields.text("pending_step"),
            version: try outer.int64("version"), createdAt: try fields.timestamp("created_us"),
            updatedAt: try fields.timestamp("updated_us"), startedAt: try fields.timestampIfAny("started_us"),
            endedAt: try fields.timestampIfAny("ended_us"))
    }
}
