package import RhythmCore

/// Asks for a page of workflows.
package struct ListWorkflows: Sendable, Hashable {
    package var query: ListQuery
    package var withCounts: Bool

    /// Makes a request.
    package init(query: ListQuery, withCounts: Bool = false) {
        self.query = query
        self.withCounts = withCounts
    }
}

/// A page of workflows.
package struct ListReply: Sendable, Hashable {
    package var page: ListPage
    /// How many workflows the filter means, by status; nil if nobody asked.
    package var counts: [WorkflowStatus: Int]?

    /// Makes an answer.
    package init(page: ListPage, counts: [WorkflowStatus: Int]? = nil) {
        self.page = page
        self.counts = counts
    }
}

/// Asks which ids begin with a prefix.
package struct ResolveID: Sendable, Hashable {
    package var prefix: String
    package var limit: Int

    /// How many are given if nobody says.
    package static let defaultLimit = 10

    /// Makes a request.
    package init(prefix: String, limit: Int = ResolveID.defaultLimit) {
        self.prefix = prefix
        self.limit = limit
    }
}

/// The ids that begin with a prefix.
package struct ResolveReply: Sendable, Hashable {
    package var workflowIDs: [WorkflowID]

    /// Makes an answer.
    package init(workflowIDs: [WorkflowID]) { self.workflowIDs = workflowIDs }
}
