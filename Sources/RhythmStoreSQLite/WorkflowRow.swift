import RhythmCore
import RhythmEngine

/// A workflow without its attempts as rows of `workflows` and `specs`.
enum WorkflowRow {
    static let insert = """
        INSERT INTO workflows (id, name, app_id, labels, created_at, request_id, steps_total, status, settled,
            steps_done, pending_step, control, resume_from, resume_args, deletes_when_settled, version, updated_at,
            started_at, ended_at, requests)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """

    /// Touches nothing unless the stored version is the one that the change was made from.
    static let update = "UPDATE workflows SET status = ?, settled = ?, \(changing)"

    /// The same for a row whose ``Standing`` stays as it is: SQLite rewrites the entries of every index that has a column
    /// which is set, also to the value it had, and most transitions change none but `updated_at`.
    static let advance = "UPDATE workflows SET \(changing)"

    private static let changing = """
        steps_done = ?, pending_step = ?, control = ?, resume_from = ?, resume_args = ?, deletes_when_settled = ?,
        version = ?, updated_at = ?, started_at = ?, ended_at = ?, requests = ?
        WHERE key = ? AND version = ?
        """

    /// What lists and the start of a server look for, beside the time: the columns that indexes have.
    struct Standing: Equatable {
        let status: WorkflowStatus
        let isSettled: Bool

        init(_ workflow: Workflow) {
            status = workflow.status
            isSettled = workflow.isSettled
        }

        fileprivate func bind(to binder: inout ArgumentBinder) {
            binder.bind(status.rawValue)
            binder.bind(isSettled)
        }
    }

    static let insertSpec = "INSERT INTO specs (workflow, description, args, kwargs, steps) VALUES (?, ?, ?, ?, ?)"

    /// The columns that ``read(_:latest:)`` reads, from `workflows w` and `specs s`.
    static let columns = """
        w.key, w.id, w.name, w.app_id, w.labels, w.created_at, w.request_id, w.control, w.resume_from, w.resume_args,
        w.deletes_when_settled, w.version, w.updated_at, w.started_at, w.ended_at, w.requests, s.description, s.args,
        s.kwargs, s.steps
        """

    static func bindInsert(_ workflow: Workflow, to binder: inout ArgumentBinder) {
        binder.bind(workflow.id.rawValue)
        binder.bind(workflow.name)
        binder.bind(workflow.appID)
        binder.bind(LabelsCoding.text(workflow.labels))
        binder.bind(workflow.createdAt.microseconds)
        binder.bind(workflow.requestID)
        binder.bind(workflow.steps.count)
        Standing(workflow).bind(to: &binder)
        bindChanging(workflow, to: &binder)
    }

    /// For ``update``; for ``advance`` if there is no standing.
    static func bindUpdate(
        _ workflow: Workflow, _ standing: Standing?, key: Int64, from version: Int64, to binder: inout ArgumentBinder
    ) {
        standing?.bind(to: &binder)
        bindChanging(workflow, to: &binder)
        binder.bind(key)
        binder.bind(version)
    }

    static func bindSpec(_ workflow: Workflow, key: Int64, steps: String, to binder: inout ArgumentBinder) {
        binder.bind(key)
        binder.bind(workflow.description)
        binder.bind(workflow.args.text)
        binder.bind(workflow.kwargs.text)
        binder.bind(steps)
    }

    private static func bindChanging(_ workflow: Workflow, to binder: inout ArgumentBinder) {
        let pending = workflow.pendingIndex
        binder.bind(pending)
        binder.bind(pending < workflow.steps.count ? workflow.steps[pending].spec.name : "")
        binder.bind(ControlWord(workflow.control).rawValue)
        if case .resuming(let plan) = workflow.control {
            binder.bind(plan.from)
            binder.bind(plan.args?.text)
        } else {
            binder.bindNull()
            binder.bindNull()
        }
        binder.bind(workflow.deletesWhenSettled)
        binder.bind(workflow.version)
        binder.bind(workflow.updatedAt.microseconds)
        binder.bind(workflow.startedAt?.microseconds)
        binder.bind(workflow.endedAt?.microseconds)
        binder.bind(AppliedRequestsCoding.text(workflow.requests))
    }

    /// The row's key and the workflow, its steps without attempts.
    ///
    /// `latest` holds the steps of the row before: many workflows in a row have the same ones.
    static func read(
        _ row: inout ColumnReader, latest: inout (text: String, steps: [StepSpec])
    ) throws(StoreError) -> (key: Int64, workflow: Workflow) {
        let key = try row.int64()
        row.id = "with key \(key)"
        let id = try row.text()
        row.id = id
        let name = try row.text()
        let appID = try row.text()
        guard let labels = LabelsCoding.labels(try row.json()) else { throw row.corrupt("holds no labels") }
        let createdAt = try row.timestamp()
        let requestID = try row.text()
        let word = try row.word(ControlWord.self)
        let control = word.control(
            ResumePlan(from: row.int64IfAny().map { Int($0) }, args: try row.jsonIfAny()))
        let deletes = try row.bool()
        let version = try row.int64()
        let updatedAt = try row.timestamp()
        let startedAt = row.timestampIfAny()
        let endedAt = row.timestampIfAny()
        var requests: [AppliedRequest] = []
        if let json = try row.jsonIfAny() {
            guard let read = AppliedRequestsCoding.requests(json) else { throw row.corrupt("holds no receipts") }
            requests = read
        }
        let description = try row.text()
        let args = try row.json()
        let kwargs = try row.json()
        let text = try row.text()
        if text != latest.text {
            guard let json = try? JSON(parsing: text), let steps = StepSpecsCoding.steps(json) else {
                throw row.corrupt("holds no steps")
            }
            latest = (text, steps)
        }
        let steps = latest.steps
        if case .resuming(let plan) = control, let from = plan.from, !steps.indices.contains(from) {
            throw row.corrupt("has no step \(from), where resume_from points")
        }

        let spec = WorkflowSpec(
            name: name, appID: appID, description: description, labels: labels, args: args, kwargs: kwargs,
            steps: steps)
        var workflow = Workflow(id: WorkflowID(id), spec: spec, createdAt: createdAt, requestID: requestID)
        workflow.control = control
        workflow.deletesWhenSettled = deletes
        workflow.version = version
        workflow.updatedAt = updatedAt
        workflow.startedAt = startedAt
        workflow.endedAt = endedAt
        workflow.requests = requests
        return (key, workflow)
    }
}

/// The word for a ``Control``; a resume's plan has columns of its own.
enum ControlWord: String {
    case running, pausing, paused, resuming, cancelled

    init(_ control: Control) {
        switch control {
        case .running: self = .running
        case .pausing: self = .pausing
        case .paused: self = .paused
        case .resuming: self = .resuming
        case .cancelled: self = .cancelled
        }
    }

    func control(_ plan: ResumePlan) -> Control {
        switch self {
        case .running: .running
        case .pausing: .pausing
        case .paused: .paused
        case .resuming: .resuming(plan)
        case .cancelled: .cancelled
        }
    }
}

/// Labels as a JSON object, in the row for whoever reads the row; the table `labels` is for filters.
enum LabelsCoding {
    static func text(_ labels: [String: String]) -> String {
        if labels.isEmpty { return "{}" }
        return JSONValue.object(labels.map { .init($0.key, .string($0.value)) }).compactText
    }

    static func labels(_ json: JSON) -> [String: String]? {
        if json.text == "{}" { return [:] }
        guard case .object(let members) = json.value else { return nil }
        var labels: [String: String] = [:]
        for member in members {
            guard let value = member.value.stringValue else { return nil }
            labels[member.name] = value
        }
        return labels
    }
}
