import Dispatch
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

/// What comes of bad addresses, servers that are away, and answers that are lost.
@Suite(.timeLimit(.minutes(5))) struct MongoTroubleTests {
    private static let password = "s3cret/pässword@%41"
    private static let escaped = "s3cret%2Fp%C3%A4ssword%40%2541"

    @Test(arguments: [
        "", "nonsense", "http://127.0.0.1/", "mongodb://", "mongodb://u:\(escaped)@/x",
        "mongodb://u:\(escaped)@h:99999/x", "mongodb://u:s3cret/pässword@%41@h/x",
        "mongodb://u:\(escaped)@h/x?tls=maybe&w=-7",
    ])
    func badAddresses(_ address: String) {
        let error = #expect(throws: MongoError.self) { _ = try MongoPool(uri: address) }
        #expect(error?.kind == .invalidAddress, "\(String(describing: error))")
        expectNoSecret("\(String(describing: error))")
    }

    @Test func nobodyThere() throws {
        var options = MongoOptions()
        options.serverSelectionTimeout = .milliseconds(200)
        let pool = try MongoPool(uri: "mongodb://user:\(Self.escaped)@127.0.0.1:\(freePort())/x", options: options)
        expectNoSecret(pool.description)
        for _ in 0..<2 {
            let read = #expect(throws: MongoError.self) { _ = try pool.findOne("c", filter: [:]) }
            #expect(read?.kind == .networkOrTimeout)
            let write = #expect(throws: MongoError.self) { try pool.insert("c", ["_id": 1]) }
            #expect(write?.kind == .networkOrTimeout && write?.outcomeUnknown == false, "\(String(describing: write))")
            expectNoSecret("\(String(describing: read)) \(String(describing: write))")
        }
    }

    @Test func wrongPassword() throws {
        let server = try MongoServer(.standalone)
        try MongoPool(uri: server.address("admin")).writeCommand([
            "createUser": "user", "pwd": .string(Self.password),
            "roles": [["role": "readWrite", "db": "x"]],
        ])
        server.kill()
        let guarded = try MongoServer(.standalone, arguments: ["--auth"], folder: server.folder)
        func pool(_ password: String) throws -> MongoPool {
            try MongoPool(
                uri: "mongodb://user:\(password)@127.0.0.1:\(guarded.port)/x?authSource=admin")
        }
        let good = try pool(Self.escaped)
        try good.insert("c", ["_id": 1])
        let error = #expect(throws: MongoError.self) { try pool("wrong\(Self.escaped)").insert("c", ["_id": 2]) }
        #expect(error?.kind == .unauthorized && error?.outcomeUnknown == false, "\(String(describing: error))")
        expectNoSecret("\(String(describing: error))")
        let nobody = try MongoPool(uri: guarded.address("x"))
        let refused = #expect(throws: MongoError.self) { try nobody.insert("c", ["_id": 3]) }
        #expect(refused?.kind == .unauthorized, "\(String(describing: refused))")
        #expect(try good.count("c") == 1)
    }

    /// A server that takes a write and does not answer in time: nobody knows.
    @Test func lostAnswer() throws {
        let server = try MongoServer(.standalone)
        let pool = try MongoPool(uri: server.address("x", options: "socketTimeoutMS=300&retryWrites=false"))
        try pool.insert("c", ["_id": 1])
        server.freeze()
        let error = #expect(throws: MongoError.self) { try pool.insert("c", ["_id": 2]) }
        server.thaw()
        #expect(error?.kind == .networkOrTimeout && error?.outcomeUnknown == true, "\(String(describing: error))")
        // It goes on as soon as the server does.
        let deadline = ContinuousClock.now + .seconds(20)
        while (try? pool.update("c", filter: ["_id": 3], update: ["$set": ["x": 1]], upsert: true)) == nil {
            try #require(ContinuousClock.now < deadline)
        }
        #expect(try pool.count("c", filter: ["_id": 1]) == 1)
    }

    /// Whatever was acknowledged is there after a kill, and whatever was refused with a known outcome is not.
    @Test func killedServer() throws {
        let server = try MongoServer(.standalone)
        let pool = try MongoPool(uri: server.address("x", options: "serverSelectionTimeoutMS=500&retryWrites=false"))
        try pool.insert("c", ["_id": -1])
        var acknowledged: [Int64] = []
        var refused: [Int64] = []
        for round in 0..<3 {
            let killed = DispatchSemaphore(value: 0)
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(100 + 37 * round)) {
                server.kill()
                killed.signal()
            }
            var number = Int64(round) * 1_000_000
            while true {
                number += 1
                do {
                    try pool.insert("c", ["_id": .int64(number)])
                    acknowledged.append(number)
                } catch {
                    #expect(error.kind == .networkOrTimeout, "\(error)")
                    if !error.outcomeUnknown { refused.append(number) }
                    break
                }
            }
            killed.wait()
            try server.start()
        }
        let stored = try Set(pool.find("c").compactMap { $0["_id"]?.int64Value })
        #expect(acknowledged.count > 10)
        #expect(stored.isSuperset(of: acknowledged))
        #expect(stored.isDisjoint(with: refused))
    }

    private func expectNoSecret(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        for secret in [Self.password, Self.escaped, "s3cret"] {
            #expect(!text.contains(secret), "\(text)", sourceLocation: sourceLocation)
        }
    }
}
