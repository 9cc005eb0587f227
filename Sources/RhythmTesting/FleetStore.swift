package import RhythmCore
package import RhythmEngine
import Synchronization

/// A simulated store that several simulated servers share: the durable part with leases and writers beside it.
package final class FleetDisk: Sendable {
    /// What becomes of a write whose answer is lost.
    package enum Loss: Sendable, Hashable, CaseIterable {
        case stored, forgotten
        /// It is stored some time after its sender has given up, if it still matches then.
        case late
    }

    private struct State {
        var leases: [String: Timestamp] = [:]
        /// What servers said of themselves with their last proof, and when that was.
        var said: [String: (standing: ServerStanding, at: Timestamp)] = [:]
        var writers: [WorkflowID: String] = [:]
        var revisions: [WorkflowID: Int] = [:]
        /// What becomes of the next writes.
        var losses: [Loss] = []
        var lateWrites: [(write: LateWrite, sentAt: Timestamp)] = []
        /// Servers by whose ids others go.
        var replaced: Set<String> = []
    }

    /// What is on its way for longer has been lost.
    private static let latest = Duration.seconds(60)

    /// The write of one workflow that is still on its way.
    struct LateWrite: Sendable {
        let id: WorkflowID
        let server: String
        /// What it was made from.
        let revision: Int
        /// Nil if it only makes the server the writer, or deletes.
        var change: WorkflowChange?
        var isDeletion = false
    }

    package let disk = SimulationDisk()
    /// Servers that the others do not hear.
    fileprivate let mute = Mutex<Set<String>>([])
    let clock: SimulationClock
    private let state = Mutex(State())
    static let lease = Duration.seconds(15)

    package init(clock: SimulationClock) { self.clock = clock }

    func renew(_ server: String, _ standing: ServerStanding) {
        let now = clock.now()
        state.withLock { state in
            state.leases[server] = now + Self.lease
            state.said[server] = (standing, now)
        }
    }

    /// Those that live, but for one.
    func others(than server: String) -> [OtherServer] {
        let now = clock.now()
        return state.withLock { state in
            state.leases.filter { $0.key != server && $0.value > now }.keys.sorted().map { id in
                let said = state.said[id]
                return OtherServer(
                    id: id, standing: said?.standing ?? ServerStanding(),
                    silence: said.map { now.since($0.at) } ?? .zero)
            }
        }
    }

    /// To whom a workflow falls that nobody follows, as `server` sees it.
    func heir(of id: WorkflowID, seenBy server: String, _ standing: ServerStanding) -> String? {
        let others = others(than: server)
        var takers = others.filter(\.standing.isAble).map(\.id) + (standing.isAble ? [server] : [])
        if takers.isEmpty { takers = others.filter(\.standing.takesWork).map(\.id) + [server] }
        return takers.max { (Self.weight($0, id), $0) < (Self.weight($1, id), $1) }
    }

    private static func weight(_ server: String, _ id: WorkflowID) -> UInt64 {
        let seed: UInt64 = 0xCBF2_9CE4_8422_2325
        let hash = (server + "/" + id.rawValue).utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
        // Its high bits hardly depend on the last bytes.
        return (hash ^ (hash >> 32)) &* 0xD6E8_FEB8_6659_FD93
    }
    /// Another process goes by the id of a server and has its lease, or is gone again.
    package func replace(_ server: String, _ isReplaced: Bool = true) {
        state.withLock { state in
            if isReplaced { state.replaced.insert(server) } else { state.replaced.remove(server) }
        }
    }

    package func isReplaced(_ server: String) -> Bool { state.withLock { $0.replaced.contains(server) } }

    func endLease(_ server: String) { state.withLock { $0.leases[server] = nil } }

    fileprivate func living(beside server: String) -> Set<String> {
        let now = clock.now()
        return Set(state.withLock { $0.leases.filter { $0.key != server && $0.value > now }.keys })
    }

    /// Those that have a lease.
    var servers: [String] { state.withLock { $0.leases.keys.sorted() } }

    func revision(of id: WorkflowID) -> (writer: String?, revision: Int) {
        state.withLock { ($0.writers[id], $0.revisions[id] ?? 0) }
    }

    func write(_ id: WorkflowID, by server: String) -> Int {
        state.withLock { state in
            state.writers[id] = server
            state.revisions[id, default: 0] += 1
            return state.revisions[id] ?? 0
        }
    }

    /// Nobody follows it.
    func leave(_ id: WorkflowID) {
        state.withLock { state in
            state.writers[id] = nil
            state.revisions[id, default: 0] += 1
        }
    }

    func hasNoLiveWriter(_ id: WorkflowID) -> Bool {
        state.withLock { state in
            guard let writer = state.writers[id], let until = state.leases[writer] else { return true }
            return until <= clock.now()
        }
    }

    // MARK: Lost answers

    /// The next write of any server is answered to nobody.
    package func lose(_ loss: Loss) { state.withLock { $0.losses.append(loss) } }

    func nextLoss() -> Loss? { state.withLock { $0.losses.isEmpty ? nil : $0.losses.removeFirst() } }

    func delay(_ writes: [LateWrite]) {
        let now = clock.now()
        state.withLock { $0.lateWrites += writes.map { ($0, now) } }
    }

    /// What was on its way arrives; returns what it changed.
    package func deliverLateWrites() -> [WorkflowID] {
        let now = clock.now()
        let writes = state.withLock { state in
            defer { state.lateWrites = [] }
            return state.lateWrites.filter { now.since($0.sentAt) <= Self.latest }.map(\.write)
        }
        return writes.filter(deliver).map(\.id)
    }

    /// - Returns: whether it still matched.
    private func deliver(_ late: LateWrite) -> Bool {
        let image = disk.image
        let isThere = image.workflows[late.id] != nil
        guard revision(of: late.id).revision == late.revision, isThere != (late.change?.isNew ?? false) else {
            return false
        }
        if let change = late.change {
            let requestID = change.workflow.requestID
            if change.isNew, !requestID.isEmpty, image.requests[requestID] != nil { return false }
            try? disk.apply(CommitBatch(changes: [change]))
        }
        if late.isDeletion {
            try? disk.apply(CommitBatch(deletions: [late.id]))
            forget(late.id)
        } else {
            _ = write(late.id, by: late.change?.isLeft == true ? "" : late.server)
        }
        return true
    }

    /// Writes find their way again.
    func stopLosing() { state.withLock { $0.losses = [] } }

    func forget(_ id: WorkflowID) {
        state.withLock { state in
            // The number stays: another workflow of the same id goes on counting.
            state.revisions[id, default: 0] += 1
            state.writers[id] = nil
        }
    }
}

/// Who follows what in a simulated store.
private struct FleetDirectory: ServerDirectory {
    let fleet: FleetDisk
    let ownID: String

    func servers() throws(StoreError) -> [ServerEntry] {
        fleet.servers.map { ServerEntry(id: $0, lease: FleetDisk.lease, followed: followed(by: $0)) }
    }

    private func followed(by server: String) -> Int {
        fleet.disk.image.workflows.values.count { !$0.isSettled && fleet.revision(of: $0.id).writer == server }
    }

    func follower(of id: WorkflowID) throws(StoreError) -> Follower? {
        guard let workflow = fleet.disk.image.workflows[id], !workflow.isSettled,
            let writer = fleet.revision(of: id).writer
        else { return nil }
        return Follower(serverID: writer, lease: FleetDisk.lease, isGone: fleet.hasNoLiveWriter(id))
    }
}

/// The shared store as one server sees it.
package final class FleetStore: SharedStore {
    private let fleet: FleetDisk
    private let server: String
    private let inner: SimulationStore
    private let fuse: SimulationFuse
    /// What this server read or wrote last.
    private var known: [WorkflowID: (writer: String?, revision: Int)] = [:]
    /// What the read of a record meets, as a test wishes.
    package var readTrouble: (WorkflowID) -> StoreError? = { _ in nil }
    package var link: (any StoreLink)?
    private var seen: Set<String> = []

    package init(_ fleet: FleetDisk, server: String, _ fuse: SimulationFuse) {
        self.fleet = fleet
        self.server = server
        self.fuse = fuse
        inner = SimulationStore(fleet.disk, fuse)
    }

    package var reader: any StoreReader { inner.reader }
    package var isShared: Bool { true }
    package var storeID: String { "fleet" }
    package var directory: (any ServerDirectory)? { FleetDirectory(fleet: fleet, ownID: server) }
    package var renewalInterval: Duration { .seconds(5) }

    package func renewLease() throws(StoreError) {
        if fleet.disk.isAway { throw StoreError(.unavailable, "the simulated store is away") }
        guard fuse.pass() else { return }
        // The other one renews it.
        fleet.renew(server, standing)
        try checkLease()
    }

    package var standing = ServerStanding()
    package func others() throws(StoreError) -> [OtherServer] {
        if fleet.disk.isAway { throw StoreError(.unavailable, "the simulated store is away") }
        return fleet.others(than: server)
    }

    package func handOver(
        _ candidates: [WorkflowID], to receivers: Set<String>, atMost limit: Int
    ) throws(StoreError) -> [WorkflowID] {
        if fleet.disk.isAway { throw StoreError(.unavailable, "the simulated store is away") }
        let chosen = candidates.filter { id in
            isWriter(of: id) && fleet.heir(of: id, seenBy: server, standing).map(receivers.contains) == true
        }.prefix(limit)
        guard !chosen.isEmpty, fuse.pass() else { return [] }
        let loss = fleet.nextLoss()
        for id in chosen {
            let (seen, now) = (known[id]?.revision, fleet.revision(of: id))
            if loss != .forgotten, now.writer == server, now.revision == seen { fleet.leave(id) }
            known[id] = fleet.revision(of: id)
        }
        if loss != nil { throw Self.answerLost }
        handedOver += chosen.count
        return chosen.filter { !isWriter(of: $0) }
    }

    /// How many workflows were left to others one by one.
    package private(set) var handedOver = 0
    /// How many were stored for others to go on with.
    package private(set) var left = 0

    package func handOver() {
        for workflow in (try? inner.loadUnsettled()) ?? [] where fleet.revision(of: workflow.id).writer == server {
            fleet.leave(workflow.id)
        }
        known = [:]
    }

    package func endLease() { if fuse.pass() { fleet.endLease(server) } }

    package func isWriter(of id: WorkflowID) -> Bool { known[id]?.writer == server }

    package func claimOrphans(limit: Int) throws(StoreError) -> [Workflow] {
        guard fuse.pass() else { return [] }
        let orphans = try inner.loadUnsettled().filter { workflow in
            fleet.hasNoLiveWriter(workflow.id) && fleet.heir(of: workflow.id, seenBy: server, standing) == server
        }.prefix(limit)
        if orphans.isEmpty { return [] }
        if let loss = fleet.nextLoss() {
            switch loss {
            case .stored: for workflow in orphans { _ = fleet.write(workflow.id, by: server) }
            case .forgotten: break
            case .late:
                fleet.delay(
                    orphans.map { workflow in
                        .init(id: workflow.id, server: server, revision: fleet.revision(of: workflow.id).revision)
                    })
            }
            throw Self.answerLost
        }
        for workflow in orphans { known[workflow.id] = (server, fleet.write(workflow.id, by: server)) }
        return Array(orphans)
    }

    private static let answerLost = StoreError(
        .unavailable, "the answer of the simulated store was lost", outcomeUnknown: true)

    package func loadUnsettled() throws(StoreError) -> [Workflow] {
        let mine = try inner.loadUnsettled().filter { workflow in
            fleet.revision(of: workflow.id).writer == server || fleet.hasNoLiveWriter(workflow.id)
        }
        for workflow in mine { known[workflow.id] = (server, fleet.write(workflow.id, by: server)) }
        return mine
    }

    package func unsettledVersions() throws(StoreError) -> [WorkflowID: Int64] {
        let mine = try inner.loadUnsettled().filter { fleet.revision(of: $0.id).writer == server }
        return Dictionary(uniqueKeysWithValues: mine.map { ($0.id, $0.version) })
    }

    package func load(_ id: WorkflowID) throws(StoreError) -> Workflow? {
        if let trouble = readTrouble(id) { throw trouble }
        let found = try inner.load(id)
        known[id] = fleet.revision(of: id)
        return found
    }

    package func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        try inner.workflow(forRequest: requestID)
    }

    private func checkLease() throws(StoreError) {
        if fleet.isReplaced(server) { throw StoreError(.replaced, "another one goes by the name of \(server)") }
    }

    package func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID] {
        try checkLease()
        var mine = batch
        var changedElsewhere: [WorkflowID] = []
        for id in batch.deletions where (known[id]?.revision ?? 0) != fleet.revision(of: id).revision {
            changedElsewhere.append(id)
        }
        for change in batch.changes {
            let id = change.workflow.id
            if try isTaken(change) { changedElsewhere.append(id) }
        }
        mine.changes.removeAll { changedElsewhere.contains($0.workflow.id) }
        mine.deletions.removeAll { changedElsewhere.contains($0) }
        if !mine.isEmpty {
            let loss = fleet.nextLoss()
            if loss == .late { delay(mine) }
            if loss == .late || loss == .forgotten { throw Self.answerLost }
            do throws(StoreError) {
                _ = try inner.commit(mine)
            } catch {
                if error.outcomeUnknown { noteStored(mine) }
                throw error
            }
            noteStored(mine)
            if loss == .stored { throw Self.answerLost }
        }
        return changedElsewhere
    }

    private func delay(_ batch: CommitBatch) {
        func write(_ id: WorkflowID, _ change: WorkflowChange?) -> FleetDisk.LateWrite {
            .init(
                id: id, server: server, revision: fleet.revision(of: id).revision, change: change,
                isDeletion: change == nil)
        }
        fleet.delay(batch.changes.map { write($0.workflow.id, $0) } + batch.deletions.map { write($0, nil) })
    }

    /// Writes beside the simulated disk what a real store writes into the same document.
    private func noteStored(_ batch: CommitBatch) {
        let image = fleet.disk.image
        for change in batch.changes where image.workflows[change.workflow.id] == change.workflow {
            let writer = takesWork && !change.isLeft ? server : ""
            if change.isLeft { left += 1 }
            let revision = fleet.write(change.workflow.id, by: writer)
            if !fuse.isBurnt { known[change.workflow.id] = (writer, revision) }
        }
        for id in batch.deletions where image.workflows[id] == nil { fleet.forget(id) }
    }

    private func isTaken(_ change: WorkflowChange) throws(StoreError) -> Bool {
        let workflow = change.workflow
        guard change.isNew else {
            return (known[workflow.id]?.revision ?? 0) != fleet.revision(of: workflow.id).revision
        }
        if try inner.load(workflow.id) != nil { return true }
        if workflow.requestID.isEmpty { return false }
        return try inner.workflow(forRequest: workflow.requestID) != nil
    }
}

extension FleetStore: TellingStore {
    package var isMute: Bool {
        get { fleet.mute.withLock { $0.contains(server) } }
        set {
            fleet.mute.withLock { mute in
                if newValue { mute.insert(server) } else { mute.remove(server) }
            }
        }
    }

    package func surroundings() -> Surroundings {
        let living = fleet.living(beside: server)
        defer { seen = living }
        var found = Surroundings()
        found.somebodyLeft = !seen.isSubset(of: living)
        found.somebodyIsMute = !fleet.mute.withLock { $0.isDisjoint(with: living) }
        return found
    }
}
