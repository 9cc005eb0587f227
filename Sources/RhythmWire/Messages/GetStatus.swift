package import RhythmCore

/// Asks for the record of a workflow.
package struct GetStatus: Sendable, Hashable {
    package var workflowID: WorkflowID
    package var includePreviousAttempts: Bool
    package var omitResults: Bool
    /// Answer only when the version is higher than this, or when the call's time is over; nil for at once.
    package var waitAfterVersion: Int64?

    /// Makes a request.
    package init(
        workflowID: WorkflowID, includePreviousAttempts: Bool = false, omitResults: Bool = false,
        waitAfterVersion: Int64? = nil
    ) {
        self.workflowID = workflowID
        self.includePreviousAttempts = includePreviousAttempts
        self.omitResults = omitResults
        self.waitAfterVersion = waitAfterVersion
    }
}

/// The record of a workflow; see ``StartReply`` for what it leaves out.
package struct GetStatusReply: Sendable, Hashable {
    package var workflow: Workflow

    /// Makes an answer.
    package init(workflow: Workflow) { self.workflow = workflow }
}
