/// One operation of a bulk.
package enum MongoWrite: Sendable, Hashable {
    case insert(BSONDocument)
    case update(filter: BSONDocument, update: BSONDocument, upsert: Bool = false, many: Bool = false)
    case replace(filter: BSONDocument, with: BSONDocument, upsert: Bool = false)
    case delete(filter: BSONDocument, many: Bool = false)
}

/// What an update or a replacement did.
package struct MongoUpdateResult: Sendable, Hashable {
    /// How many documents the filter meant.
    package var matched = 0
    /// How many of them were changed by it.
    package var modified = 0
    /// The id of the document that was made because the filter meant none.
    package var upsertedID: BSONValue?
}

/// What a bulk did. The server counts matches for all operations together: if there are fewer than operations, one has
/// to look which of them it was.
package struct MongoBulkResult: Sendable, Hashable {
    /// An operation that the server refused; nothing of it happened.
    package struct Refusal: Sendable, Hashable {
        /// Its place in the bulk.
        package var index: Int
        package var error: MongoError
    }

    package var inserted = 0
    package var matched = 0
    package var modified = 0
    package var deleted = 0
    /// The ids of documents that were made because a filter meant none, by the place of the operation in the bulk.
    package var upsertedIDs: [Int: BSONValue] = [:]
    /// In the order of their places.
    package var refusals: [Refusal] = []

    init(reply: BSONDocument, secrets: Secrets) {
        func count(_ key: String) -> Int { reply[key]?.int64Value.map { Int($0) } ?? 0 }
        inserted = count("nInserted")
        matched = count("nMatched")
        modified = count("nModified")
        deleted = count("nRemoved")
        for upserted in reply["upserted"]?.arrayValue ?? [] {
            guard let upserted = upserted.documentValue, let index = upserted["index"]?.int64Value else { continue }
            upsertedIDs[Int(index)] = upserted["_id"] ?? .null
        }
        for refused in reply["writeErrors"]?.arrayValue ?? [] {
            guard let refused = refused.documentValue, let index = refused["index"]?.int64Value else { continue }
            let error = MongoError(
                serverCode: refused["code"]?.int64Value.map { Int($0) } ?? 0,
                message: refused["errmsg"]?.stringValue ?? "refused", secrets: secrets)
            refusals.append(Refusal(index: Int(index), error: error))
        }
        refusals.sort { $0.index < $1.index }
    }

    /// Makes a result of nothing.
    init() {}
}
