import CMongoC

/// An index that a collection is to have.
package struct MongoIndex: Sendable, Hashable {
    package var name: String
    /// Fields with 1 or -1.
    package var keys: BSONDocument
    package var isUnique: Bool
    /// Only documents that have one of the fields are in it.
    package var isSparse: Bool
    /// Only documents that this filter means are in it.
    package var partialFilter: BSONDocument?

    package init(
        _ name: String, keys: BSONDocument, isUnique: Bool = false, isSparse: Bool = false,
        partialFilter: BSONDocument? = nil
    ) {
        self.name = name
        self.keys = keys
        self.isUnique = isUnique
        self.isSparse = isSparse
        self.partialFilter = partialFilter
    }

    fileprivate var description: BSONDocument {
        var document: BSONDocument = ["key": .document(keys), "name": .string(name)]
        if isUnique { document["unique"] = true }
        if isSparse { document["sparse"] = true }
        document["partialFilterExpression"] = partialFilter.map { .document($0) }
        return document
    }
}

extension MongoPool {
    /// Makes the indexes that are missing, and the collection. Those that are there cost nothing.
    package func createIndexes(_ collection: String, _ indexes: [MongoIndex]) throws(MongoError) {
        try writeCommand([
            "createIndexes": .string(collection), "indexes": .array(indexes.map { .document($0.description) }),
        ])
    }

    /// The names of a collection's indexes; empty if there is no such collection.
    package func indexNames(_ collection: String) throws(MongoError) -> Set<String> {
        let reply: BSONDocument
        do throws(MongoError) {
            reply = try command(["listIndexes": .string(collection)])
        } catch {
            // NamespaceNotFound.
            if error.isFromServer, error.code == 26 { return [] }
            throw error
        }
        let batch = reply["cursor"]?.documentValue?["firstBatch"]?.arrayValue ?? []
        return Set(batch.compactMap { $0.documentValue?["name"]?.stringValue })
    }

    /// Runs a command that writes on the pool's database, with the pool's write concern.
    @discardableResult package func writeCommand(_ command: BSONDocument) throws(MongoError) -> BSONDocument {
        let lease = try lease()
        return try command.withDriverForm { (command) throws(MongoError) in
            var error = bson_error_t()
            let (done, reply) = try withReply { reply in
                mongoc_client_write_command_with_opts(lease.client, self.database, command, nil, reply, &error)
            }
            guard done else { throw self.failure(error, isWrite: true) }
            return reply
        }
    }
}
