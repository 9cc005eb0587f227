package import RhythmCore

/// Starts a workflow.
package struct StartWorkflow: Sendable, Hashable {
    package var spec: WorkflowSpec
    /// Repeating a start with the same id and spec gives the same workflow; empty for none.
    package var requestID: String

    /// Makes a request.
    package init(spec: WorkflowSpec, requestID: String = "") {
        self.spec = spec
        self.requestID = requestID
    }
}

/// What a start made.
///
/// The record comes without what only the server needs (`requests`); progress comes with its derived values, from
/// which no further rate can be computed.
package struct StartReply: Sendable, Hashable {
    package var workflow: Workflow
    /// It had been started before by this request id.
    package var replayed: Bool

    /// Makes an answer.
    package init(workflow: Workflow, replayed: Bool) {
        self.workflow = workflow
        self.replayed = replayed
    }
}
