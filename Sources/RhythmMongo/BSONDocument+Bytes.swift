import CMongoC

extension BSONDocument {
    /// The document as BSON.
    ///
    /// - Throws: ``MongoError`` of kind `invalidDocument` if a name contains NUL, or a decimal is none.
    package func encoded() throws(MongoError) -> [UInt8] {
        var writer = BSONWriter()
        try writer.write(self)
        return writer.bytes
    }

    /// Reads BSON.
    ///
    /// - Throws: ``MongoError`` of kind `invalidDocument` if the bytes make no sense.
    package init(bytes: [UInt8]) throws(MongoError) {
        self = try bytes.withUnsafeBytes { buffer in
            Result { () throws(MongoError) in try BSONReader.document(buffer) }
        }.get()
    }

    /// Copies the driver's document.
    init(copying document: OpaquePointer) throws(MongoError) {
        // SAFETY: the driver's document has as many bytes as it says in the first four, for as long as the caller keeps
        // it; nothing of it is kept here.
        guard let start = bson_get_data(document) else { throw MongoError(.invalidDocument, "no document") }
        let length = UnsafeRawPointer(start).loadUnaligned(as: UInt32.self)
        self = try BSONReader.document(UnsafeRawBufferPointer(start: start, count: Int(UInt32(littleEndian: length))))
    }

    /// Runs `body` with the document in the driver's form, which ends with `body`.
    func withDriverForm<Value>(
        _ body: (OpaquePointer) throws(MongoError) -> Value
    ) throws(MongoError) -> Value {
        let bytes = try encoded()
        guard let document = bson_new_from_data(bytes, bytes.count) else {
            throw MongoError(.tooLarge, "a document of \(bytes.count) bytes is too large for the driver")
        }
        defer { bson_destroy(document) }
        return try body(document)
    }
}

/// Gives `body` a place for an answer of the driver, which must make a document there, and copies what it made.
func withReply<Value>(
    _ body: (OpaquePointer) -> Value
) throws(MongoError) -> (value: Value, reply: BSONDocument) {
    // SAFETY: a `bson_t`, which Swift does not import because of its alignment, has 128 bytes aligned to 128, by
    // libbson's own assertion. The driver makes it a document in every outcome; it is destroyed and freed once.
    let place = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
    let reply = OpaquePointer(place)
    bson_init(reply)
    defer {
        bson_destroy(reply)
        place.deallocate()
    }
    let value = body(reply)
    return (value, try BSONDocument(copying: reply))
}
