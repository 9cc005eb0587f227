import Glibc
import RhythmCore
package import RhythmEngine
package import RhythmMongo
import Synchronization

/// The servers that use a database, each of which proves from time to time that it lives. Any thread.
///
/// All times are the database server's, so that the clocks of the servers need not agree. A lease belongs to one
/// incarnation of a server: two that go by one id (a copied data directory, a restored backup) notice each other by it,
/// the one that begins at its start and the one whose lease was taken with its next proof.
package final class ServerLeases: StoreLink {
    /// How long a proof holds.
    package let duration: Duration
    /// This life of this server.
    package let incarnation: ServerIncarnation
    let pool: MongoPool
    let collection: String
    let serverID: String
    private let isShared: Bool
    private let state = Mutex(State())
    let sight = Mutex(Sight())

    private struct State {
        var properties = BSONDocument()
        var standing = ServerStanding()
        /// It is not decided yet whether this server may begin.
        var isStarting = false
        /// Why the lease is not this incarnation's any more.
        var loss: StoreError?
        /// What the database's clock said last, and who wants to know.
        var time: SteadyClock.Sample?
        var followers: [@Sendable (SteadyClock.Sample) -> Void] = []
        /// When the last proof was begun that the database has.
        var lastProof: ContinuousClock.Instant?
    }

    /// The document with the form of what is stored; no server is named so.
    static let schemaID = ":schema"

    init(
        pool: MongoPool, collection: String, serverID: String, duration: Duration, isShared: Bool,
        incarnation: ServerIncarnation = ServerIncarnation()
    ) {
        self.pool = pool
        self.collection = collection
        self.serverID = serverID
        self.duration = duration
        self.isShared = isShared
        self.incarnation = incarnation
    }

    /// Refuses a database of another form than this program's, without changing anything; marks one that has none.
    ///
    /// - Parameter mayBeConverted: The form before is let pass.
    /// - Returns: The id of the store, which is made up with the mark; empty until it has been converted.
    @discardableResult func checkSchema(mayBeConverted: Bool = false) throws(StoreError) -> String {
        let known = WorkflowDocument.schema
        let stored = try translating(pool.description) { () throws(MongoError) in
            try pool.findOneAndUpdate(
                collection, filter: ["_id": .string(Self.schemaID)],
                update: ["$setOnInsert": ["number": .int64(known), "store_id": .string(RandomUUID.make())]],
                upsert: true)
        }
        let fields = Fields(stored ?? [:], "the form of \(pool.description)")
        let number = try fields.int64("number")
        if mayBeConverted, number == FirstForm.schema { return "" }
        try WorkflowDocument.check(schema: number, of: pool.description)
        return mayBeConverted ? "" : try fields.text("store_id")
    }

    // MARK: This server's

    /// Says something about this server to whoever looks at the leases: from the next proof on, in the field
    /// `properties`, in place of what was said before.
    package func publish(_ properties: BSONDocument) { state.withLock { $0.properties = properties } }

    /// Why this server must not act any more: another incarnation has its lease. Nil if it has it itself, as far as it
    /// knows.
    package var loss: StoreError? { state.withLock { $0.loss } }

    /// When this server last proved that it lives: the time before it asked the database to note it. Nil if it never has.
    package var lastProof: ContinuousClock.Instant? { state.withLock { $0.lastProof } }

    /// What this server says of itself; others see it with its next proof.
    package var standing: ServerStanding {
        get { state.withLock { $0.standing } }
        set { state.withLock { $0.standing = newValue } }
    }

    /// The other servers that live.
    func others() throws(StoreError) -> [OtherServer] {
        try seen().compactMap { lease in
            guard lease.id != serverID, lease.silence < lease.duration else { return nil }
            return OtherServer(id: lease.id, standing: lease.standing, silence: lease.silence)
        }
    }

    package var proofLasts: Duration { duration }

    package func probe() -> Bool { pool.answers(within: .seconds(2)) }

    /// Proves that this server lives.
    ///
    /// - Throws: ``StoreError``: `replaced` if another incarnation has the lease now, or another server has begun to use a
    ///   database that this one had to itself.
    package func renew() throws(StoreError) {
        let begun = ContinuousClock.now
        if !isShared, let last = lastProof, last.duration(to: begun) >= duration, let other = try hindrance() {
            let loss = StoreError(
                .replaced,
                "\(pool.description): \(Self.place(of: other)) has begun to use the database while this server could not"
                    + " prove that it lives; stop one of the two")
            state.withLock { $0.loss = loss }
            throw loss
        }
        do throws(MongoError) {
            // Where the lease was removed it is made again; where another has it, the id is taken.
            try pool.update(
                collection, filter: ["_id": .string(serverID), "incarnation": .string(incarnation.id)], update: proof,
                upsert: true)
        } catch {
            guard error.kind == .duplicateKey else { throw StoreError(error, at: pool.description) }
            let holder = try own()
            // Gone in between: the next proof makes it anew.
            if holder == nil { throw StoreError(.unavailable, "\(pool.description): the lease has just been removed") }
            let loss = StoreError(
                .replaced,
                "\(pool.description): \(Self.place(of: holder)) goes by the id '\(serverID)', too, and has its lease; stop"
                    + " one of the two, and remove the file server-id of the data directory that is a copy")
            state.withLock { $0.loss = loss }
            throw loss
        }
        state.withLock {
            $0.loss = nil
            $0.lastProof = begun
        }
    }

    /// Lets the others know at once that this server is going to stop. If they cannot be told, they notice later.
    package func end() {
        _ = try? pool.delete(
            collection, filter: ["_id": .string(serverID), "incarnation": .string(incarnation.id)])
    }

    private var proof: BSONDocument {
        var fields: BSONDocument = [
            "duration_ms": .int64(duration.milliseconds), "shared": .bool(isShared),
            "incarnation": .string(incarnation.id), "home": .string(incarnation.home),
            "place": .string(incarnation.place), "takes_work": .bool(standing.takesWork), "mute": .bool(isMute),
        ]
        fields["stuck"] = .bool(standing.isStuck)
        fields["leaves"] = .exact(standing.leaves)
        if let followed = standing.followed { fields["followed"] = .exact(followed) }
        if let ahead = wallAhead { fields["clock_ahead_ms"] = .int64(ahead.milliseconds) }
        let (properties, isStarting) = state.withLock { ($0.properties, $0.isStarting) }
        fields["starting"] = .bool(isStarting)
        if !properties.isEmpty { fields["properties"] = .document(properties) }
        return ["$currentDate": ["renewed_at": true], "$set": .document(fields)]
    }

    /// Registers this server, or says who has the database. May take as long as a lease lasts: see ``take()``.
    ///
    /// - Parameters:
    ///   - allowsOtherSettings: Whether it may have settings that do harm beside those of a server that lives.
    ///   - pause: Told before it says that it has begun, and before it counts that, by tests that do something in between.
    func begin(
        allowsOtherSettings: Bool = true, pause: (_ hasSaid: Bool) -> Void = { _ in }
    ) throws(StoreError) {
        state.withLock { $0.isStarting = true }
        try take()
        do throws(StoreError) {
            try join(allowsOtherSettings: allowsOtherSettings, pause)
        } catch {
            end()
            throw error
        }
    }

    /// Begins beside the servers that are there, or is refused because of one that has begun.
    ///
    /// Of servers that begin at the same moment and do not get along, exactly one is to go on. One that has not begun is in
    /// nobody's way. Each looks who has begun, says that it has, and counts up how many have, from the number before its
    /// look: where another was faster with that, it looks again, and sees that one. Whoever counts first goes on.
    private func join(allowsOtherSettings: Bool, _ pause: (_ hasSaid: Bool) -> Void) throws(StoreError) {
        while true {
            let begun = try stored(Self.schemaID)?[Self.begunField]
            let others = try census().living.filter {
                $0["_id"]?.stringValue != serverID && $0["starting"]?.boolValue != true
            }
            if let refusal = refusal(because: others, allowsOtherSettings: allowsOtherSettings) { throw refusal }
            pause(false)
            state.withLock { $0.isStarting = false }
            try renew()
            pause(true)
            let counted = try translating(pool.description) { () throws(MongoError) in
                try pool.update(
                    collection, filter: ["_id": .string(Self.schemaID), Self.begunField: begun ?? ["$exists": false]],
                    update: ["$inc": [Self.begunField: .int64(1)]])
            }
            if counted.matched == 1 { return }
            // Whoever looks now must not be refused because of one that may be refused itself.
            state.withLock { $0.isStarting = true }
            try renew()
        }
    }

    /// How many servers have begun, beside the form of what is stored.
    private static let begunField = "servers_begun"

    private func refusal(because others: [BSONDocument], allowsOtherSettings: Bool) -> StoreError? {
        if let other = others.first(where: isInTheWay) {
            return StoreError(
                .inUse,
                "\(pool.description) is used by server '\(other["_id"]?.stringValue ?? "?")'; stop it, or wait "
                    + "\(duration.components.seconds) s if it has crashed"
                    + (isShared ? "; it does not share the database" : ", or let all servers share the database"))
        }
        guard isShared, !allowsOtherSettings else { return nil }
        let own = ServerProperties(state.withLock { $0.properties }).settings
        for other in others {
            let theirs = ServerProperties(other["properties"]?.documentValue)
            guard let first = own.differences(from: theirs.settings).first, first.isDangerous else { continue }
            let where_ = theirs.addresses.first.map { " at \($0)" } ?? ""
            return StoreError(
                .inUse,
                "\(pool.description): server '\(other["_id"]?.stringValue ?? "?")'\(where_) has another setting of"
                    + " \(first.name): '\(first.theirs)', not '\(first.ours)'. With both, \(first.consequence). Give both"
                    + " the same, or start with --different-settings allow")
        }
        return nil
    }

    /// A living server that does not get along with this one.
    private func hindrance() throws(StoreError) -> BSONDocument? {
        try census().living.first { $0["_id"]?.stringValue != serverID && isInTheWay($0) }
    }

    /// One of the two wants the database to itself.
    private func isInTheWay(_ other: BSONDocument) -> Bool { !isShared || other["shared"]?.boolValue == false }

    /// Makes the lease of this server's id this incarnation's.
    ///
    /// Of an incarnation with the same home it is known that it is gone. Of any other it is found out: one that proves
    /// meanwhile that it lives keeps the lease, and this server is refused; one that is silent until its lease has run out
    /// loses it.
    private func take() throws(StoreError) {
        var seen: BSONDocument?
        while true {
            guard let found = try own() else {
                do throws(StoreError) { return try renew() } catch {
                    // Another one was faster; what it is, the next look tells.
                    guard error.code == .replaced else { throw error }
                    continue
                }
            }
            let holder = found["incarnation"]?.stringValue
            if holder == incarnation.id { return try renew() }
            let isGone = found["home"]?.stringValue == incarnation.home
            let time = try now()
            if !isGone, isLiving(found, at: time) {
                if let seen, seen["renewed_at"] != found["renewed_at"] || seen["incarnation"] != found["incarnation"] {
                    throw StoreError(
                        .inUse,
                        "\(pool.description): the id '\(serverID)' of this server is that of \(Self.place(of: found)),"
                            + " which is alive. Is this data directory a copy? Then remove the file server-id from it")
                }
                seen = found
                usleep(Self.lookInterval)
                continue
            }
            let result = try translating(pool.description) { () throws(MongoError) in
                try pool.update(
                    collection,
                    filter: [
                        "_id": .string(serverID), "incarnation": holder.map { .string($0) } ?? ["$exists": false],
                        "renewed_at": found["renewed_at"] ?? .null,
                    ], update: proof)
            }
            // Looked at before, so nobody waits; what this start proves, it proves from the next time on.
            if result.matched == 1 { return try renew() }
        }
    }

    /// How often it is looked whether the holder of this server's lease lives (microseconds).
    private static let lookInterval: UInt32 = 200_000

    private func own() throws(StoreError) -> BSONDocument? { try stored(serverID) }

    private func stored(_ id: String) throws(StoreError) -> BSONDocument? {
        try translating(pool.description) { () throws(MongoError) in
            try pool.findOne(collection, filter: ["_id": .string(id)])
        }
    }

    private static func place(of server: BSONDocument?) -> String {
        server?["place"]?.stringValue ?? "another server"
    }

    // MARK: All servers

    /// The ids of the servers whose lease has not run out; this one's own only if it has renewed its.
    package func liveServers() throws(StoreError) -> Set<String> {
        Set(try census().living.compactMap { $0["_id"]?.stringValue })
    }

    /// The same and this server, and those of them that can go on with what is left lying: none of it falls to a server
    /// that cannot, unless there is no other.
    func liveServersAndTakers() throws(StoreError) -> (live: Set<String>, takers: Set<String>) {
        let others = try others()
        let own = standing
        func ids(_ isMeant: (ServerStanding) -> Bool) -> Set<String> {
            Set(others.filter { isMeant($0.standing) }.map(\.id)).union(isMeant(own) ? [serverID] : [])
        }
        let able = ids(\.isAble)
        return (ids { _ in true }, able.isEmpty ? ids(\.takesWork).union([serverID]) : able)
    }

    package var clocksOfOthers: [(name: String, ahead: Duration)] {
        guard isShared, let living = try? census().living else { return [] }
        return living.compactMap { server in
            guard let id = server["_id"]?.stringValue, id != serverID, let ahead = server["clock_ahead_ms"]?.int64Value
            else { return nil }
            return (Self.place(of: server) + " (\(id))", .milliseconds(ahead))
        }
    }

    /// All servers that have left a lease, as they are stored: those whose lease holds, and those whose lease has run out.
    package func census() throws(StoreError) -> (living: [BSONDocument], gone: [BSONDocument]) {
        let all = try translating(pool.description) { () throws(MongoError) in
            try pool.find(collection, filter: ["_id": ["$ne": .string(Self.schemaID)]])
        }
        let now = try now()
        return (all.filter { isLiving($0, at: now) }, all.filter { !isLiving($0, at: now) })
    }

    private func isLiving(_ server: BSONDocument, at now: Int64) -> Bool {
        guard let renewed = server["renewed_at"]?.dateMilliseconds else { return false }
        let lasts = server["duration_ms"]?.int64Value ?? duration.milliseconds
        return renewed + lasts > now
    }

    /// The database's clock.
    func now() throws(StoreError) -> Int64 {
        let sample = try SteadyClock.Sample.taken { () throws(StoreError) in
            try translating(pool.description) { () throws(MongoError) in
                let said = try pool.command(["isMaster": 1], on: "admin")["localTime"]?.dateMilliseconds
                return said.map { Timestamp(microseconds: $0 * 1000) }
            }
        }
        guard let sample else { return Self.ownClock() }
        note(sample)
        return sample.time.microseconds / 1000
    }

    private func note(_ sample: SteadyClock.Sample) {
        // What took long says little.
        guard sample.uncertainty < Self.worstSample else { return }
        let followers = state.withLock { state in
            state.time = sample
            return state.followers
        }
        for follow in followers { follow(sample) }
    }

    /// What may be wrong by more is no measure of a clock.
    private static let worstSample = Duration.milliseconds(500)

    package func tellTime(_ follow: @escaping @Sendable (SteadyClock.Sample) -> Void) {
        let known = state.withLock { state in
            state.followers.append(follow)
            return state.time
        }
        if let known { follow(known) }
    }

    /// By how much this machine's clock is ahead of the database's; nil if that was never measured.
    private var wallAhead: Duration? {
        state.withLock { $0.time }.map { Self.ahead(.wallClock, of: $0, boot: SteadyClock.boot()) }
    }

    /// By how much a clock is ahead of the one of a sample, if it shows this time so long after the start; negative if
    /// it is behind.
    static func ahead(_ wall: Timestamp, of sample: SteadyClock.Sample, boot: Int64) -> Duration {
        .microseconds(wall.microseconds) - .microseconds(sample.time.microseconds) - .microseconds(boot - sample.boot)
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
