import Glibc
package import RhythmEngine
import RhythmMongo

/// The servers that use a database, each of which proves from time to time that it lives. Any thread.
///
/// All times are the database server's, so that the clocks of the servers need not agree.
package final class ServerLeases: Sendable {
    /// How long a proof holds.
    package let duration: Duration
    private let pool: MongoPool
    private let collection: String
    private let serverID: String
    private let isShared: Bool

    /// The document with the form of what is stored; no server is named so.
    private static let schemaID = ":schema"

    init(pool: MongoPool, collection: String, serverID: String, duration: Duration, isShared: Bool) {
        self.pool = pool
        self.collection = collection
        self.serverID = serverID
        self.duration = duration
        self.isShared = isShared
    }

    /// Refuses a database of another form than this program's, without changing anything; marks one that has none.
    func checkSchema() throws(StoreError) {
        let known = WorkflowDocument.schema
        let stored = try translating(pool.description) { () throws(MongoError) in
            try pool.findOneAndUpdate(
                collection, filter: ["_id": .string(Self.schemaID)],
                update: ["$setOnInsert": ["number": .int64(known)]], upsert: true)
        }
        guard let found = stored?["number"]?.int64Value else { return }
        try WorkflowDocument.check(schema: found, of: pool.description)
    }

    /// Proves that this server lives.
    package func renew() throws(StoreError) {
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collection, filter: ["_id": .string(serverID)],
                update: [
                    "$currentDate": ["renewed_at": true],
                    "$set": ["duration_ms": .int64(duration.milliseconds), "shared": .bool(isShared)],
                ], upsert: true)
        }
    }

    /// Lets the others know at once that this server is going to stop. If they cannot be told, they notice later.
    package func end() { _ = try? pool.delete(collection, filter: ["_id": .string(serverID)]) }

    /// The ids of the servers whose lease has not run out; this one's own only if it has renewed its.
    package func liveServers() throws(StoreError) -> Set<String> {
        Set(try live().compactMap { $0["_id"]?.stringValue })
    }

    /// Registers this server, or says who has the database.
    ///
    /// Each registers first and looks then, so of two that begin at the same moment at least one sees the other.
    func begin() throws(StoreError) {
        try renew()
        let others = try live().filter { $0["_id"]?.stringValue != serverID }
        let hindrances = isShared ? others.filter { $0["shared"]?.boolValue == false } : others
        guard let other = hindrances.first else { return }
        end()
        throw StoreError(
            .inUse,
            "\(pool.description) is used by server '\(other["_id"]?.stringValue ?? "?")'; stop it, or wait "
                + "\(duration.components.seconds) s if it has crashed"
                + (isShared ? "; it does not share the database" : ", or let all servers share the database"))
    }

    private func live() throws(StoreError) -> [BSONDocument] {
        try translating(pool.description) { () throws(MongoError) in
            let all = try pool.find(
                collection, filter: ["_id": ["$ne": .string(Self.schemaID)]])
            let clock = try pool.command(["isMaster": 1], on: "admin")["localTime"]?.dateMilliseconds
            let now = clock ?? Self.ownClock()
            return all.filter { server in
                guard let renewed = server["renewed_at"]?.dateMilliseconds else { return false }
                let lasts = server["duration_ms"]?.int64Value ?? duration.milliseconds
                return renewed + lasts > now
            }
        }
    }

    /// Of a server that does not tell its own.
    private static func ownClock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Which of several servers a workflow falls to, by rendezvous hashing: when one server goes, only its share moves.
    static func share(of id: String, among servers: Set<String>) -> String? {
        servers.max { (weight(of: $0, id), $0) < (weight(of: $1, id), $1) }
    }

    /// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) with a final mix, because its high bits hardly depend on the
    /// last bytes.
    private static func weight(of server: String, _ id: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in [Array(server.utf8), [0], Array(id.utf8)].joined() {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        hash = (hash ^ (hash >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return hash ^ (hash >> 32)
    }
}

extension Duration {
    /// Cut towards zero.
    var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
