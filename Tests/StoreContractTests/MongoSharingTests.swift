import Dispatch
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// Several servers on one database.
@Suite(.timeLimit(.minutes(5))) struct MongoSharingTests {
    private let fixture: MongoFixture

    init() throws { fixture = try MongoFixture() }

    /// Of two that change a workflow one is told that the other was faster; the rest of its batch is stored.
    @Test func theFasterOneWins() throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        var samples = WorkflowSamples(.unseeded())
        let started = samples.start()
        let id = started.workflow.id
        #expect(try a.commit(CommitBatch(changes: [started])) == [])
        #expect(a.isWriter(of: id) && !b.isWriter(of: id))
        var mine = try #require(try a.load(id))
        var theirs = try #require(try b.load(id))
        #expect(theirs == started.workflow && !b.isWriter(of: id))
        let first = change(&theirs, &samples)
        let second = change(&mine, &samples)
        #expect(try b.commit(CommitBatch(changes: [first])) == [])
        #expect(b.isWriter(of: id))
        let other = samples.start()
        #expect(try a.commit(CommitBatch(changes: [other, second])) == [id])
        #expect(try a.load(other.workflow.id) == other.workflow)
        #expect(try a.load(id) == theirs && !a.isWriter(of: id))
        // Having read it, it may change it, and becomes its writer.
        mine = theirs
        #expect(try a.commit(CommitBatch(changes: [change(&mine, &samples)])) == [])
        #expect(a.isWriter(of: id))
        #expect(try b.commit(CommitBatch(deletions: [id])) == [id])
        #expect(try b.load(id) == mine)
        #expect(try b.commit(CommitBatch(deletions: [id])) == [])
        #expect(try a.load(id) == nil)
    }

    /// Progress has no version of its own, and yet it is noticed that somebody else has written.
    @Test func aWriteWithoutTransitionCountsToo() throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        var samples = WorkflowSamples(.unseeded())
        let started = samples.start()
        try a.commit(CommitBatch(changes: [started]))
        var workflow = try #require(try b.load(started.workflow.id))
        workflow.deletesWhenSettled = true
        let silent = WorkflowChange(workflow: workflow, isNew: false, touched: [], events: [])
        #expect(try b.commit(CommitBatch(changes: [silent])) == [])
        var mine = started.workflow
        #expect(try a.commit(CommitBatch(changes: [change(&mine, &samples)])) == [started.workflow.id])
        #expect(try a.load(started.workflow.id) == workflow)
    }

    /// A write whose answer was lost arrives late, after the record was read again: the next write does not match, and
    /// that is noticed although the late one was of the same server and has the same revision.
    @Test func aWriteThatArrivesLate() throws {
        let store = try fixture.openShared("a")
        var samples = WorkflowSamples(.unseeded())
        let started = samples.start()
        let id = started.workflow.id
        try store.commit(CommitBatch(changes: [started]))
        var late = try #require(try store.load(id))
        let lateChange = change(&late, &samples)
        let update = WorkflowDocument.update(
            lateChange, WorkflowDocument.mutableFields(late, writer: "a"), stored: [:], revision: 2, writeID: 77,
            mayHaveRow: false, eventsKept: 10)
        _ = try fixture.pool.update("rhythm_workflows", filter: ["_id": .string(id.rawValue)], update: update)
        var next = started.workflow
        #expect(try store.commit(CommitBatch(changes: [change(&next, &samples)])) == [id])
        #expect(try store.load(id) == late)
    }

    /// What a dead server leaves is shared out among the living ones, each part claimed once, and its writer is told
    /// when it turns out to have been asleep.
    @Test func orphansAreSharedOut() throws {
        let sleeper = try fixture.openShared("sleeper", lease: .milliseconds(1))
        var samples = WorkflowSamples(.unseeded())
        let changes = (0..<40).map { _ in samples.start() }
        try sleeper.commit(CommitBatch(changes: changes))
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        #expect(try a.leases.liveServers() == ["a", "b"])
        let some = try a.claimOrphans(limit: 3)
        #expect(some.count == 3)
        let first = try some + a.claimOrphans(limit: 100)
        let second = try b.claimOrphans(limit: 100)
        #expect(first.count + second.count == 40 && first.count > 5 && second.count > 5)
        #expect(Set(first + second) == Set(changes.map(\.workflow)))
        #expect(first.allSatisfy { a.isWriter(of: $0.id) } && second.allSatisfy { b.isWriter(of: $0.id) })
        #expect(try a.claimOrphans(limit: 100) == [] && b.claimOrphans(limit: 100) == [])
        var workflow = changes[0].workflow
        #expect(try sleeper.commit(CommitBatch(changes: [change(&workflow, &samples)])) == [workflow.id])
        // Both go on with what they have claimed.
        for (store, workflows) in [(a, first), (b, second)] {
            var workflow = workflows[0]
            #expect(try store.commit(CommitBatch(changes: [change(&workflow, &samples)])) == [])
        }
    }

    /// A server that starts takes its own and what nobody alive follows, and leaves alone what others follow.
    @Test func startingTakesWhatIsDue() throws {
        let a = try fixture.openShared("a")
        let dead = try fixture.openShared("dead", lease: .milliseconds(1))
        var samples = WorkflowSamples(.unseeded())
        let own = samples.start()
        let orphan = samples.start()
        try a.commit(CommitBatch(changes: [own]))
        try dead.commit(CommitBatch(changes: [orphan]))
        let b = try fixture.openShared("b")
        #expect(try b.loadUnsettled() == [orphan.workflow])
        let again = try fixture.openShared("a")
        #expect(try again.loadUnsettled() == [own.workflow])
        #expect(again.isWriter(of: own.workflow.id))
        b.close()
        #expect(try again.loadUnsettled().count == 2)
    }

    @Test func aSecondServerIsRefusedForAsLongAsTheLeaseLasts() throws {
        let first = try MongoStore(pool: fixture.pool, serverID: "first", leaseDuration: .seconds(30))
        for mode in [MongoStore.Mode.exclusive, .shared] {
            let error = #expect(throws: StoreError.self) {
                _ = try MongoStore(pool: fixture.pool, serverID: "second", mode: mode)
            }
            #expect(error?.code == .inUse && error?.message.contains("'first'") == true, "\(String(describing: error))")
        }
        #expect(try first.leases.liveServers() == ["first"])
        // The same server after a crash need not wait.
        _ = try MongoStore(pool: fixture.pool, serverID: "first", leaseDuration: .milliseconds(1))
        first.close()
        let second = try MongoStore(pool: fixture.pool, serverID: "second")
        #expect(throws: StoreError.self) { _ = try MongoStore(pool: fixture.pool, serverID: "third") }
        second.close()
        _ = try MongoStore(pool: fixture.pool, serverID: "third")
    }

    /// A lease belongs to one start of a server. What holds its home is known to be gone, or is found out about.
    @Test func aTwinIsRefusedAsLongAsTheOtherLives() throws {
        func open(home: String, lease: Duration = .seconds(3)) throws -> MongoStore {
            try MongoStore(
                pool: fixture.pool, serverID: "s", mode: .shared, leaseDuration: lease,
                incarnation: ServerIncarnation(home: home, place: "process of \(home)"))
        }
        let first = try open(home: "here")
        let leases = first.leases
        // Not a task: all threads for those may be waiting for a database.
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "renewing"))
        timer.schedule(deadline: .now(), repeating: .milliseconds(300))
        timer.setEventHandler { @Sendable in try? leases.renew() }
        timer.activate()
        let begun = ContinuousClock.now
        let error = #expect(throws: StoreError.self) { _ = try open(home: "there") }
        #expect(
            error?.code == .inUse && error?.message.contains("process of here") == true, "\(String(describing: error))")
        #expect(error?.message.contains("server-id") == true && begun.duration(to: .now) < .seconds(3))
        timer.cancel()
        // Silent for as long as its lease lasts: gone, as far as anybody can tell.
        let second = try open(home: "there")
        #expect(begun.duration(to: .now) > .seconds(3))
        // The first one was asleep.
        let loss = #expect(throws: StoreError.self) { try first.leases.renew() }
        #expect(loss?.code == .replaced && loss?.message.contains("process of there") == true)
        var samples = WorkflowSamples(.unseeded())
        let refused = #expect(throws: StoreError.self) { try first.commit(CommitBatch(changes: [samples.start()])) }
        #expect(refused?.code == .replaced && refused?.outcomeUnknown == false)
        first.close()
        #expect(try second.leases.liveServers() == ["s"], "it ends its own lease only")
        // One that knows that the other is gone does not wait.
        let third = try open(home: "there", lease: .seconds(600))
        #expect(throws: StoreError.self) { try second.leases.renew() }
        third.close()
        // Nobody has it any more: it may be had again.
        try second.leases.renew()
        #expect(second.leases.loss == nil)
        #expect(try second.commit(CommitBatch(changes: [samples.start()])) == [])
    }

    /// A server that takes on no work leaves all of it, and what it stores meanwhile, to those that do: not only the share
    /// that would fall to them among all.
    @Test func workIsLeftToOthers() throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        var samples = WorkflowSamples(.unseeded())
        let changes = (0..<20).map { _ in samples.start() }
        try a.commit(CommitBatch(changes: changes))
        #expect(try a.others().map(\.standing.takesWork) == [true] && b.others().map(\.standing.takesWork) == [true])
        try a.handOver()
        a.takesWork = false
        try a.renewLease()
        let more = samples.start()
        try a.commit(CommitBatch(changes: [more]))
        #expect(!a.isWriter(of: more.workflow.id) && !a.isWriter(of: changes[0].workflow.id))
        #expect(try a.others().map(\.standing.takesWork) == [true] && b.others().map(\.standing.takesWork) == [false])
        #expect(try b.claimOrphans(limit: 100).count == 21)
        a.takesWork = true
        try a.renewLease()
        #expect(try b.others().map(\.standing.takesWork) == [true])
    }

    /// Some workflows are left to others: those that fall to one of them, of those that nobody else has changed meanwhile.
    @Test func someWorkIsLeftToOthers() throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        let c = try fixture.openShared("c")
        var samples = WorkflowSamples(.unseeded())
        let changes = (0..<60).map { _ in samples.start() }
        try a.commit(CommitBatch(changes: changes))
        let ids = changes.map(\.workflow.id)
        c.standing.takesWork = false
        b.standing.followed = 7
        for store in [b, c] { try store.renewLease() }
        let others = try a.others().sorted { $0.id < $1.id }
        #expect(others.map(\.standing.takesWork) == [true, false] && others.map(\.standing.followed) == [7, nil])
        // One was changed by somebody else in between, and is none of this server's any more.
        let falling = ids.filter { ServerLeases.share(of: $0.rawValue, among: ["a", "b"]) == "b" }
        let taken = try #require(falling.first)
        var theirs = try #require(try b.load(taken))
        #expect(try b.commit(CommitBatch(changes: [change(&theirs, &samples)])) == [])
        #expect(try a.handOver(ids, to: ["c"], atMost: 9) == [], "nothing falls to one that takes no work")
        #expect(try a.handOver(ids, to: [], atMost: 9) == [] && a.handOver(ids, to: ["b"], atMost: 0) == [])
        let first = try a.handOver(ids, to: ["b"], atMost: 5)
        #expect(first == Array(falling.prefix(5)))
        #expect(first.allSatisfy { !a.isWriter(of: $0) })
        let rest = try a.handOver(ids, to: ["b"], atMost: 100)
        #expect(rest == Array(falling.dropFirst(5)))
        let kept = ids.filter { !falling.contains($0) }
        #expect(kept.allSatisfy { a.isWriter(of: $0) } && kept.count > 10 && falling.count > 10)
        // They are nobody's until the one takes them to whom they fall.
        #expect(try a.claimOrphans(limit: 100) == [])
        let claimed = try b.claimOrphans(limit: 100)
        #expect(Set(claimed.map(\.id)) == Set(falling).subtracting([taken]))
        #expect(b.isWriter(of: taken) && claimed.allSatisfy { b.isWriter(of: $0.id) })
        // Each goes on with its own, and one that was handed over is read before it is changed.
        var mine = try #require(changes.first { $0.workflow.id == kept[0] }).workflow
        #expect(try a.commit(CommitBatch(changes: [change(&mine, &samples)])) == [])
        var given = try #require(claimed.first)
        #expect(try b.commit(CommitBatch(changes: [change(&given, &samples)])) == [])
        var back = try #require(try a.load(given.id))
        #expect(back == given && !a.isWriter(of: given.id))
        #expect(try a.commit(CommitBatch(changes: [change(&back, &samples)])) == [])
        #expect(a.isWriter(of: given.id))
    }

    /// A clock that is behind is as wrong as one that is ahead.
    @Test func clocksThatAreBehind() {
        let sample = SteadyClock.Sample(
            time: Timestamp(microseconds: 1_800_000_000_000_000), boot: 5_000_000, uncertainty: .zero)
        func ahead(_ wall: Int64) -> Duration {
            ServerLeases.ahead(Timestamp(microseconds: wall), of: sample, boot: 6_000_000)
        }
        #expect(ahead(1_800_000_001_000_000) == .zero)
        #expect(ahead(1_800_000_601_000_000) == .seconds(600))
        #expect(ahead(1_799_999_401_000_000) == .seconds(-600))
    }

    /// What is said of a server stands beside its lease.
    @Test func aServerSaysSomethingAboutItself() throws {
        let store = try fixture.openShared("s")
        store.leases.publish(["address": "10.0.0.1:7744"])
        try store.leases.renew()
        let said = try store.leases.census().living.first?["properties"]?.documentValue
        #expect(said == ["address": "10.0.0.1:7744"])
    }

    /// A server that had the database to itself and was silent for too long does not go on beside its successor.
    @Test func anExclusiveServerThatSlept() throws {
        let first = ServerLeases(
            pool: fixture.pool, collection: "rhythm_servers", serverID: "first", duration: .milliseconds(1),
            isShared: false)
        try first.renew()
        let second = try MongoStore(pool: fixture.pool, serverID: "second")
        let loss = #expect(throws: StoreError.self) { try first.renew() }
        #expect(loss?.code == .replaced && first.loss == loss)
        second.close()
        try first.renew()
        #expect(first.loss == nil)
    }

    /// A server that has the database to itself keeps its lease without anybody's help, until it is closed or gone.
    @Test func anExclusiveServerKeepsItsLease() async throws {
        let watcher = ServerLeases(
            pool: fixture.pool, collection: "rhythm_servers", serverID: "watcher", duration: .seconds(1), isShared: true
        )
        func renewedAt() throws -> Int64? {
            try fixture.pool.findOne("rhythm_servers", filter: ["_id": "s"])?["renewed_at"]?.dateMilliseconds
        }
        var store: MongoStore? = try MongoStore(pool: fixture.pool, serverID: "s", leaseDuration: .milliseconds(900))
        let first = try #require(try renewedAt())
        // Longer than the lease lasts without renewal.
        try await waitUntil { try renewedAt() ?? 0 > first + 1_000 }
        #expect(try watcher.liveServers() == ["s"])
        // Gone without a word, as in a crash.
        store = nil
        try await waitUntil { try watcher.liveServers() == [] }
        store = try MongoStore(pool: fixture.pool, serverID: "s")
        store?.close()
        #expect(try watcher.liveServers() == [])
    }

    private func waitUntil(_ condition: () throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while try !condition() {
            try #require(ContinuousClock.now < deadline)
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// When a server goes, the shares of the others stay.
    @Test func sharesMoveLittle() {
        var random = SeededGenerator.unseeded()
        let ids = (0..<3000).map { _ in random.uuid() }
        let four: Set<String> = ["a", "b", "c", "d"]
        var counts: [String: Int] = [:]
        for id in ids {
            let share = ServerLeases.share(of: id, among: four) ?? ""
            counts[share, default: 0] += 1
            if share != "d" { #expect(ServerLeases.share(of: id, among: ["a", "b", "c"]) == share) }
        }
        #expect(
            counts.count == 4 && counts.values.allSatisfy { $0 > 550 && $0 < 950 }, "\(counts), seed \(random.seed)")
        #expect(ServerLeases.share(of: "x", among: []) == nil)
    }

    @Test(arguments: [StoreError.Code.tooNew, .tooOld])
    func aDocumentOfAnotherSchemaIsRefused(_ code: StoreError.Code) throws {
        let store = try fixture.openShared("a")
        var samples = WorkflowSamples(.unseeded())
        let change = samples.start()
        try store.commit(CommitBatch(changes: [change]))
        _ = try fixture.pool.update(
            "rhythm_workflows", filter: ["_id": .string(change.workflow.id.rawValue)],
            update: ["$inc": ["schema": code == .tooNew ? 1 : -1]])
        var error = #expect(throws: StoreError.self) { _ = try store.load(change.workflow.id) }
        #expect(error?.code == code)
        error = #expect(throws: StoreError.self) { _ = try store.reader.list(ListQuery()) }
        #expect(error?.code == code)
    }

    /// What is there stays as it is, down to the servers and indexes.
    @Test(arguments: [
        (Int64(1), StoreError.Code.tooOld, "nothing was changed. Let the version that wrote it"),
        (4, .tooNew, "use a newer one"),
    ])
    func aDatabaseOfAnotherSchemaIsRefused(_ number: Int64, _ code: StoreError.Code, _ advice: String) throws {
        #expect(WorkflowDocument.schema == 3)
        let servers: [BSONDocument] = [["_id": ":schema", "number": .int64(number)]]
        let workflows: [BSONDocument] = [["_id": "w", "rhythm": ["schema": .int64(number), "events": .array([])]]]
        try fixture.pool.insert("rhythm_servers", servers)
        try fixture.pool.insert("workflow_meta", workflows)
        for open in [fixture.openMongo, { try fixture.openShared("b") }] {
            let error = #expect(throws: StoreError.self) { _ = try open() }
            #expect(error?.code == code)
            #expect(
                error?.message.contains("schema version \(number), this program reads and writes version 3") == true)
            #expect(error?.message.contains(advice) == true && error?.outcomeUnknown == false)
        }
        #expect(try fixture.pool.find("rhythm_servers", filter: [:]) == servers)
        #expect(try fixture.pool.find("workflow_meta", filter: [:]) == workflows)
        #expect(try fixture.pool.indexNames("workflow_meta") == ["_id_"])
    }

    /// Something that happens to the workflow.
    private func change(_ workflow: inout Workflow, _ samples: inout WorkflowSamples) -> WorkflowChange {
        while true {
            if let change = samples.advance(&workflow), !change.events.isEmpty { return change }
        }
    }
}
