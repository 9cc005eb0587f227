public import RhythmCore

/// Where the engine keeps its records: its first port.
///
/// Synchronous, because the engine is the only writer and waits for its own fsync while commands pile up behind it and
/// become one commit. All functions of this protocol are called on the engine's lane, one at a time. What anybody else
/// reads goes through ``reader``.
///
/// One contract suite (`StoreContract` in RhythmTesting) runs against every implementation.
public protocol Store: AnyObject {
    /// Every workflow that is not settled (``Workflow/isSettled``), with all attempts: what an engine needs in memory
    /// when it starts.
    func loadUnsettled() throws(StoreError) -> [Workflow]

    /// One workflow with all attempts; nil if there is none.
    func load(_ id: WorkflowID) throws(StoreError) -> Workflow?

    /// Whether nobody can start a workflow of this id although ``load(_:)``, which was just asked for it, knows none:
    /// another orchestrator has one.
    func isTaken(_ id: WorkflowID) -> Bool

    /// The workflow that was started with this request id; nil if there is none.
    func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID?

    /// Stores what the batch says; each workflow's part as a whole or not at all. When this returns it survives
    /// `kill -9` and power loss.
    ///
    /// - Returns: The workflows of the batch that were not stored, because another server has changed them since they
    ///   were read here or has taken the id or the request id of a new one. Always empty for a store that one server
    ///   has to itself.
    /// - Throws: ``StoreError``. Then nothing of the batch is stored, unless the error's `outcomeUnknown` is set.
    @discardableResult
    func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID]

    /// Reads for everybody else.
    var reader: any StoreReader { get }

    /// What is known of the way to it; nil for a store in this process, or if nothing can be told.
    var link: (any StoreLink)? { get }

    /// Names what is stored: made up once, and the same for all servers that share it.
    var storeID: String { get }

    /// Who else uses the store; nil if nobody can, or if it does not know.
    var directory: (any ServerDirectory)? { get }
}

extension Store {
    /// All workflows that it holds are its own.
    public func isTaken(_ id: WorkflowID) -> Bool { false }
    /// A store without a name of its own, for one server.
    public var storeID: String { "" }
    /// Nobody, as far as it knows.
    public var directory: (any ServerDirectory)? { nil }
}

/// A store in another process, which may carry out a write after its sender has given up on it, or died.
public protocol RemoteStore: Store {
    /// The versions of all workflows that are not settled and, if the store is shared, whose writer this server is.
    func unsettledVersions() throws(StoreError) -> [WorkflowID: Int64]
}

/// A store that several servers share. Each workflow that is not settled has one writer, the server that follows its
/// attempts: whoever changed it last. Any server may take any command, and becomes the writer by storing what it did.
///
/// A server proves that it lives by renewing its lease. What a server leaves behind when its lease ends is taken over
/// by the others; if it was not dead but asleep, its writes no longer match and are refused (``Store/commit(_:)``).
public protocol SharedStore: RemoteStore {
    /// How often the lease is to be renewed; it lasts several times as long.
    var renewalInterval: Duration { get }

    /// Whether others may use the store at the same time. If not, it is like any other store.
    var isShared: Bool { get }

    /// Proves that this server lives.
    func renewLease() throws(StoreError)

    /// Takes over workflows of servers that are gone: this server's share of them, at most `limit`. From now on this
    /// server is their writer.
    func claimOrphans(limit: Int) throws(StoreError) -> [Workflow]

    /// Whether this server was the workflow's writer when it was last read or stored here.
    func isWriter(of id: WorkflowID) -> Bool

    /// The other servers that live.
    func others() throws(StoreError) -> [OtherServer]

    /// What this server says of itself; others hear it with its next proof. While it does not take on work it follows
    /// nothing: what it stores, ``isWriter(of:)`` denies, and another server takes it over.
    var standing: ServerStanding { get set }

    /// Leaves everything that this server follows to the others.
    func handOver() throws(StoreError)

    /// Leaves some of the workflows that this server follows to others: of the candidates those that would fall to one of
    /// the receivers, at most `limit`. One that somebody else changes in this moment stays as that one makes it.
    ///
    /// - Returns: those that this server does not follow any more.
    func handOver(
        _ candidates: [WorkflowID], to receivers: Set<String>, atMost limit: Int
    ) throws(StoreError) -> [WorkflowID]

    /// Ends the lease at once: this server is going to stop.
    func endLease()
}

extension SharedStore {
    /// Whether this server takes on work.
    public var takesWork: Bool {
        get { standing.takesWork }
        set { standing.takesWork = newValue }
    }
}

/// What a server of a shared store tells the others of itself.
public struct ServerStanding: Sendable, Hashable {
    /// Whether it takes over workflows and follows what it is given.
    public var takesWork = true
    /// It can begin no attempts at present: others are to begin what it is given, and take over in its place.
    public var isStuck = false
    /// How many workflows it follows; nil if that is not known.
    public var followed: Int?
    /// How often it has left something to others.
    public var leaves = 0

    /// Whether it can go on with what others leave.
    public var isAble: Bool { takesWork && !isStuck }

    /// That of a server that has just begun.
    public init() {}
}

/// Another server of a shared store, as it said last.
public struct OtherServer: Sendable, Hashable {
    /// Names it.
    public var id: String
    /// What it says of itself.
    public var standing: ServerStanding
    /// Since it last proved that it lives.
    public var silence: Duration

    /// Makes one.
    public init(id: String, standing: ServerStanding, silence: Duration) {
        self.id = id
        self.standing = standing
        self.silence = silence
    }
}

/// Reads from any thread, beside the engine's writes; each call sees one consistent state that was committed.
public protocol StoreReader: Sendable {
    /// One workflow with all attempts; nil if there is none.
    func load(_ id: WorkflowID) throws(StoreError) -> Workflow?

    /// The ids of workflows in `scope` that begin with `prefix`, in order, at most `limit`.
    func ids(withPrefix prefix: String, within scope: AppScope, limit: Int) throws(StoreError) -> [WorkflowID]

    /// The transitions of a workflow with a version above `version`, in order, at most `limit`.
    ///
    /// If the first of them is not `version + 1`, those between are no longer kept.
    func events(of id: WorkflowID, after version: Int64, limit: Int) throws(StoreError) -> [Event]

    /// A page of workflows, newest first unless asked otherwise.
    func list(_ query: ListQuery) throws(StoreError) -> ListPage

    /// How many workflows that a filter means have each status; statuses that none has are absent.
    func counts(_ filter: WorkflowFilter) throws(StoreError) -> [WorkflowStatus: Int]
}

/// The reader of a store that can find out more about itself than that it stores what it is given.
public protocol ExaminableReader: StoreReader {
    /// What is worth telling; may block on a database for seconds. One who may see some applications only is told neither
    /// ids of workflows nor how many there are.
    func examine(within scope: AppScope) -> [Finding]
}

extension StoreReader {
    /// The ids that begin with `prefix`, of any application, in order, at most `limit`.
    public func ids(withPrefix prefix: String, limit: Int) throws(StoreError) -> [WorkflowID] {
        try ids(withPrefix: prefix, within: .all, limit: limit)
    }
}

/// Everything that one commit stores.
public struct CommitBatch: Sendable {
    /// Workflows that are new or changed; each at most once.
    public var changes: [WorkflowChange]
    /// Workflows to delete, with their attempts and events. None of them is among the changes.
    public var deletions: [WorkflowID]

    /// Makes a batch.
    public init(changes: [WorkflowChange] = [], deletions: [WorkflowID] = []) {
        self.changes = changes
        self.deletions = deletions
    }

    /// There is nothing to store.
    public var isEmpty: Bool { changes.isEmpty && deletions.isEmpty }
}

/// How one workflow changed.
public struct WorkflowChange: Sendable {
    /// The record as it is now.
    public var workflow: Workflow
    /// Whether it is not stored yet.
    public var isNew: Bool
    /// The attempts that are new or changed; stores may leave out all others.
    public var touched: Set<AttemptPosition>
    /// The transitions that led here, in order; empty if only progress changed.
    public var events: [Event]
    /// Another server is to go on with it: nobody follows it until one takes it over. Only for a shared store.
    public var isLeft = false
    /// The workflow becomes ours, if it is still as it was read; nil if it is ours. See ``LegacyDocuments``.
    public var adopts: LegacyStamp?

    /// Makes a change.
    public init(workflow: Workflow, isNew: Bool, touched: Set<AttemptPosition>, events: [Event]) {
        self.workflow = workflow
        self.isNew = isNew
        self.touched = touched
        self.events = events
    }
}

/// Why a store did not do what it was asked.
public struct StoreError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of trouble it is.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// The disk, or a quota, is full.
        case full
        /// It cannot be written to.
        case readOnly = "read_only"
        /// Its content makes no sense.
        case corrupt
        /// The operating system does not let us.
        case permission
        /// Another server uses it.
        case inUse = "in_use"
        /// It was written by a newer version of this program.
        case tooNew = "too_new"
        /// It was written by an older version of this program, in a form that this one does not read.
        case tooOld = "too_old"
        /// It is away, or did not answer in time.
        case unavailable
        /// Somebody else changed what was to be changed.
        case conflict
        /// Another server goes by this one's id and has taken its place.
        case replaced
    }

    /// What kind of trouble it is.
    public var code: Code
    /// What happened and what to do about it, in a sentence that names the file or the address.
    public var message: String
    /// Whether what was to be stored may have been stored all the same.
    public var outcomeUnknown: Bool
    /// The one workflow of a batch that cannot be stored as it is, such as one that has grown too large; nil if the
    /// trouble is the store's. Without it the others can be stored.
    public var workflow: WorkflowID?

    /// Makes an error.
    public init(_ code: Code, _ message: String, outcomeUnknown: Bool = false, workflow: WorkflowID? = nil) {
        self.code = code
        self.message = message
        self.outcomeUnknown = outcomeUnknown
        self.workflow = workflow
    }

    /// Whether a read of something else may well succeed.
    package var concernsOneRecord: Bool {
        switch code {
        case .corrupt, .tooNew, .tooOld: true
        case .full, .readOnly, .permission, .inUse, .unavailable, .conflict, .replaced: false
        }
    }

    /// Code and message.
    public var description: String { "\(code.rawValue): \(message)" }
}

extension RhythmError {
    /// A store's trouble as the client of a call sees it.
    public init(_ error: StoreError) {
        let code: RhythmError.Code =
            switch error.code {
            case .full: .resourceExhausted
            case .corrupt: .dataLoss
            case .conflict: .aborted
            case .readOnly, .permission, .inUse, .tooNew, .tooOld, .unavailable, .replaced: .unavailable
            }
        self.init(
            code, reason: "STORE_\(error.code.rawValue.uppercased())", error.message,
            effect: error.outcomeUnknown ? .unknown : .none, retryAfter: .seconds(1))
    }
}
