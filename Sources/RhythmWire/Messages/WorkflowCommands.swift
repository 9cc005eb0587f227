package import RhythmCore

/// Holds a workflow.
package struct PauseWorkflow: Sendable, Hashable {
    package var workflowID: WorkflowID
    package var mode: PauseMode
    /// Repeating the command with the same id changes nothing; empty for none.
    package var requestID: String
    /// Only if the workflow has this version; nil for any.
    package var expectedVersion: Int64?
    /// An attempt that has been told to stop and has not is waited for no longer.
    package var force: Bool

    /// Makes a request.
    package init(
        workflowID: WorkflowID, mode: PauseMode = .now, requestID: String = "", expectedVersion: Int64? = nil,
        force: Bool = false
    ) {
        self.force = force
        self.workflowID = workflowID
        self.mode = mode
        self.requestID = requestID
        self.expectedVersion = expectedVersion
    }
}

/// Lets a workflow go on.
package struct ResumeWorkflow: Sendable, Hashable {
    package var workflowID: WorkflowID
    /// Repeating the command with the same id changes nothing; empty for none.
    package var requestID: String
    /// Only if the workflow has this version; nil for any.
    package var expectedVersion: Int64?
    /// Nil for the arguments the step had.
    package var args: JSON?
    /// Run again from this step on; nil for the pending one.
    package var fromStep: String?
    /// Also if it is running.
    package var force: Bool

    /// Makes a request.
    package init(
        workflowID: WorkflowID, requestID: String = "", expectedVersion: Int64? = nil, args: JSON? = nil,
        fromStep: String? = nil, force: Bool = false
    ) {
        self.workflowID = workflowID
        self.requestID = requestID
        self.expectedVersion = expectedVersion
        self.args = args
        self.fromStep = fromStep
        self.force = force
    }
}

/// Holds a workflow for good.
package struct CancelWorkflow: Sendable, Hashable {
    package var workflowID: WorkflowID
    /// Repeating the command with the same id changes nothing; empty for none.
    package var requestID: String
    /// Only if the workflow has this version; nil for any.
    package var expectedVersion: Int64?
    /// An attempt that has been told to stop and has not is waited for no longer.
    package var force: Bool

    /// Makes a request.
    package init(
        workflowID: WorkflowID, requestID: String = "", expectedVersion: Int64? = nil, force: Bool = false
    ) {
        self.force = force
        self.workflowID = workflowID
        self.requestID = requestID
        self.expectedVersion = expectedVersion
    }
}

/// The answer to a pause, a resume or a cancel.
package struct CommandReply: Sendable, Hashable {
    package var receipt: Receipt
    /// It is the answer that an earlier call with this request id got.
    package var replayed: Bool

    /// Makes an answer.
    package init(receipt: Receipt, replayed: Bool) {
        self.receipt = receipt
        self.replayed = replayed
    }
}

/// Deletes a workflow with its attempts and logs.
package struct DeleteWorkflow: Sendable, Hashable {
    package var workflowID: WorkflowID
    /// Cancel it first if it is active; else deleting an active one is refused.
    package var cancelFirst: Bool
    /// Delete it at once, even if something of it may still run.
    package var force: Bool

    /// Makes a request.
    package init(workflowID: WorkflowID, cancelFirst: Bool = false, force: Bool = false) {
        self.workflowID = workflowID
        self.cancelFirst = cancelFirst
        self.force = force
    }
}

/// What a delete did.
package enum DeleteReply: Sendable, Hashable, CaseIterable {
    case deleted
    /// It will be deleted as soon as nothing of it runs.
    case pending
}
