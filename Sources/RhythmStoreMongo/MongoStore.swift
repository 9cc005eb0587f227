import Logging
package import RhythmCore
package import RhythmEngine
package import RhythmMongo

/// Keeps workflows in a MongoDB database, for one server or for several.
///
/// One workflow is one document (``WorkflowDocument``) and one write of it: state and intent are stored together or not
/// at all. Each write names the revision that it was made from, which every write counts up and which stands for one
/// version, so of two servers that change a workflow one finds that the other was faster. A batch goes out as one
/// unordered bulk; its workflows are stored each for itself.
///
/// Durable as far as the database is: writes wait for a majority of the replica set to have them in their journals (see
/// `MongoOptions`). What follows from a record, the documents that the Python library reads and the rows of lists, is
/// written behind it (``Afterwork``).
///
/// All functions but ``reader``'s are called on one thread at a time; they block, so never on a thread of the
/// cooperative pool.
package final class MongoStore: SharedStore {
    /// Whether servers share the database.
    package enum Mode: Sendable, Hashable {
        /// This server has it to itself; a second one is refused.
        case exclusive
        /// Each workflow has one writer at a time.
        case shared
    }

    /// The most events a workflow keeps, unless asked otherwise: every one of them is a part of its document.
    package static let eventsKeptByDefault = 1_000

    /// How the documents of this server are marked.
    package let serverID: String
    /// Names what is stored: made up once, the same for all servers that share it.
    package let storeID: String
    /// Who else uses the database.
    package let leases: ServerLeases
    let pool: MongoPool
    let collections: MongoCollections
    let eventsKept: Int
    let mongoReader: MongoReader
    /// With the patience for long lists, which this server's lane does not have.
    let everybodysReader: MongoReader
    let afterwork: Afterwork
    /// The most bytes of a document, less a little for what the server adds.
    let documentLimit: Int
    let mode: Mode
    var keeper: LeaseKeeper?
    /// What this server read or wrote last of workflows that it may change.
    var known = KnownWorkflows()
    /// Ids that documents of the Python library have, as far as somebody has asked for them.
    var taken: Set<WorkflowID> = []
    /// Told after each step of an adoption, by tests in which somebody else does something then.
    var adoptionHasCome: (AdoptionStep) throws(StoreError) -> Void = { _ in }

    /// Opens the database of a pool: checks who uses it and in what form, and makes missing indexes.
    ///
    /// - Parameters:
    ///   - serverID: Names this server among all that use the database; best the same after a restart.
    ///   - mode: In exclusive mode a second server is refused for as long as the lease of the first one lasts.
    ///   - leaseDuration: After this time without a sign of life a server counts as gone.
    ///   - eventsKept: How many events a workflow keeps; the oldest go first.
    ///   - results: Where Celery's result documents are; nil for the same database.
    ///   - projects: Whether the Python library's readers are to see our workflows.
    ///   - documentLimit: The most bytes of a document; nil for what the database says.
    ///   - incarnation: This life of the server.
    ///   - readers: For ``reader``; nil for the same pool.
    ///   - properties: What the other servers are told of this one.
    ///   - allowsOtherSettings: Whether it may have settings that do harm beside those of a server that lives.
    ///
    /// A database of the form before is converted first (``Conversion``), which may take minutes.
    /// - Throws: ``StoreError``: `inUse`, `tooNew`, `tooOld`, `permission` for missing rights, `unavailable`.
    package init(
        pool: MongoPool, serverID: String, mode: Mode = .exclusive, leaseDuration: Duration = .seconds(15),
        eventsKept: Int = MongoStore.eventsKeptByDefault, results: MongoPool? = nil, projects: Bool = true,
        collections: MongoCollections = MongoCollections(), documentLimit: Int? = nil,
        incarnation: ServerIncarnation = ServerIncarnation(), readers: MongoPool? = nil,
        properties: ServerProperties = ServerProperties(), allowsOtherSettings: Bool = false
    ) throws(StoreError) {
        precondition(eventsKept > 0 && leaseDuration > .zero, "\(eventsKept) events, a lease of \(leaseDuration)")
        self.pool = pool
        self.serverID = serverID
        self.mode = mode
        self.collections = collections
        self.eventsKept = eventsKept
        afterwork = Afterwork(
            pool: pool, results: results ?? pool, collections: collections, serverID: serverID, projects: projects)
        mongoReader = MongoReader(
            pool: pool, results: results ?? pool, collections: collections, afterwork: afterwork)
        everybodysReader = MongoReader(
            pool: readers ?? pool, results: results ?? pool, collections: collections, afterwork: afterwork)
        leases = ServerLeases(
            pool: pool, collection: collections.servers, serverID: serverID, duration: leaseDuration,
            isShared: mode == .shared, incarnation: incarnation)
        let offered = try translating(pool.description) { () throws(MongoError) in try pool.hello() }
        self.documentLimit = (documentLimit ?? offered.maximumDocumentSize) - Self.documentReserve
        try leases.checkSchema(mayBeConverted: true)
        leases.publish(properties.document)
        try leases.begin(allowsOtherSettings: allowsOtherSettings)
        do throws(StoreError) {
            try Conversion(pool: pool, collections: collections, leases: leases).run()
            storeID = try leases.checkSchema()
            try collections.prepare(pool)
            try afterwork.begin()
        } catch {
            leases.end()
            throw error
        }
        // Servers that share do it themselves, together with looking for what others left.
        if mode == .exclusive { keeper = LeaseKeeper(leases) }
    }

    private static let documentReserve = 16 << 10

    /// Lets go of the database. The pool stays usable.
    package func close() {
        afterwork.finish()
        endLease()
    }

    package var reader: any StoreReader { everybodysReader }

    /// Nil for a workflow of the Python library as well: it is not ours to drive. ``reader`` shows it.
    package func load(_ id: WorkflowID) throws(StoreError) -> Workflow? {
        known[id] = nil
        guard let document = try mongoReader.document(of: id) else {
            // Whoever asks for what is not there may want to start it.
            if try mongoReader.isLegacy(id) { taken.insert(id) } else { taken.remove(id) }
            return nil
        }
        guard let record = try settled(document) else {
            taken.insert(id)
            return nil
        }
        return try remember(record)
    }

    /// As ``load(_:)`` found it.
    package func isTaken(_ id: WorkflowID) -> Bool { taken.contains(id) }

    package func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        if requestID.isEmpty { return nil }
        let found = try mongoReader.find(["request": .string(requestID)], projection: ["_id": 1], limit: 1)
        return found.first?["_id"]?.stringValue.map { WorkflowID($0) }
    }

    /// Reads a record and keeps what a write of it must name.
    func remember(_ document: BSONDocument) throws(StoreError) -> Workflow {
        let stored = try WorkflowDocument.read(document)
        let workflow = stored.workflow
        var found = KnownWorkflow(
            revision: stored.revision, version: workflow.version, writer: stored.writer, size: document.encodedSize,
            isSettled: workflow.isSettled,
            mayHaveRow: workflow.isSettled || document["open"]?.int64Value != WorkflowDocument.Openness.noRow.rawValue,
            isAdopted: stored.isAdopted)
        if !workflow.isSettled {
            let fields = WorkflowDocument.mutableFields(workflow, writer: stored.writer)
            found.fields = WorkflowDocument.mutableFields(in: document, like: fields)
        }
        known[workflow.id] = found
        return workflow
    }
}
