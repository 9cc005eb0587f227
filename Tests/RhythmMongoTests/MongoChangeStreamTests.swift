import RhythmMongo
import RhythmTesting
import Testing

@Suite(.timeLimit(.minutes(5))) struct MongoChangeStreamTests {
    @Test func changesArriveInOrderAndGoOnFromAToken() throws {
        let server = try MongoServer(.replicaSet)
        let pool = try MongoPool(uri: server.address("x"))
        #expect(try pool.hello().hasChangeStreams)
        try pool.insert("c", ["_id": 0])
        let token: BSONDocument?
        do {
            let stream = try pool.watch("c", wait: .milliseconds(100))
            #expect(try stream.next(timeout: .milliseconds(1)) == nil)
            try pool.insert("c", (1...3).map { ["_id": .int32($0)] })
            let first = try #require(try stream.next(timeout: .seconds(10)))
            #expect(first["operationType"] == "insert")
            #expect(first["fullDocument"]?.documentValue?["_id"]?.int64Value == 1)
            #expect(try stream.next(timeout: .seconds(10))?["fullDocument"]?.documentValue?["_id"]?.int64Value == 2)
            token = stream.resumeToken
        }
        try pool.replace("c", filter: ["_id": 0], with: ["_id": 0, "x": 1])
        let from: BSONDocument = try #require(token)
        let resumed = try pool.watch(
            "c", [["$match": ["operationType": ["$in": ["insert", "replace"]]]]], resumeAfter: from,
            wait: .milliseconds(100))
        #expect(try resumed.next(timeout: .seconds(10))?["fullDocument"]?.documentValue?["_id"]?.int64Value == 3)
        #expect(try resumed.next(timeout: .seconds(10))?["operationType"] == "replace")
        #expect(try resumed.next(timeout: .milliseconds(1)) == nil)
    }
}
