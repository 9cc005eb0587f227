import RhythmCore
import RhythmEngine
import RhythmMongo

/// The servers of a database, by their leases, and which of them follows what, by the records. Any thread.
struct MongoDirectory: ServerDirectory {
    let leases: ServerLeases
    let reader: MongoReader

    var ownID: String { leases.serverID }

    func servers() throws(StoreError) -> [ServerEntry] {
        let leases = try leases.seen()
        let own = leases.first { $0.id == self.leases.serverID }
        var followed: [String: Int] = [:]
        for document in try reader.find(Self.unsettled, projection: Self.writerField) {
            if let writer = Self.writer(in: document) { followed[writer, default: 0] += 1 }
        }
        return leases.map { lease in
            ServerEntry(
                id: lease.id, addresses: lease.properties.addresses, version: lease.properties.version,
                host: lease.properties.host, startedAt: lease.properties.startedAt, silence: lease.silence,
                lease: lease.duration, followed: followed[lease.id] ?? 0, isDraining: !lease.standing.takesWork,
                differences: own?.properties.settings.differences(from: lease.properties.settings) ?? [])
        }
    }

    func follower(of id: WorkflowID) throws(StoreError) -> Follower? {
        let found = try reader.find(
            Self.unsettled(id), projection: Self.writerField, limit: 1)
        guard let writer = found.first.flatMap(Self.writer) else { return nil }
        guard let lease = try leases.seen(writer) else { return Follower(serverID: writer, isGone: true) }
        return Follower(
            serverID: writer, addresses: lease.properties.addresses, silence: lease.silence, lease: lease.duration)
    }
}

extension MongoDirectory {
    private static var unsettled: BSONDocument { ["open": WorkflowDocument.isOpen, "settled": false] }
    private static func unsettled(_ id: WorkflowID) -> BSONDocument {
        ["_id": .string(id.rawValue), "settled": false]
    }
    private static var writerField: BSONDocument { ["writer": 1] }
    /// Nil if nobody follows it: it was left to whoever takes it.
    private static func writer(in document: BSONDocument) -> String? {
        let writer = document["writer"]?.stringValue
        return writer?.isEmpty == true ? nil : writer
    }
}

extension ServerLeases {
    /// A lease as it is seen now.
    struct Seen {
        var id: String
        var silence: Duration
        var duration: Duration
        var standing: ServerStanding
        var properties: ServerProperties
    }

    /// The leases of all servers, those that have run out included.
    func seen() throws(StoreError) -> [Seen] { try seen(["_id": ["$ne": .string(Self.schemaID)]]) }

    /// The lease of one server; nil if it has none.
    func seen(_ id: String) throws(StoreError) -> Seen? { try seen(["_id": .string(id)]).first }

    /// Servers of before say less.
    private func standing(in document: BSONDocument) -> ServerStanding {
        var standing = ServerStanding()
        standing.takesWork = document["takes_work"]?.boolValue ?? true
        standing.isStuck = document["stuck"]?.boolValue ?? false
        standing.leaves = Int(clamping: document["leaves"]?.int64Value ?? 0)
        standing.followed = (document["followed"]?.int64Value).map { Int(clamping: $0) }
        return standing
    }

    private func seen(_ filter: BSONDocument) throws(StoreError) -> [Seen] {
        let found = try translating(pool.description) { () throws(MongoError) in
            try pool.find(collection, filter: filter)
        }
        let now = try now()
        return found.compactMap { document in
            guard let id = document["_id"]?.stringValue, let renewed = document["renewed_at"]?.dateMilliseconds else {
                return nil
            }
            return Seen(
                id: id, silence: .milliseconds(max(0, now - renewed)),
                duration: .milliseconds(document["duration_ms"]?.int64Value ?? duration.milliseconds),
                standing: standing(in: document),
                properties: ServerProperties(document["properties"]?.documentValue))
        }
    }
}
