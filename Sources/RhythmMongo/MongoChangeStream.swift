import CMongoC

/// Changes of a collection as they happen.
///
/// Thread-bound: one thread at a time uses it and releases it. It keeps a connection of its pool for as long as it
/// lives. The driver resumes by itself after most errors; after one that is thrown make a new one from ``resumeToken``.
package final class MongoChangeStream {
    private let lease: Lease
    private let collection: OpaquePointer
    private let stream: OpaquePointer
    private let secrets: Secrets

    fileprivate init(
        _ pool: MongoPool, _ name: String, _ pipeline: [BSONDocument], resumeAfter: BSONDocument?, fullDocument: Bool,
        wait: Duration
    ) throws(MongoError) {
        let lease = try pool.lease()
        guard let collection = mongoc_client_get_collection(lease.client, pool.database, name) else {
            throw MongoError(.other, "'\(pool.database).\(name)' cannot be the name of a collection")
        }
        var options: BSONDocument = ["maxAwaitTimeMS": .int32(wait.driverMilliseconds)]
        if fullDocument { options["fullDocument"] = "updateLookup" }
        options["resumeAfter"] = resumeAfter.map { .document($0) }
        let stages: BSONDocument = ["pipeline": .array(pipeline.map { .document($0) })]
        let opened: OpaquePointer?
        do throws(MongoError) {
            opened = try stages.withDriverForm { (stages) throws(MongoError) in
                try options.withDriverForm { mongoc_collection_watch(collection, stages, $0) }
            }
        } catch {
            mongoc_collection_destroy(collection)
            throw error
        }
        guard let stream = opened else {
            mongoc_collection_destroy(collection)
            throw MongoError(.other, "the driver made no change stream")
        }
        self.lease = lease
        self.collection = collection
        self.stream = stream
        self.secrets = pool.secrets
        try check()
    }

    deinit {
        // Before the lease goes back, which is what a class does with its members after this.
        mongoc_change_stream_destroy(stream)
        mongoc_collection_destroy(collection)
    }

    /// The next change; nil if there is none within `timeout`, which is rounded up to whole waits of the server (see
    /// ``MongoPool/watch(_:_:resumeAfter:fullDocument:wait:)``).
    package func next(timeout: Duration) throws(MongoError) -> BSONDocument? {
        let deadline = ContinuousClock.now + timeout
        repeat {
            var document: OpaquePointer?
            if mongoc_change_stream_next(stream, &document), let document { return try BSONDocument(copying: document) }
            try check()
        } while ContinuousClock.now < deadline
        return nil
    }

    /// Where a new stream goes on; nil if the server has not told yet.
    package var resumeToken: BSONDocument? {
        // SAFETY: the driver keeps the document until the next call; it is copied here.
        guard let token = mongoc_change_stream_get_resume_token(stream) else { return nil }
        return try? BSONDocument(copying: token)
    }

    private func check() throws(MongoError) {
        var error = bson_error_t()
        var document: OpaquePointer?
        if mongoc_change_stream_error_document(stream, &error, &document) {
            throw MongoError(error, isWrite: false, secrets: secrets)
        }
    }
}

extension MongoPool {
    /// Watches a collection from now on, or from where another stream stood.
    ///
    /// - Parameters:
    ///   - fullDocument: also give the whole document with an update, as it is when the server looks.
    ///   - wait: how long the server waits for a change in one round trip.
    /// - Throws: ``MongoError`` of kind `notSupported` if the server is in no replica set.
    package func watch(
        _ collection: String, _ pipeline: [BSONDocument] = [], resumeAfter: BSONDocument? = nil,
        fullDocument: Bool = false, wait: Duration = .milliseconds(500)
    ) throws(MongoError) -> MongoChangeStream {
        guard try hello().hasChangeStreams else {
            throw MongoError(
                .notSupported,
                "\(description) is a standalone server, which has no change streams; make it a replica set")
        }
        return try MongoChangeStream(
            self, collection, pipeline, resumeAfter: resumeAfter, fullDocument: fullDocument, wait: wait)
    }
}
