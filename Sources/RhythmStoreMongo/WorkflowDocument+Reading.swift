import RhythmCore
import RhythmEngine
import RhythmMongo

/// A workflow that was read, and what a write must name.
struct StoredWorkflow {
    var workflow: Workflow
    var revision: Int64
    var writer: String
    var isAdopted = false
}

extension WorkflowDocument {
    /// The record of a document.
    static func read(_ document: BSONDocument) throws(StoreError) -> StoredWorkflow {
        let id = document["_id"]?.stringValue ?? "?"
        let fields = Fields(document, "workflow \(id)")
        try check(schema: try fields.int64("schema"), of: fields.what)
        let fixed = try fields.unfoldedFields("fixed", fields.what)
        var steps: [StepSpec] = []
        for step in try fixed.list("steps") { steps.append(try StepDocument.readExact(step)) }
        let spec = WorkflowSpec(
            name: try fields.text("name"), appID: try fields.text("app_id"),
            description: try fixed.text("description"), labels: try labels(fields), args: try fixed.json("args"),
            kwargs: try fixed.json("kwargs"), steps: steps)
        var workflow = Workflow(
            id: WorkflowID(try fields.text("_id")), spec: spec, createdAt: try fields.timestamp("created_us"),
            requestID: try fields.textIfAny("request") ?? "")
        workflow.version = try fields.int64("version")
        workflow.updatedAt = try fields.timestamp("updated_us")
        try readState(fields, into: &workflow)
        for request in try fields.unfoldedList("requests") {
            workflow.requests.append(try RequestDocument.read(request))
        }
        try readAttempts(fields, into: &workflow)
        return StoredWorkflow(
            workflow: workflow, revision: try fields.int64("revision"), writer: try fields.text("writer"),
            isAdopted: fields.document["adopted"] != nil)
    }

    private static func readState(_ fields: Fields, into workflow: inout Workflow) throws(StoreError) {
        let state = try fields.unfoldedFields("state", fields.what)
        workflow.startedAt = try state.timestampIfAny("started_us")
        workflow.endedAt = try state.timestampIfAny("ended_us")
        workflow.deletesWhenSettled = state.document["deletes"]?.boolValue ?? false
        let from = try state.int64IfAny("resume_from").map { Int($0) }
        if let from, !workflow.steps.indices.contains(from) { throw state.corrupt("resume_from", "points to no step") }
        workflow.control = try state.word("control", ControlWord.self)
            .control(ResumePlan(from: from, args: try state.jsonIfAny("resume_args")))
    }

    private static func labels(_ fields: Fields) throws(StoreError) -> [String: String] {
        guard let pairs = fields.document["pairs"]?.arrayValue else { throw fields.corrupt("pairs") }
        var labels: [String: String] = [:]
        for pair in pairs {
            guard let label = pair.stringValue.flatMap({ label(ofPair: $0) }) else { throw fields.corrupt("pairs") }
            labels[label.key] = label.value
        }
        return labels
    }

    /// Refuses the forms of other versions of this program.
    static func check(schema found: Int64, of what: String) throws(StoreError) {
        if found == schema { return }
        let both = "\(what) has schema version \(found), this program reads and writes version \(schema) only"
        guard found < schema else { throw StoreError(.tooNew, both + ": use a newer one") }
        throw StoreError(
            .tooOld,
            both + "; nothing was changed. Let the version that wrote it finish its workflows, and give this one "
                + "another database")
    }

    static func readAttempts(_ fields: Fields, into workflow: inout Workflow) throws(StoreError) {
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

    /// The events of a record with a version above `version`, oldest first.
    static func events(
        _ document: BSONDocument, of id: WorkflowID, after version: Int64, limit: Int
    ) throws(StoreError) -> [Event] {
        let fields = Fields(document, "workflow \(id)")
        return try events(try fields.fields("events"), of: id, after: version, limit: limit)
    }

    static func events(
        _ stored: Fields, of id: WorkflowID, after version: Int64, limit: Int
    ) throws(StoreError) -> [Event] {
        guard limit > 0 else { return [] }
        let versions = stored.document.elements.compactMap { Int64($0.key) }.filter { $0 > version }.sorted()
        var events: [Event] = []
        for version in versions.prefix(limit) {
            let name = EventDocument.name(version)
            let event = try stored.unfoldedFields(name, "event \(name) of \(stored.what)")
            events.append(try EventDocument.read(event, version: version, of: id))
        }
        return events
    }

    /// What ``summary(_:)`` needs of a record; a row of `rhythm_lists` has no more.
    static let summaryFields: BSONDocument = [
        "schema": 1, "name": 1, "app_id": 1, "pairs": 1, "created_us": 1, "updated_us": 1, "status": 1, "version": 1,
        "state": 1,
    ]

    /// A record, or the row of one, as a row of a list.
    static func summary(_ document: BSONDocument) throws(StoreError) -> WorkflowSummary {
        let fields = Fields(document, "workflow \(document["_id"]?.stringValue ?? "?")")
        try check(schema: try fields.int64("schema"), of: fields.what)
        let state = try fields.unfoldedFields("state", fields.what)
        let control: ControlWord = try state.word("control")
        return WorkflowSummary(
            id: WorkflowID(try fields.text("_id")), name: try fields.text("name"), appID: try fields.text("app_id"),
            labels: try labels(fields), status: try fields.word("status"),
            isPaused: control == .paused || control == .pausing, isCancelled: control == .cancelled,
            stepsDone: try state.int("steps_done"), totalSteps: try state.int("steps_total"),
            pendingStep: try state.textIfAny("pending_step") ?? "", version: try fields.int64("version"),
            createdAt: try fields.timestamp("created_us"), updatedAt: try fields.timestamp("updated_us"),
            startedAt: try state.timestampIfAny("started_us"), endedAt: try state.timestampIfAny("ended_us"))
    }
}
