public import RhythmCore

/// The reader of a store that also holds workflows which another orchestrator created and drives: the original Python
/// library, whose workers hand one step over to the next by themselves.
///
/// Readers show such workflows like any other; the engine does not know them until they are adopted. A change that
/// adopts one says so (``WorkflowChange/adopts``). From any thread; may block on a database.
public protocol LegacyDocuments: StoreReader {
    /// Those of these ids that are of the other orchestrator, as readers show them; the others are absent.
    func states(_ ids: [WorkflowID]) throws(StoreError) -> [LegacyState]

    /// The same with everything that a decision about them rests on, attempts included that their records have lost.
    func records(_ ids: [WorkflowID]) throws(StoreError) -> [LegacyRecord]

    /// The ids of those that a filter means and whose stored status is not SUCCESS, the oldest first, at most `limit`.
    func unfinished(_ filter: WorkflowFilter, within scope: AppScope, limit: Int) throws(StoreError) -> [WorkflowID]

    /// Stores that a workflow is held, for the readers of its stored status, and touches nothing else.
    ///
    /// - Returns: whether it was as the record says; if not, nothing is stored.
    func markHeld(_ record: LegacyRecord) throws(StoreError) -> Bool

    /// Deletes a workflow's document.
    ///
    /// - Returns: whether it was as the record says; if not, nothing is deleted.
    func delete(_ record: LegacyRecord) throws(StoreError) -> Bool
}

/// A workflow of another orchestrator as readers show it.
public struct LegacyState: Sendable {
    /// As one of ours. Its version counts its history.
    public var workflow: Workflow
    /// The transitions that its record shows.
    public var history: [Event]

    /// Makes a state; stores use this.
    public init(workflow: Workflow, history: [Event]) {
        self.workflow = workflow
        self.history = history
    }
}

/// A workflow of another orchestrator as it was read for a decision.
public struct LegacyRecord: Sendable {
    /// The record as one of ours. Its version counts its history.
    public var workflow: Workflow
    /// The transitions that its record shows.
    public var history: [Event]
    /// The status that the other orchestrator stored, which may be out of date.
    public var storedStatus: String
    /// When a resume was asked for that has not been answered by a start; nil if there is none.
    public var resumeLock: Timestamp?
    /// The latest sign of life in it.
    public var changedAt: Timestamp
    /// Attempts that its own record does not name.
    public var foundAttempts: Set<TaskID>
    /// Attempts whose arguments nobody stored.
    public var unknownArgs: Set<TaskID>
    /// What a write must find unchanged; only the store understands it.
    public var stamp: LegacyStamp

    /// Makes a record; stores use this.
    public init(
        workflow: Workflow, history: [Event], storedStatus: String, resumeLock: Timestamp?, changedAt: Timestamp,
        foundAttempts: Set<TaskID>, unknownArgs: Set<TaskID>, stamp: LegacyStamp
    ) {
        self.workflow = workflow
        self.history = history
        self.storedStatus = storedStatus
        self.resumeLock = resumeLock
        self.changedAt = changedAt
        self.foundAttempts = foundAttempts
        self.unknownArgs = unknownArgs
        self.stamp = stamp
    }
}

/// What was read, in a form that only the store understands.
public struct LegacyStamp: Sendable, Hashable {
    /// The store's own.
    public let bytes: [UInt8]

    /// Makes a stamp.
    public init(bytes: [UInt8]) { self.bytes = bytes }
}
