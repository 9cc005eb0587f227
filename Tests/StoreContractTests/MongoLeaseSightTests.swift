import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// What servers of one database see of each other by their leases.
@Suite(.timeLimit(.minutes(5))) struct MongoLeaseSightTests {
    private let fixture: MongoFixture

    init() throws { fixture = try MongoFixture() }

    @Test func whoIsNotHeardAndWhoHasGone() throws {
        let a = try fixture.openShared("a")
        let b = try fixture.openShared("b")
        for server in [a, b] { #expect(try server.surroundings() == Surroundings()) }
        a.isMute = true
        #expect(try b.surroundings() == Surroundings(), "it has yet to say so")
        try a.renewLease()
        #expect(try b.surroundings().somebodyIsMute)
        #expect(try a.surroundings().somebodyIsMute == false, "it is somebody else who has to know")
        a.isMute = false
        try a.renewLease()
        #expect(try b.surroundings() == Surroundings())
        // Another start of it has its lease.
        let again = try fixture.openShared("a")
        #expect(try b.surroundings().somebodyLeft)
        #expect(try b.surroundings() == Surroundings(), "once")
        again.endLease()
        #expect(try b.surroundings().somebodyLeft)
        #expect(try b.surroundings() == Surroundings())
    }

    @Test func leasesOfServersThatAreLongGoneGo() throws {
        let store = try fixture.openShared("a")
        var samples = WorkflowSamples(.unseeded())
        let started = samples.start()
        let other = try fixture.openShared("follower")
        try other.commit(CommitBatch(changes: [started]))
        let now = try store.leases.now()
        let day: Int64 = 24 * 3600 * 1000
        for (id, days) in [("old", 8), ("older", 400), ("recent", 6)] as [(BSONValue, Int64)] {
            try fixture.pool.insert(
                "rhythm_servers", ["_id": id, "renewed_at": .date(milliseconds: now - days * day), "shared": true])
        }
        _ = try fixture.pool.update(
            "rhythm_servers", filter: ["_id": "follower"],
            update: ["$set": ["renewed_at": .date(milliseconds: now - 8 * day)]])
        _ = try store.surroundings()
        let left = try fixture.pool.find("rhythm_servers").compactMap { $0["_id"]?.stringValue }
        #expect(Set(left) == [":schema", "a", "follower", "recent"], "one that a record names stays")
    }
}
