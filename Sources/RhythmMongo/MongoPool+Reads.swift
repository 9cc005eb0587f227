import CMongoC

extension MongoPool {
    /// The documents that a filter means, all in memory.
    ///
    /// - Parameters:
    ///   - limit: how many at most; 0 for all.
    ///   - skip: how many of the first to pass over.
    package func find(
        _ collection: String, filter: BSONDocument = [:], projection: BSONDocument? = nil, sort: BSONDocument? = nil,
        skip: Int = 0, limit: Int = 0, hint: String? = nil
    ) throws(MongoError) -> [BSONDocument] {
        var options = BSONDocument()
        options["projection"] = projection.map { .document($0) }
        options["sort"] = sort.map { .document($0) }
        if skip > 0 { options["skip"] = .int64(Int64(skip)) }
        if limit > 0 { options["limit"] = .int64(Int64(limit)) }
        options["hint"] = hint.map { .string($0) }
        return try withCollection(collection) { (handle) throws(MongoError) in
            try filter.withDriverForm { (filter) throws(MongoError) in
                try options.withDriverForm { (options) throws(MongoError) in
                    try self.documents(mongoc_collection_find_with_opts(handle, filter, options, nil))
                }
            }
        }
    }

    /// The first document that a filter means; nil if there is none.
    package func findOne(
        _ collection: String, filter: BSONDocument, projection: BSONDocument? = nil, sort: BSONDocument? = nil
    ) throws(MongoError) -> BSONDocument? {
        try find(collection, filter: filter, projection: projection, sort: sort, limit: 1).first
    }

    /// What a pipeline gives, all in memory.
    package func aggregate(_ collection: String, _ pipeline: [BSONDocument]) throws(MongoError) -> [BSONDocument] {
        let stages: BSONDocument = ["pipeline": .array(pipeline.map { .document($0) })]
        return try withCollection(collection) { (handle) throws(MongoError) in
            try stages.withDriverForm { (stages) throws(MongoError) in
                try self.documents(
                    mongoc_collection_aggregate(handle, MONGOC_QUERY_NONE, stages, nil, nil))
            }
        }
    }

    /// How many documents a filter means.
    package func count(_ collection: String, filter: BSONDocument = [:]) throws(MongoError) -> Int {
        try withCollection(collection) { (handle) throws(MongoError) in
            try filter.withDriverForm { (filter) throws(MongoError) in
                var error = bson_error_t()
                let count = mongoc_collection_count_documents(handle, filter, nil, nil, nil, &error)
                guard count >= 0 else { throw self.failure(error) }
                return Int(count)
            }
        }
    }

    /// Runs a command that writes nothing on the pool's database, or on another one.
    package func command(_ command: BSONDocument, on database: String? = nil) throws(MongoError) -> BSONDocument {
        let lease = try lease()
        return try command.withDriverForm { (command) throws(MongoError) in
            var error = bson_error_t()
            let (done, reply) = try withReply { reply in
                mongoc_client_read_command_with_opts(
                    lease.client, database ?? self.database, command, nil, nil, reply, &error)
            }
            guard done else { throw self.failure(error) }
            return reply
        }
    }

    /// What the server says of itself.
    package func hello() throws(MongoError) -> MongoServerInfo {
        // The old name is answered by every version.
        MongoServerInfo(answer: try command(["isMaster": 1], on: "admin"))
    }

    /// Reads a cursor to its end and destroys it.
    private func documents(_ cursor: OpaquePointer?) throws(MongoError) -> [BSONDocument] {
        guard let cursor else { throw MongoError(.other, "the driver made no cursor") }
        defer { mongoc_cursor_destroy(cursor) }
        var found: [BSONDocument] = []
        var document: OpaquePointer?
        while mongoc_cursor_next(cursor, &document) {
            if let document { found.append(try BSONDocument(copying: document)) }
        }
        var error = bson_error_t()
        if mongoc_cursor_error(cursor, &error) { throw failure(error) }
        return found
    }
}

/// What a server says of itself.
package struct MongoServerInfo: Sendable, Hashable {
    /// The name of its replica set; nil if it is in none.
    package let replicaSet: String?
    /// Whether it is a router of a sharded cluster.
    package let isRouter: Bool
    /// Whether it may write.
    package let isWritable: Bool
    /// The most bytes of a document.
    package let maximumDocumentSize: Int
    /// What it says, whole.
    package let answer: BSONDocument

    init(answer: BSONDocument) {
        replicaSet = answer["setName"]?.stringValue
        isRouter = answer["msg"]?.stringValue == "isdbgrid"
        isWritable = (answer["isWritablePrimary"] ?? answer["ismaster"])?.boolValue ?? false
        maximumDocumentSize = answer["maxBsonObjectSize"]?.int64Value.map { Int($0) } ?? 16 << 20
        self.answer = answer
    }

    /// Whether it has change streams, as far as its kind tells.
    package var hasChangeStreams: Bool { replicaSet != nil || isRouter }
}
