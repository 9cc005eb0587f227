import Dispatch
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

/// The driver's wrapper against a real server.
@Suite(.timeLimit(.minutes(5))) struct MongoPoolTests {
    private static let server = Result { try MongoServer(.standalone) }

    private func pool(_ options: MongoOptions = MongoOptions()) throws -> MongoPool {
        let server = try Self.server.get()
        return try MongoPool(uri: server.address("t\(UInt64.random(in: 0 ... .max))"), options: options)
    }

    @Test func documentsComeBackAsTheyWere() throws {
        let pool = try pool()
        var document = BSONTests.everyType
        document.elements.insert(.init("_id", "x"), at: 0)
        // What the specification calls deprecated is turned into something else by some servers.
        for name in ["undefined", "old binary", "pointer", "symbol", "scope", "code"] { document[name] = nil }
        try pool.insert("c", document)
        #expect(try pool.findOne("c", filter: ["_id": "x"]) == document)
        #expect(try pool.findOne("c", filter: ["_id": "y"]) == nil)
    }

    @Test func findSortsLimitsAndProjects() throws {
        let pool = try pool()
        try pool.insert("c", (0..<1000).map { ["_id": .int32($0), "odd": .bool($0 % 2 == 1), "text": "long"] })
        let found = try pool.find(
            "c", filter: ["odd": true], projection: ["_id": 1], sort: ["_id": -1], skip: 1, limit: 3)
        #expect(found == [["_id": 997], ["_id": 995], ["_id": 993]])
        #expect(try pool.find("c").count == 1000)
        #expect(try pool.count("c", filter: ["odd": false]) == 500)
        let groups = try pool.aggregate(
            "c", [["$group": ["_id": "$odd", "n": ["$sum": 1]]], ["$sort": ["_id": 1]]])
        #expect(groups.map { $0["n"]?.int64Value } == [500, 500])
    }

    @Test func updates() throws {
        let pool = try pool()
        try pool.insert("c", [["_id": 1, "n": 1], ["_id": 2, "n": 1]])
        var result = try pool.update("c", filter: ["n": 1], update: ["$inc": ["n": 1]])
        #expect(result.matched == 1 && result.modified == 1)
        result = try pool.update("c", filter: [:], update: ["$set": ["n": 5]], many: true)
        #expect(result.matched == 2 && result.modified == 2)
        result = try pool.update("c", filter: ["_id": 9], update: ["$set": ["n": 5]])
        #expect(result.matched == 0)
        result = try pool.update("c", filter: ["_id": 9], update: ["$set": ["n": 9]], upsert: true)
        #expect(result.upsertedID == 9)
        result = try pool.replace("c", filter: ["_id": 1], with: ["_id": 1, "new": true])
        #expect(result.matched == 1)
        #expect(try pool.findOne("c", filter: ["_id": 1]) == ["_id": 1, "new": true])
        let changed = try pool.findOneAndUpdate("c", filter: ["_id": 2], update: ["$inc": ["n": 1]])
        #expect(changed?["n"]?.int64Value == 6)
        let before = try pool.findOneAndUpdate(
            "c", filter: ["_id": 2], update: ["$inc": ["n": 1]], projection: ["n": 1], returnsNew: false)
        #expect(before == ["_id": 2, "n": 6])
        #expect(try pool.findOneAndUpdate("c", filter: ["_id": 77], update: ["$set": ["n": 1]]) == nil)
        #expect(try pool.delete("c", filter: ["_id": 1]) == 1)
        #expect(try pool.delete("c", filter: ["_id": 1]) == 0)
        #expect(try pool.delete("c", filter: [:], many: true) == 2)
    }

    /// An unordered bulk does all that it can, and says which operations were refused.
    @Test func bulks() throws {
        let pool = try pool()
        try pool.createIndexes(
            "c", [MongoIndex("u", keys: ["u": 1], isUnique: true, partialFilter: ["u": ["$exists": true]])])
        try pool.insert("c", [["_id": "a", "u": 1], ["_id": "b"]])
        let writes: [MongoWrite] = [
            .insert(["_id": "c", "u": 1]), .update(filter: ["_id": "b"], update: ["$set": ["x": 1]]),
            .insert(["_id": "a"]), .insert(["_id": "d", "": "empty"]),
            .update(filter: ["_id": "z"], update: ["$set": ["x": 1]]),
            .delete(filter: ["_id": "a"]), .replace(filter: ["_id": "e"], with: ["_id": "e", "y": 1], upsert: true),
        ]
        let result = try pool.bulkWrite("c", writes, ordered: false)
        #expect(result.refusals.map(\.index) == [0, 2])
        #expect(result.refusals.allSatisfy { $0.error.kind == .duplicateKey && !$0.error.outcomeUnknown })
        #expect(result.inserted == 1 && result.matched == 1 && result.deleted == 1)
        #expect(result.upsertedIDs == [6: "e"])
        #expect(try pool.find("c", projection: ["_id": 1], sort: ["_id": 1]).map { $0["_id"] } == ["b", "d", "e"])
        #expect(try pool.bulkWrite("c", [], ordered: false).inserted == 0)
        let error = #expect(throws: MongoError.self) { try pool.insert("c", ["_id": "b"]) }
        #expect(error?.kind == .duplicateKey)
        #expect(try pool.indexNames("c") == ["_id_", "u"])
        #expect(try pool.indexNames("nothing") == [])
    }

    @Test func whatIsTooLargeIsRefused() throws {
        let pool = try pool()
        let text = String(repeating: "x", count: 9 << 20)
        let error = #expect(throws: MongoError.self) {
            try pool.insert("c", ["_id": 1, "a": .string(text), "b": .string(text)])
        }
        #expect(error?.kind == .tooLarge && error?.outcomeUnknown == false, "\(String(describing: error))")
        try pool.insert("c", ["_id": 1, "a": .string(text)])
        let grown = #expect(throws: MongoError.self) {
            try pool.update("c", filter: ["_id": 1], update: ["$set": ["b": .string(text)]])
        }
        #expect(grown?.kind == .tooLarge && grown?.outcomeUnknown == false, "\(String(describing: grown))")
    }

    @Test func commandsAndTheirErrors() throws {
        let pool = try pool()
        let info = try pool.hello()
        #expect(info.isWritable && !info.hasChangeStreams && info.maximumDocumentSize == 16 << 20)
        #expect(try pool.command(["ping": 1])["ok"]?.doubleValue == 1)
        let error = #expect(throws: MongoError.self) { try pool.command(["noSuchCommand": 1]) }
        #expect(error?.kind == .notSupported, "\(String(describing: error))")
        let names = #expect(throws: MongoError.self) { try pool.find("c", filter: ["a\0": 1]) }
        #expect(names?.kind == .invalidDocument)
        let stream = #expect(throws: MongoError.self) { _ = try pool.watch("c") }
        #expect(stream?.kind == .notSupported)
    }

    /// More threads than connections: they wait for each other.
    @Test func manyThreads() throws {
        let server = try Self.server.get()
        let pool = try MongoPool(uri: server.address("many", options: "maxPoolSize=3"))
        let problems = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 16) { thread in
            do {
                for round in 0..<20 {
                    try pool.update(
                        "c", filter: ["_id": 1], update: ["$inc": ["n": 1]], upsert: true)
                    try pool.insert("d", ["_id": .int64(Int64(thread * 1000 + round))])
                }
            } catch { problems.withLock { $0.append("\(error)") } }
        }
        #expect(problems.withLock { $0 } == [])
        #expect(try pool.findOne("c", filter: ["_id": 1])?["n"]?.int64Value == 320)
        #expect(try pool.count("d") == 320)
    }

    @Test func databaseOfTheAddress() throws {
        let server = try Self.server.get()
        #expect(try MongoPool(uri: server.address("other")).database == "other")
        #expect(try MongoPool(uri: server.address()).database == "rhythm")
        #expect(try MongoPool(uri: server.address(), defaultDatabase: "d").database == "d")
        #expect(try MongoPool(uri: server.address("x")).description == "mongodb://127.0.0.1:\(server.port)/x")
    }
}
