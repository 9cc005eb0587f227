/// Asks for workflows of the original library that got stuck to be taken over.
public struct AdoptionRequest: Sendable, Hashable {
    /// These.
    public var ids: [WorkflowID]
    /// Also those that this means and that have not succeeded; nil for none.
    public var filter: WorkflowFilter?
    /// Say what would be done, and do nothing.
    public var dryRun: Bool
    /// Also those that may still move.
    public var force: Bool
    /// The arguments of a step that was never sent; nil for what the step before it returned.
    public var args: JSON?
    /// One that changed less than so long ago still moves.
    public var quietFor: Duration

    /// If nobody says otherwise.
    public static let defaultQuietFor = Duration.seconds(300)

    /// Makes a request.
    public init(
        ids: [WorkflowID] = [], filter: WorkflowFilter? = nil, dryRun: Bool = false, force: Bool = false,
        args: JSON? = nil, quietFor: Duration = AdoptionRequest.defaultQuietFor
    ) {
        self.ids = ids
        self.filter = filter
        self.dryRun = dryRun
        self.force = force
        self.args = args
        self.quietFor = quietFor
    }
}

/// What became of one workflow that was to be adopted.
public struct AdoptionOutcome: Sendable, Hashable {
    /// What became of it, in a word.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case adopted
        /// What a dry run says instead.
        case wouldAdopt = "would_adopt"
        /// There is nothing to mend.
        case notStuck = "not_stuck"
        /// It cannot or must not be adopted now.
        case refused
    }

    /// The workflow.
    public var workflowID: WorkflowID
    /// What became of it.
    public var kind: Kind
    /// A stable upper-case word for why.
    public var reason: String
    /// What is wrong with it, in a sentence; empty if nothing is known to be.
    public var defect: String
    /// What was done, or why nothing was: a sentence.
    public var detail: String

    /// Makes an outcome.
    public init(workflowID: WorkflowID, kind: Kind, reason: String, defect: String = "", detail: String) {
        self.workflowID = workflowID
        self.kind = kind
        self.reason = reason
        self.defect = defect
        self.detail = detail
    }
}

/// The answer to an ``AdoptionRequest``.
public struct AdoptionReply: Sendable, Hashable {
    /// One for each workflow: those that were named first, then the oldest first.
    public var outcomes: [AdoptionOutcome]
    /// The filter means more than one call looks at.
    public var hasMore: Bool

    /// Makes an answer.
    public init(outcomes: [AdoptionOutcome], hasMore: Bool = false) {
        self.outcomes = outcomes
        self.hasMore = hasMore
    }
}
