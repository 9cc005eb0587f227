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
/// `MongoOptions`).
///
/// All functions but ``reader``'s are called on one thread at a time; they block, so never on a thread of the
/// cooperative pool. Processes of the Python library that share the collection must not get the ids of our workflows:
/// they rewrite whole documents without looking.
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
    /// Who else uses the database.
    package let leases: ServerLeases
    let pool: MongoPool
    let collections: MongoCollections
    let eventsKept: Int
    let mongoReader: MongoReader
    /// With the patience for long lists, which this server's lane does not have.
    private let everybodysReader: MongoReader
    /// The most bytes of a document, less a little for what the server adds.
    let documentLimit: Int
    private let mode: Mode
    private var keeper: LeaseKeeper?
    /// What this server read or wrote last of workflows that it may change.
    var known = KnownWorkflows()

    /// Opens the database of a pool: checks who uses it and in what form, and makes missing indexes.
    ///
    /// - Parameters:
    ///   - serverID: Names this server among all that use the database; best the same after a restart.
    ///   - mode: In exclusive mode a second server is refused for as long as the lease of the first one lasts.
    ///   - leaseDuration: After this time without a sign of life a server counts as gone.
    ///   - eventsKept: How many events a workflow keeps; the oldest go first.
    ///   - results: Where Celery's result documents are; nil for the same database.
    ///   - documentLimit: The most bytes of a document; nil for what the database says.
    ///   - incarnation: This life of the server.
    ///   - readers: For ``reader``; nil for the same pool.
    /// - Throws: ``StoreError``: `inUse`, `tooNew`, `tooOld`, `permission` for missing rights, `unavailable`.
    package init(
        pool: MongoPool, serverID: String, mode: Mode = .exclusive, leaseDuration: Duration = .seconds(15),
        eventsKept: Int = MongoStore.eventsKeptByDefault, results: MongoPool? = nil,
        collections: MongoCollections = MongoCollections(), documentLimit: Int? = nil,
        incarnation: ServerIncarnation = ServerIncarnation(), readers: MongoPool? = nil
    ) throws(StoreError) {
        precondition(eventsKept > 0 && leaseDuration > .zero, "\(eventsKept) events, a lease of \(leaseDuration)")
        self.pool = pool
        self.serverID = serverID
        self.mode = mode
        self.collections = collections
        self.eventsKept = eventsKept
        mongoReader = MongoReader(pool: pool, results: results ?? pool, collections: collections)
        everybodysReader = MongoReader(pool: readers ?? pool, results: results ?? pool, collections: collections)
        leases = ServerLeases(
            pool: pool, collection: collections.servers, serverID: serverID, duration: leaseDuration,
            isShared: mode == .shared, incarnation: incarnation)
        let offered = try translating(pool.description) { () throws(MongoError) in try pool.hello() }
        self.documentLimit = (documentLimit ?? offered.maximumDocumentSize) - Self.documentReserve
        try leases.checkSchema()
        try leases.begin()
        do throws(StoreError) {
            try collections.prepare(pool)
        } catch {
            leases.end()
            throw error
        }
        // Servers that share do it themselves, together with looking for what others left.
        if mode == .exclusive { keeper = LeaseKeeper(leases) }
    }

    private static let documentReserve = 16 << 10

    /// Lets go of the database. The pool stays usable.
    package func close() { endLease() }

    package var reader: any StoreReader { everybodysReader }

    /// Nil for a workflow of the Python library as well: it is not ours to drive. ``reader`` shows it.
    package func load(_ id: WorkflowID) throws(StoreError) -> Workflow? {
        known[id] = nil
        guard let document = try mongoReader.document(of: id), !WorkflowDocument.isLegacy(document) else { return nil }
        return try remember(document)
    }

    package func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        if requestID.isEmpty { return nil }
        let found = try mongoReader.find(
            ["rhythm.request_id": .string(requestID)], projection: ["_id": 1], limit: 1)
        return found.first?["_id"]?.stringValue.map { WorkflowID($0) }
    }

    /// Reads a document of ours and keeps what a write of it must name.
    func remember(_ document: BSONDocument) throws(StoreError) -> Workflow {
        let stored = try WorkflowDocument.read(document)
        let workflow = stored.workflow
        var found = KnownWorkflow(
            revision: stored.revision, version: workflow.version, writer: stored.writer, size: document.encodedSize,
            isSettled: workflow.isSettled)
        if !workflow.isSettled {
            let fields = WorkflowDocument.mutableFields(workflow, writer: stored.writer)
            found.fields = WorkflowDocument.mutableFields(in: document, like: fields)
        }
        known[workflow.id] = found
        return workflow
    }
}

// MARK: Sharing

extension MongoStore {
    package var link: (any StoreLink)? { leases }
    package var renewalInterval: Duration { leases.duration / 3 }
    package var isShared: Bool { mode == .shared }
    package func renewLease() throws(StoreError) { try leases.renew() }

    package var takesWork: Bool {
        get { leases.takesWork }
        set { leases.takesWork = newValue }
    }

    package func othersTakeWork() throws(StoreError) -> Bool { try leases.othersTakeWork() }

    /// Who follows what this server stores; no server is named by the empty text.
    var writer: String { takesWork ? serverID : "" }

    package func handOver() throws(StoreError) {
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.workflows, filter: ["rhythm.settled": false, "rhythm.writer": .string(serverID)],
                update: ["$set": ["rhythm.writer": ""], "$inc": ["rhythm.revision": .int64(1)]], many: true)
        }
        known = KnownWorkflows()
    }

    package func endLease() {
        keeper?.stop()
        keeper = nil
        leases.end()
    }

    package func isWriter(of id: WorkflowID) -> Bool { known[id]?.writer == serverID }

    /// Those of this server, and those of servers that are gone, whose writer it becomes. What cannot be read is logged
    /// and left as it is.
    package func loadUnsettled() throws(StoreError) -> [Workflow] {
        try leases.renew()
        let live = try leases.liveServers().union([serverID])
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.workflows,
                filter: [
                    "rhythm.settled": false, "rhythm.writer": ["$nin": .array(live.sorted().map { .string($0) })],
                ],
                update: ["$set": ["rhythm.writer": .string(serverID)], "$inc": ["rhythm.revision": .int64(1)]],
                many: true)
        }
        return readable(try mongoReader.find(["rhythm.settled": false, "rhythm.writer": .string(serverID)]))
    }

    package func unsettledVersions() throws(StoreError) -> [WorkflowID: Int64] {
        var versions: [WorkflowID: Int64] = [:]
        for document in try mongoReader.find(
            ["rhythm.settled": false, "rhythm.writer": .string(serverID)], projection: ["version": 1])
        {
            guard let id = document["_id"]?.stringValue, let version = document["version"]?.int64Value else { continue }
            versions[WorkflowID(id)] = version
        }
        return versions
    }

    package func claimOrphans(limit: Int) throws(StoreError) -> [Workflow] {
        guard limit > 0 else { return [] }
        let live = try leases.liveServers().union([serverID])
        let orphans = try mongoReader.find(
            ["rhythm.settled": false, "rhythm.writer": ["$nin": .array(live.sorted().map { .string($0) })]],
            projection: ["rhythm.writer": 1, "rhythm.revision": 1])
        let mine = orphans.filter { document in
            guard let id = document["_id"]?.stringValue else { return false }
            return ServerLeases.share(of: id, among: live) == serverID
        }
        let claims = mine.prefix(limit)
        if claims.isEmpty { return [] }
        let writes = claims.map { document in
            let seen = document["rhythm"]?.documentValue ?? [:]
            return MongoWrite.update(
                filter: [
                    "_id": document["_id"] ?? .null, "rhythm.settled": false,
                    "rhythm.writer": seen["writer"] ?? .null, "rhythm.revision": seen["revision"] ?? .null,
                ],
                update: ["$set": ["rhythm.writer": .string(serverID)], "$inc": ["rhythm.revision": .int64(1)]])
        }
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(collections.workflows, writes, ordered: false)
        }
        let ids = BSONValue.array(claims.map { $0["_id"] ?? .null })
        return readable(
            try mongoReader.find(["_id": ["$in": ids], "rhythm.settled": false, "rhythm.writer": .string(serverID)]))
    }

    /// One that cannot be read must not hold up the others.
    private func readable(_ documents: [BSONDocument]) -> [Workflow] {
        documents.compactMap { document in
            do throws(StoreError) { return try remember(document) } catch {
                Logger(label: "rhythm.store").error("nobody goes on with an unsettled workflow: \(error)")
                return nil
            }
        }
    }
}
