/// Which workflows are meant, by lists, counts and watches. Every part that is given must hold.
public struct WorkflowFilter: Sendable, Hashable {
    /// One of these statuses; empty for any.
    public var statuses: Set<WorkflowStatus>
    /// This application; nil for any.
    public var appID: String?
    /// This name; nil for any.
    public var name: String?
    /// One of these ids; nil for any, empty for none.
    public var ids: [WorkflowID]?
    /// All of these labels with these values.
    public var labels: [String: String]
    /// Accepted at or after this time.
    public var createdFrom: Timestamp?
    /// Accepted before this time.
    public var createdBefore: Timestamp?

    /// Makes a filter; without arguments it means all workflows.
    public init(
        statuses: Set<WorkflowStatus> = [], appID: String? = nil, name: String? = nil, ids: [WorkflowID]? = nil,
        labels: [String: String] = [:], createdFrom: Timestamp? = nil, createdBefore: Timestamp? = nil
    ) {
        self.statuses = statuses
        self.appID = appID
        self.name = name
        self.ids = ids
        self.labels = labels
        self.createdFrom = createdFrom
        self.createdBefore = createdBefore
    }

    /// Whether a workflow is meant. Stores answer the same by query.
    public func matches(_ workflow: Workflow) -> Bool {
        if !statuses.isEmpty, !statuses.contains(workflow.status) { return false }
        if let appID, appID != workflow.appID { return false }
        if let name, name != workflow.name { return false }
        if let ids, !ids.contains(workflow.id) { return false }
        if let createdFrom, workflow.createdAt < createdFrom { return false }
        if let createdBefore, workflow.createdAt >= createdBefore { return false }
        return labels.allSatisfy { workflow.labels[$0.key] == $0.value }
    }
}

/// A page of a list.
public struct ListQuery: Sendable, Hashable {
    /// The time a list is sorted by; the id decides between equal ones.
    public enum Sort: String, Sendable, Hashable, CaseIterable {
        case createdAt = "created_at"
        case updatedAt = "updated_at"
    }

    /// Which workflows.
    public var filter: WorkflowFilter
    /// Sorted by what.
    public var sort: Sort
    /// Oldest first; else newest first.
    public var ascending: Bool
    /// How many at most: 1 to 1000.
    public var limit: Int
    /// Where the page before ended (``ListPage/next``); nil for the first page.
    public var cursor: ListCursor?

    /// The most rows of one page.
    public static let maximumLimit = 1000

    /// Makes a query.
    public init(
        filter: WorkflowFilter = WorkflowFilter(), sort: Sort = .createdAt, ascending: Bool = false, limit: Int = 50,
        cursor: ListCursor? = nil
    ) {
        self.filter = filter
        self.sort = sort
        self.ascending = ascending
        self.limit = limit
        self.cursor = cursor
    }
}

/// The last row of a page: the next page begins behind it.
public struct ListCursor: Sendable, Hashable {
    /// The sort key of that row.
    public var key: Timestamp
    /// The id of that row.
    public var id: WorkflowID

    /// Makes a cursor.
    public init(key: Timestamp, id: WorkflowID) {
        self.key = key
        self.id = id
    }

    /// The cursor as clients pass it back: `KEY~ID`. Its form is nobody's business but ours.
    public var token: String { "\(key.microseconds)~\(id)" }

    /// Reads a token; nil if it is none.
    public init?(token: String) {
        let parts = token.split(separator: "~", maxSplits: 1)
        guard parts.count == 2, let key = Int64(parts[0]) else { return nil }
        self.init(key: Timestamp(microseconds: key), id: WorkflowID(String(parts[1])))
    }
}

/// One row of a list.
public struct WorkflowSummary: Sendable, Hashable {
    public var id: WorkflowID
    public var name: String
    public var appID: String
    public var labels: [String: String]
    public var status: WorkflowStatus
    /// Held by a pause, or about to be.
    public var isPaused: Bool
    public var isCancelled: Bool
    public var stepsDone: Int
    public var totalSteps: Int
    /// The name of the pending step; empty when every step succeeded.
    public var pendingStep: String
    public var version: Int64
    public var createdAt: Timestamp
    public var updatedAt: Timestamp
    public var startedAt: Timestamp?
    public var endedAt: Timestamp?

    /// Makes a row; stores use this.
    public init(
        id: WorkflowID, name: String, appID: String, labels: [String: String], status: WorkflowStatus,
        isPaused: Bool, isCancelled: Bool, stepsDone: Int, totalSteps: Int, pendingStep: String, version: Int64,
        createdAt: Timestamp, updatedAt: Timestamp, startedAt: Timestamp?, endedAt: Timestamp?
    ) {
        self.id = id
        self.name = name
        self.appID = appID
        self.labels = labels
        self.status = status
        self.isPaused = isPaused
        self.isCancelled = isCancelled
        self.stepsDone = stepsDone
        self.totalSteps = totalSteps
        self.pendingStep = pendingStep
        self.version = version
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.startedAt = startedAt
        self.endedAt = endedAt
    }
}

extension Workflow {
    /// The workflow as a row of a list.
    public var summary: WorkflowSummary {
        WorkflowSummary(
            id: id, name: name, appID: appID, labels: labels, status: status, isPaused: isPaused,
            isCancelled: isCancelled, stepsDone: pendingIndex, totalSteps: steps.count,
            pendingStep: pendingStep?.spec.name ?? "", version: version, createdAt: createdAt, updatedAt: updatedAt,
            startedAt: startedAt, endedAt: endedAt)
    }
}

/// A page of rows.
public struct ListPage: Sendable, Hashable {
    /// The rows.
    public var rows: [WorkflowSummary]
    /// Where the next page begins; nil if this is the last.
    public var next: ListCursor?

    /// Makes a page.
    public init(rows: [WorkflowSummary], next: ListCursor?) {
        self.rows = rows
        self.next = next
    }
}
