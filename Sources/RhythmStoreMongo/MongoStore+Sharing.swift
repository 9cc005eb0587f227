import Logging
package import RhythmCore
package import RhythmEngine
import RhythmMongo

extension MongoStore {
    package var renewalInterval: Duration { leases.duration / 3 }
    package var isShared: Bool { mode == .shared }
    package var link: (any StoreLink)? { leases }
    package var directory: (any ServerDirectory)? {
        isShared ? MongoDirectory(leases: leases, reader: everybodysReader) : nil
    }
    package func renewLease() throws(StoreError) { try leases.renew() }

    package var standing: ServerStanding {
        get { leases.standing }
        set { leases.standing = newValue }
    }

    package func others() throws(StoreError) -> [OtherServer] { try leases.others() }

    /// Who follows what this server stores; no server is named by the empty text.
    var writer: String { takesWork ? serverID : Self.nobody }
    static var nobody: String { "" }

    package func handOver() throws(StoreError) {
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.workflows, filter: Self.unsettled(writer: .string(serverID)),
                update: ["$set": ["writer": ""], "$inc": ["revision": .int64(1)]], many: true)
        }
        known = KnownWorkflows()
    }

    package func handOver(
        _ candidates: [WorkflowID], to receivers: Set<String>, atMost limit: Int
    ) throws(StoreError) -> [WorkflowID] {
        guard limit > 0, !candidates.isEmpty, !receivers.isEmpty else { return [] }
        // Whoever claims them decides by the same rule.
        let takers = try leases.liveServersAndTakers().takers
        var writes: [MongoWrite] = []
        var ids: [WorkflowID] = []
        for id in candidates {
            if ids.count == limit { break }
            guard let known = known[id], known.writer == serverID, !known.isSettled,
                let heir = ServerLeases.share(of: id.rawValue, among: takers), receivers.contains(heir)
            else { continue }
            ids.append(id)
            writes.append(
                .update(
                    filter: [
                        "_id": .string(id.rawValue), "writer": .string(serverID), "revision": .int64(known.revision),
                    ],
                    update: ["$set": ["writer": ""], "$inc": ["revision": .int64(1)]]))
        }
        if ids.isEmpty { return [] }
        // Whatever comes of it: read again before anything else is done to them.
        for id in ids { known[id] = nil }
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(collections.workflows, writes, ordered: false)
        }
        let sought = BSONValue.array(ids.map { .string($0.rawValue) })
        let kept = try mongoReader.find(["_id": ["$in": sought], "writer": .string(serverID)])
        for document in kept { _ = try remember(document) }
        return ids.filter { known[$0] == nil }
    }

    package func endLease() {
        // While nobody runs, nobody writes what the last records say.
        afterwork.settle()
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
        try finish(leftBy: ["$or": [["writer": .string(serverID)], ["writer": Self.noneOf(live)]]])
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.update(
                collections.workflows, filter: Self.unsettled(writer: Self.noneOf(live)),
                update: ["$set": ["writer": .string(serverID)], "$inc": ["revision": .int64(1)]], many: true)
        }
        return readable(try mongoReader.find(Self.unsettled(writer: .string(serverID))))
    }

    package func unsettledVersions() throws(StoreError) -> [WorkflowID: Int64] {
        try finish(leftBy: ["writer": .string(serverID)])
        var versions: [WorkflowID: Int64] = [:]
        for document in try mongoReader.find(Self.unsettled(writer: .string(serverID)), projection: ["version": 1]) {
            guard let id = document["_id"]?.stringValue, let version = document["version"]?.int64Value else { continue }
            versions[WorkflowID(id)] = version
        }
        return versions
    }

    package func claimOrphans(limit: Int) throws(StoreError) -> [Workflow] {
        guard limit > 0 else { return [] }
        let (live, takers) = try leases.liveServersAndTakers()
        try finish(leftBy: ["writer": Self.noneOf(live)])
        let orphans = try mongoReader.find(
            Self.unsettled(writer: Self.noneOf(live)), projection: ["writer": 1, "revision": 1])
        let mine = orphans.filter { document in
            guard let id = document["_id"]?.stringValue else { return false }
            return ServerLeases.share(of: id, among: takers) == serverID
        }
        let claims = mine.prefix(limit)
        if claims.isEmpty { return [] }
        let writes = claims.map { seen in
            MongoWrite.update(
                filter: [
                    "_id": seen["_id"] ?? .null, "settled": false,
                    "writer": seen["writer"] ?? .null, "revision": seen["revision"] ?? .null,
                ],
                update: ["$set": ["writer": .string(serverID)], "$inc": ["revision": .int64(1)]])
        }
        _ = try translating(pool.description) { () throws(MongoError) in
            try pool.bulkWrite(collections.workflows, writes, ordered: false)
        }
        let ids = BSONValue.array(claims.map { $0["_id"] ?? .null })
        return readable(
            try mongoReader.find(["_id": ["$in": ids], "settled": false, "writer": .string(serverID)]))
    }

    /// Records that are on their way, of some writers. The first condition is what an index serves.
    private static func unsettled(writer: BSONValue) -> BSONDocument {
        ["open": WorkflowDocument.isOpen, "settled": false, "writer": writer]
    }

    private static func noneOf(_ servers: Set<String>) -> BSONValue {
        ["$nin": .array(servers.sorted().map { .string($0) })]
    }

    /// What servers that are gone, or an earlier life of this one, had begun and not finished: adoptions, and what is
    /// written behind settled workflows.
    private func finish(leftBy whose: BSONDocument) throws(StoreError) {
        func left(_ open: WorkflowDocument.Openness, _ further: BSONDocument) -> BSONDocument {
            BSONDocument([.init("open", open.bson)] + further.elements + whose.elements)
        }
        for draft in try mongoReader.find(left(.draft, [:])) { _ = try settled(draft) }
        let settled = try mongoReader.find(left(.behindRow, ["settled": true]), projection: ["_id": 1])
        afterwork.read(settled.compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } })
    }

    /// One that cannot be read must not hold up the others.
    private func readable(_ documents: [BSONDocument]) -> [Workflow] {
        documents.compactMap { document in
            do throws(StoreError) {
                let workflow = try remember(document)
                expectProjection(of: workflow)
                return workflow
            } catch {
                Logger(label: "rhythm.store").error("nobody goes on with an unsettled workflow: \(error)")
                return nil
            }
        }
    }

    /// Whoever wrote the workflow last may not have come to write what follows from it.
    private func expectProjection(of workflow: Workflow) {
        guard let stored = known[workflow.id] else { return }
        afterwork.check(workflow, revision: stored.revision, isAdopted: stored.isAdopted)
    }
}
