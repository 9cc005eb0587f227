import RhythmEngine
import RhythmMongo
import RhythmStoreMongo
import RhythmTesting

/// A MongoDB store in a database of its own, on a server that all tests share.
final class MongoFixture: StoreFixture {
    static let server = Result { try MongoServer(.standalone) }

    let database: String
    let pool: MongoPool
    let serverID: String
    private let eventsKept: Int
    private(set) var store: MongoStore?

    init(eventsKept: Int = MongoStore.eventsKeptByDefault) throws {
        database = "t\(UInt64.random(in: 0 ... .max))"
        pool = try MongoPool(uri: Self.server.get().address(database))
        serverID = "server of \(database)"
        self.eventsKept = eventsKept
    }

    deinit { _ = try? pool.writeCommand(["dropDatabase": 1]) }

    var storesBatchesWhole: Bool { false }
    var thrift: Int { 6 }

    func open() throws -> any Store { try openMongo() }

    @discardableResult func openMongo() throws -> MongoStore {
        let store = try MongoStore(pool: pool, serverID: serverID, eventsKept: eventsKept)
        self.store = store
        return store
    }

    /// A store of another server on the same database; both share it.
    func openShared(_ name: String, lease: Duration = .seconds(15)) throws -> MongoStore {
        try MongoStore(pool: pool, serverID: name, mode: .shared, leaseDuration: lease, eventsKept: eventsKept)
    }

    func close() throws {
        store?.close()
        store = nil
    }

    /// Nothing is said to the database any more; its lease is left behind.
    func crash() throws { store = nil }
}
