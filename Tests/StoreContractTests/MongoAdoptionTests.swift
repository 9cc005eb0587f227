import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// Somebody else comes between the steps of an adoption: it is done or it is not, and nobody loses the workflow.
@Suite(.timeLimit(.minutes(5))) struct MongoAdoptionTests {
    private let fixture: MongoFixture
    private let a: MongoStore
    private let b: MongoStore

    init() throws {
        fixture = try MongoFixture()
        a = try fixture.openShared("a")
        b = try fixture.openShared("b")
        try fixture.pool.insert(
            "workflow_meta",
            [
                "_id": "old", "created_at": .date(milliseconds: 5), "name": "n", "app_id": "a", "_status": "STARTED",
                "steps": [
                    ["name": "s", "task": "t", "task_runs": [["date_start": .date(milliseconds: 7), "task_id": "r1"]]]
                ],
            ])
    }

    private func change(by store: MongoStore) throws -> WorkflowChange {
        let reader = try #require(store.reader as? MongoReader)
        let record = try #require(try reader.records(["old"]).first)
        var change = WorkflowChange(workflow: record.workflow, isNew: false, touched: [], events: record.history)
        change.adopts = record.stamp
        return change
    }

    /// Does something when an adoption by a server has come so far, once.
    private func when(
        _ store: MongoStore, _ step: MongoStore.AdoptionStep, _ act: @escaping () throws(StoreError) -> Void
    ) {
        store.adoptionHasCome = { [weak store] (come) throws(StoreError) in
            guard come == step else { return }
            store?.adoptionHasCome = { _ in }
            try act()
        }
    }

    /// Everybody sees one workflow that is ours.
    private func expectAdopted() throws {
        for store in [a, b] {
            #expect(try store.load("old")?.id == "old")
            #expect(try store.reader.load("old")?.id == "old")
            #expect(try store.reader.list(ListQuery()).rows.map(\.id) == ["old"])
            #expect(try (store.reader as? MongoReader)?.isLegacy("old") == false)
        }
        #expect(try fixture.pool.count("rhythm_workflows") == 1)
    }

    /// Nothing has happened to the library's document.
    private func expectTheirs() throws {
        for store in [a, b] {
            #expect(try store.load("old") == nil)
            #expect(try store.reader.load("old")?.id == "old")
            #expect(try (store.reader as? MongoReader)?.isLegacy("old") == true)
        }
        #expect(try fixture.pool.count("rhythm_workflows") == 0)
    }

    /// The second one is told that somebody is at it.
    @Test(arguments: MongoStore.AdoptionStep.allCases)
    func twoAdoptAtOnce(_ step: MongoStore.AdoptionStep) throws {
        let theirs = try change(by: b)
        var answer: [WorkflowID] = []
        when(a, step) { () throws(StoreError) in answer = try b.commit(CommitBatch(changes: [theirs])) }
        #expect(try a.commit(CommitBatch(changes: [change(by: a)])) == [])
        #expect(answer == ["old"])
        try expectAdopted()
        #expect(a.isWriter(of: "old") && !b.isWriter(of: "old"))
    }

    /// Whoever only looks takes nothing away from a server that is at it.
    @Test(arguments: ["load", "orphans", "start"], MongoStore.AdoptionStep.allCases)
    func somebodyLooks(_ how: String, _ step: MongoStore.AdoptionStep) throws {
        when(a, step) { () throws(StoreError) in
            switch how {
            case "load": #expect(try (b.load("old") != nil) == (step == .marked))
            case "orphans": #expect(try b.claimOrphans(limit: 9).isEmpty)
            default: #expect(try b.loadUnsettled().isEmpty)
            }
        }
        #expect(try a.commit(CommitBatch(changes: [change(by: a)])) == [])
        try expectAdopted()
        #expect(a.isWriter(of: "old"))
        // It goes on from there.
        var workflow = try #require(try a.load("old"))
        var samples = WorkflowSamples(.unseeded())
        var next: WorkflowChange?
        while next?.events.isEmpty ?? true { next = samples.advance(&workflow) }
        #expect(try a.commit(CommitBatch(changes: [try #require(next)])) == [])
    }

    /// A server that leaves its work to others does not lose what it has just begun, and another one follows it.
    @Test(arguments: MongoStore.AdoptionStep.allCases, ["load", "orphans"])
    func aServerThatTakesNoWork(_ step: MongoStore.AdoptionStep, _ how: String) throws {
        a.takesWork = false
        try a.renewLease()
        when(a, step) { () throws(StoreError) in
            if how == "load" { _ = try b.load("old") } else { #expect(try b.claimOrphans(limit: 9).isEmpty) }
        }
        #expect(try a.commit(CommitBatch(changes: [change(by: a)])) == [])
        #expect(!a.isWriter(of: "old"))
        #expect(try b.claimOrphans(limit: 9).map(\.id) == ["old"])
        try expectAdopted()
    }

    /// Its lease has run out in the middle: another one makes sure that the mark comes no more.
    @Test(arguments: ["load", "orphans", "adopt"]) func aServerThatFellAsleep(_ how: String) throws {
        let sleeper = try fixture.openShared("sleeper", lease: .milliseconds(1))
        let theirs = try change(by: b)
        when(sleeper, .stored) { () throws(StoreError) in
            switch how {
            case "load": #expect(try b.load("old") == nil)
            case "orphans": #expect(try b.claimOrphans(limit: 9).isEmpty)
            default: #expect(try b.commit(CommitBatch(changes: [theirs])) == [])
            }
        }
        #expect(try sleeper.commit(CommitBatch(changes: [change(by: sleeper)])) == ["old"])
        if how == "adopt" { return try expectAdopted() }
        try expectTheirs()
        #expect(try b.commit(CommitBatch(changes: [change(by: b)])) == [])
        try expectAdopted()
        #expect(try fixture.pool.findOne("workflow_meta", filter: ["rhythm_void": ["$exists": true]]) == nil)
    }

    /// The mark is there, and the draft was taken for one of no use all the same, such as by an older version.
    @Test func aDraftThatIsGone() throws {
        when(a, .marked) { () throws(StoreError) in
            do { #expect(try fixture.pool.delete("rhythm_workflows", filter: ["_id": "old"]) == 1) } catch {
                Issue.record(error)
            }
        }
        #expect(try a.commit(CommitBatch(changes: [change(by: a)])) == [])
        try expectAdopted()
        #expect(a.isWriter(of: "old"))
    }

    /// Deleted by another server as soon as it was ours: it does not come back.
    @Test func deletedAtOnce() throws {
        when(a, .marked) { () throws(StoreError) in
            _ = try b.load("old")
            #expect(try b.commit(CommitBatch(deletions: ["old"])) == [])
        }
        #expect(try a.commit(CommitBatch(changes: [change(by: a)])) == [])
        #expect(!a.isWriter(of: "old"))
        a.afterwork.settle()
        b.afterwork.settle()
        for collection in ["rhythm_workflows", "rhythm_lists", "workflow_meta"] {
            #expect(try fixture.pool.count(collection) == 0, "\(collection)")
        }
    }
}
