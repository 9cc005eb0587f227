import CMongoC

extension MongoPool {
    /// Sent with each document that is stored whole: the driver need not check again what ``BSONDocument/encoded()``
    /// made, and would refuse empty names.
    static let unchecked: BSONDocument = ["validate": false]

    /// Stores new documents, in order, until one is refused.
    package func insert(_ collection: String, _ documents: [BSONDocument]) throws(MongoError) {
        let result = try bulkWrite(collection, documents.map { .insert($0) }, ordered: true)
        if let refusal = result.refusals.first { throw refusal.error }
    }

    /// Stores a new document.
    package func insert(_ collection: String, _ document: BSONDocument) throws(MongoError) {
        try insert(collection, [document])
    }

    /// Changes the first document that a filter means, or all of them.
    @discardableResult package func update(
        _ collection: String, filter: BSONDocument, update: BSONDocument, upsert: Bool = false, many: Bool = false
    ) throws(MongoError) -> MongoUpdateResult {
        try single(collection, .update(filter: filter, update: update, upsert: upsert, many: many))
    }

    /// Puts a document in the place of the first one that a filter means.
    @discardableResult package func replace(
        _ collection: String, filter: BSONDocument, with document: BSONDocument, upsert: Bool = false
    ) throws(MongoError) -> MongoUpdateResult {
        try single(collection, .replace(filter: filter, with: document, upsert: upsert))
    }

    /// Deletes the first document that a filter means, or all of them.
    ///
    /// - Returns: how many it deleted.
    @discardableResult package func delete(
        _ collection: String, filter: BSONDocument, many: Bool = false
    ) throws(MongoError) -> Int {
        let result = try bulkWrite(collection, [.delete(filter: filter, many: many)], ordered: true)
        if let refusal = result.refusals.first { throw refusal.error }
        return result.deleted
    }

    private func single(_ collection: String, _ write: MongoWrite) throws(MongoError) -> MongoUpdateResult {
        let result = try bulkWrite(collection, [write], ordered: true)
        if let refusal = result.refusals.first { throw refusal.error }
        return MongoUpdateResult(
            matched: result.matched, modified: result.modified, upsertedID: result.upsertedIDs[0])
    }

    /// Changes the first document that a filter means and gives it back, in one step.
    ///
    /// - Parameter returnsNew: as it is after the change; else as it was before.
    /// - Returns: nil if the filter means none, or if it was made and `returnsNew` is not set.
    package func findOneAndUpdate(
        _ collection: String, filter: BSONDocument, update: BSONDocument, sort: BSONDocument? = nil,
        projection: BSONDocument? = nil, upsert: Bool = false, returnsNew: Bool = true
    ) throws(MongoError) -> BSONDocument? {
        guard let options = mongoc_find_and_modify_opts_new() else {
            throw MongoError(.other, "the driver made no options")
        }
        defer { mongoc_find_and_modify_opts_destroy(options) }
        // The driver copies each of these.
        try update.withDriverForm { _ = mongoc_find_and_modify_opts_set_update(options, $0) }
        try sort?.withDriverForm { _ = mongoc_find_and_modify_opts_set_sort(options, $0) }
        try projection?.withDriverForm { _ = mongoc_find_and_modify_opts_set_fields(options, $0) }
        var flags = MONGOC_FIND_AND_MODIFY_NONE.rawValue
        if upsert { flags |= MONGOC_FIND_AND_MODIFY_UPSERT.rawValue }
        if returnsNew { flags |= MONGOC_FIND_AND_MODIFY_RETURN_NEW.rawValue }
        mongoc_find_and_modify_opts_set_flags(options, mongoc_find_and_modify_flags_t(rawValue: flags))
        return try withCollection(collection) { (handle) throws(MongoError) in
            try filter.withDriverForm { (filter) throws(MongoError) in
                var error = bson_error_t()
                let (done, reply) = try withReply { reply in
                    mongoc_collection_find_and_modify_with_opts(handle, filter, options, reply, &error)
                }
                guard done else { throw self.failure(error, isWrite: true) }
                return reply["value"]?.documentValue
            }
        }
    }

    /// Sends many operations with as few round trips as the protocol allows.
    ///
    /// - Parameters:
    ///   - ordered: one after the other until one is refused; else all of them, in any order.
    ///   - isDerived: What is written follows from something that is stored and can be made again, so the answer need
    ///     not wait for a journal or for other members of the replica set.
    /// - Throws: ``MongoError`` for what concerns all of them. With `outcomeUnknown` any of them may have happened;
    ///   without it none has. What the server refuses for one operation is in the result.
    package func bulkWrite(
        _ collection: String, _ writes: [MongoWrite], ordered: Bool, isDerived: Bool = false
    ) throws(MongoError) -> MongoBulkResult {
        if writes.isEmpty { return MongoBulkResult() }
        return try withCollection(collection) { (handle) throws(MongoError) in
            var options: BSONDocument = ["ordered": .bool(ordered)]
            if isDerived { options.append("writeConcern", ["w": 1, "j": false]) }
            let bulk = try options.withDriverForm { mongoc_collection_create_bulk_operation_with_opts(handle, $0) }
            guard let bulk else { throw MongoError(.other, "the driver made no bulk operation") }
            defer { mongoc_bulk_operation_destroy(bulk) }
            for write in writes { try self.add(write, to: bulk) }
            var error = bson_error_t()
            let (server, reply) = try withReply { mongoc_bulk_operation_execute(bulk, $0, &error) }
            let result = MongoBulkResult(reply: reply, secrets: self.secrets)
            guard server == 0 || error.code != 0 else { return result }
            try self.checkWhole(error, reply, result)
            return result
        }
    }

    /// Throws unless the error says no more than the refusals.
    private func checkWhole(
        _ error: bson_error_t, _ reply: BSONDocument, _ result: MongoBulkResult
    ) throws(MongoError) {
        var failure = failure(error, isWrite: true)
        let concern = reply["writeConcernErrors"]?.arrayValue?.first?.documentValue
        if let concern {
            failure.outcomeUnknown = true
            if failure.message.isEmpty { failure.message = concern["errmsg"]?.stringValue ?? "" }
            throw failure
        }
        if failure.isFromServer, !result.refusals.isEmpty { return }
        // The driver may have sent a part before it met the trouble.
        if result.inserted + result.matched + result.deleted + result.upsertedIDs.count > 0 {
            failure.outcomeUnknown = true
        }
        throw failure
    }

    private func add(_ write: MongoWrite, to bulk: OpaquePointer) throws(MongoError) {
        var error = bson_error_t()
        let done: Bool
        switch write {
        case .insert(let document):
            done = try Self.with(document, Self.unchecked) {
                mongoc_bulk_operation_insert_with_opts(bulk, $0, $1, &error)
            }
        case .update(let filter, let update, let upsert, let many):
            let options: BSONDocument = ["upsert": .bool(upsert), "validate": false]
            done = try Self.with(filter, update, options) {
                many
                    ? mongoc_bulk_operation_update_many_with_opts(bulk, $0, $1, $2, &error)
                    : mongoc_bulk_operation_update_one_with_opts(bulk, $0, $1, $2, &error)
            }
        case .replace(let filter, let document, let upsert):
            let options: BSONDocument = ["upsert": .bool(upsert), "validate": false]
            done = try Self.with(filter, document, options) {
                mongoc_bulk_operation_replace_one_with_opts(bulk, $0, $1, $2, &error)
            }
        case .delete(let filter, let many):
            done = try Self.with(filter, [:]) {
                many
                    ? mongoc_bulk_operation_remove_many_with_opts(bulk, $0, $1, &error)
                    : mongoc_bulk_operation_remove_one_with_opts(bulk, $0, $1, &error)
            }
        }
        guard done else { throw failure(error) }
    }

    private static func with<Value>(
        _ first: BSONDocument, _ second: BSONDocument,
        _ body: (OpaquePointer, OpaquePointer) -> Value
    ) throws(MongoError) -> Value {
        try first.withDriverForm { (first) throws(MongoError) in
            try second.withDriverForm { (second) throws(MongoError) in body(first, second) }
        }
    }

    private static func with<Value>(
        _ first: BSONDocument, _ second: BSONDocument, _ third: BSONDocument,
        _ body: (OpaquePointer, OpaquePointer, OpaquePointer) -> Value
    ) throws(MongoError) -> Value {
        try with(first, second) { first, second in
            Result { () throws(MongoError) in
                try third.withDriverForm { (third) throws(MongoError) in body(first, second, third) }
            }
        }.get()
    }
}
