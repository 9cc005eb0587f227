import Logging
import RhythmCore
package import RhythmEngine
import RhythmMongo
import Synchronization

/// What a server sees of the others by their leases.
extension ServerLeases {
    /// What was seen last.
    struct Sight {
        /// The others that lived, by id and incarnation.
        var living: Set<String> = []
        /// This server is not heard by the others.
        var isMute = false
        /// When leases that ran out long ago are looked for again.
        var cleanAfter = ContinuousClock.now
    }

    /// Whether the others do not hear what this server does; they see it with its next proof.
    package var isMute: Bool {
        get { sight.withLock { $0.isMute } }
        set { sight.withLock { $0.isMute = newValue } }
    }

    /// Looks at the leases of the others.
    package func surroundings() throws(StoreError) -> Surroundings {
        var found = Surroundings()
        var living: Set<String> = []
        for server in try census().living {
            guard let id = server["_id"]?.stringValue, id != serverID else { continue }
            living.insert("\(id) \(server["incarnation"]?.stringValue ?? "")")
            // Servers of before do not say it.
            if server["mute"]?.boolValue == true { found.somebodyIsMute = true }
        }
        sight.withLock { sight in
            found.somebodyLeft = !sight.living.isSubset(of: living)
            sight.living = living
        }
        return found
    }

    /// Removes the leases of servers that have been gone for long, now and then. What they followed others follow.
    ///
    /// - Parameter followers: those of these servers that some record still names.
    package func clean(unless followers: (Set<String>) throws(StoreError) -> Set<String>) throws(StoreError) {
        let now = ContinuousClock.now
        guard sight.withLock({ $0.cleanAfter <= now }) else { return }
        let limit = try self.now() - Self.kept.milliseconds
        let old: BSONDocument = [
            "_id": ["$nin": [.string(Self.schemaID), .string(serverID)]],
            "renewed_at": ["$lt": .date(milliseconds: limit)],
        ]
        let found = try translating(pool.description) { () throws(MongoError) in
            try pool.find(collection, filter: old)
        }
        let ids = Set(found.compactMap { $0["_id"]?.stringValue })
        let forgotten = ids.isEmpty ? [] : ids.subtracting(try followers(ids))
        for id in forgotten.sorted() {
            // One that came back this very moment has another time in its lease.
            _ = try translating(pool.description) { () throws(MongoError) in
                try pool.delete(
                    collection, filter: ["_id": .string(id), "renewed_at": ["$lt": .date(milliseconds: limit)]])
            }
            Logger(label: "rhythm.store").notice(
                "forgot a server that has been gone for a week", metadata: ["id": "\(id)"])
        }
        sight.withLock { $0.cleanAfter = now + Self.cleaningInterval }
    }

    /// Whoever is away for so long is not missed any more.
    private static let kept = Duration.seconds(7 * 24 * 3600)
    private static let cleaningInterval = Duration.seconds(3600)
}

extension MongoStore: TellingStore {
    package var isMute: Bool {
        get { leases.isMute }
        set { leases.isMute = newValue }
    }

    package func surroundings() throws(StoreError) -> Surroundings {
        try leases.clean { (servers) throws(StoreError) in
            let ids = BSONValue.array(servers.sorted().map { .string($0) })
            let left = try mongoReader.find(
                ["open": WorkflowDocument.isOpen, "writer": ["$in": ids]], projection: ["writer": 1])
            return Set(left.compactMap { $0["writer"]?.stringValue })
        }
        return try leases.surroundings()
    }
}
