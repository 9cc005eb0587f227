package import RhythmCore

/// Asks for the record of a workflow.
package struct GetStatus: Sendable, Hashable {
    package var workflowID: WorkflowID
    package var includePreviousAttempts: Bool
    package var omitResults: Bool
    /// Answer only when the version is higher than this, or when the call's time is over; nil for at once.
    package var waitAfterVersion: Int64?
    /// Answer with this version or a later one; nil for what the server knows.
    package var atLeastVersion: Int64?
    /// Answer with what the store has.
    package var current: Bool
    /// Say which server follows the workflow.
    package var withFollower: Bool

    /// Makes a request.
    package init(
        workflowID: WorkflowID, includePreviousAttempts: Bool = false, omitResults: Bool = false,
        waitAfterVersion: Int64? = nil, atLeastVersion: Int64? = nil, current: Bool = false, withFollower: Bool = false
    ) {
        self.workflowID = workflowID
        self.includePreviousAttempts = includePreviousAttempts
        self.omitResults = omitResults
        self.waitAfterVersion = waitAfterVersion
        self.atLeastVersion = atLeastVersion
        self.current = current
        self.withFollower = withFollower
    }
}

/// The record of a workflow; see ``StartReply`` for what it leaves out.
package struct GetStatusReply: Sendable, Hashable {
    package var workflow: Workflow
    /// The server that follows it, if that was asked for and there is one.
    package var follower: Follower?
    /// The server could not ask its store: this is what it remembers, and so old it may be. Nil for what is true.
    package var staleness: Duration?

    /// Makes an answer.
    package init(workflow: Workflow, follower: Follower? = nil, staleness: Duration? = nil) {
        self.workflow = workflow
        self.follower = follower
        self.staleness = staleness
    }

    /// Makes the answer to a request: leaves out what it did not ask for.
    package init(_ workflow: Workflow, for request: GetStatus) {
        self.workflow = workflow
        for index in self.workflow.steps.indices {
            if !request.includePreviousAttempts {
                self.workflow.steps[index].attempts.removeFirst(
                    max(0, self.workflow.steps[index].attempts.count - 1))
            }
            guard request.omitResults else { continue }
            for attempt in self.workflow.steps[index].attempts.indices {
                self.workflow.steps[index].attempts[attempt].result = nil
            }
        }
    }
}
