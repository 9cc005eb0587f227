import Dispatch
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmStoreMongo

/// Servers that begin at the same moment and do not get along: one of them goes on.
@Suite(.timeLimit(.minutes(5))) struct MongoBeginningTests {
    private let fixture: MongoFixture

    init() throws { fixture = try MongoFixture() }

    private func leases(_ name: String, results: String, isShared: Bool = true) throws -> ServerLeases {
        let leases = ServerLeases(
            pool: fixture.pool, collection: "rhythm_servers", serverID: name, duration: .seconds(30),
            isShared: isShared)
        try leases.checkSchema()
        leases.publish(ServerProperties(settings: SharedSettings(["results": results])).document)
        return leases
    }

    /// The other one begins just before, or just after, this one has said that it has.
    @Test(arguments: [false, true], [false, true]) func oneBeginsInBetween(hasSaid: Bool, isShared: Bool) throws {
        let first = try leases("first", results: "one", isShared: isShared)
        let second = try leases("second", results: "other", isShared: isShared)
        var outcomes: [Result<Void, StoreError>] = []
        var isTold = false
        func begin(_ leases: ServerLeases, _ pause: (Bool) -> Void = { _ in }) -> Result<Void, StoreError> {
            Result { () throws(StoreError) in try leases.begin(allowsOtherSettings: false, pause: pause) }
        }
        let last = begin(first) { said in
            guard said == hasSaid, !isTold else { return }
            isTold = true
            outcomes.append(begin(second))
        }
        outcomes.append(last)
        let refused = outcomes.compactMap { if case .failure(let error) = $0 { error } else { nil } }
        #expect(outcomes.count == 2 && refused.map(\.code) == [.inUse], "\(outcomes)")
        // Whoever had said it first was in the way of the other.
        #expect(try first.liveServers() == [hasSaid ? "first" : "second"])
        // The one that was refused is in nobody's way afterwards.
        let third = try leases("third", results: hasSaid ? "one" : "other", isShared: isShared)
        if isShared { try third.begin(allowsOtherSettings: false) }
    }

    /// Those that get along all go on, however they come in each other's way.
    @Test func othersAreNotKeptFromBeginning() throws {
        let first = try leases("first", results: "one")
        let second = try leases("second", results: "one")
        let third = try leases("third", results: "other")
        var isTold = false
        try first.begin(allowsOtherSettings: false) { _ in
            if !isTold { try? second.begin(allowsOtherSettings: false) }
            isTold = true
        }
        #expect(try first.liveServers() == ["first", "second"])
        #expect(throws: StoreError.self) { try third.begin(allowsOtherSettings: false) }
        try third.begin(allowsOtherSettings: true)
        #expect(try first.liveServers() == ["first", "second", "third"])
        let starting = try fixture.pool.find("rhythm_servers", filter: ["starting": true])
        #expect(starting.isEmpty)
    }

    @Test func manyAtTheSameMoment() throws {
        for round in 0..<5 {
            let names = (0..<4).map { "s\(round)-\($0)" }
            let all = try names.map { try leases($0, results: $0) }
            let begun = Mutex<[String]>([])
            DispatchQueue.concurrentPerform(iterations: all.count) { index in
                guard (try? all[index].begin(allowsOtherSettings: false)) != nil else { return }
                begun.withLock { $0.append(names[index]) }
            }
            let winners = begun.withLock { $0 }
            #expect(winners.count == 1, "\(winners)")
            #expect(try all[0].liveServers() == Set(winners))
            for leases in all { leases.end() }
        }
    }
}
