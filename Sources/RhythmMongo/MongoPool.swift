import CMongoC

/// Connections to one MongoDB deployment, and what can be asked of it.
///
/// Any thread, many at a time: each operation takes a client from the driver's pool for as long as it lasts. All of
/// them block, until the server answers or the timeouts of ``MongoOptions`` are over; so never on a thread of the
/// cooperative pool. Nothing connects before the first operation, and connections that are lost are made again by the
/// driver.
///
/// SAFETY: `@unchecked` for the pointer: the driver's pool may be used by any thread, and is destroyed by `deinit`,
/// when no ``Lease`` holds this object any more.
package final class MongoPool: @unchecked Sendable, CustomStringConvertible {
    /// The database of all operations: that of the address, else the default.
    package let database: String
    /// The address without credentials and options, for messages.
    package let description: String
    let secrets: Secrets
    private let pool: OpaquePointer

    /// Makes a pool; see <https://www.mongodb.com/docs/manual/reference/connection-string/> for addresses. TLS and
    /// authentication come with the address.
    ///
    /// - Throws: ``MongoError`` of kind `invalidAddress`.
    package init(
        uri address: String, defaultDatabase: String = "rhythm", options: MongoOptions = MongoOptions()
    ) throws(MongoError) {
        var secrets = Secrets(address: address)
        KnownSecrets.add(secrets)
        MongoLibrary.begin()
        var error = bson_error_t()
        guard let uri = mongoc_uri_new_with_error(address, &error) else {
            throw Self.invalidAddress(error, secrets)
        }
        defer { mongoc_uri_destroy(uri) }
        secrets.insert(mongoc_uri_get_password(uri).map { String(cString: $0) })
        KnownSecrets.add(secrets)
        options.apply(to: uri)
        guard let pool = mongoc_client_pool_new_with_error(uri, &error) else {
            throw Self.invalidAddress(error, secrets)
        }
        mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2)
        self.pool = pool
        self.secrets = secrets
        let named = mongoc_uri_get_database(uri).map { String(cString: $0) } ?? ""
        database = named.isEmpty ? defaultDatabase : named
        description = secrets.removed(from: "mongodb://\(Self.hosts(of: uri))/\(database)")
    }

    deinit { mongoc_client_pool_destroy(pool) }

    private static func invalidAddress(_ error: bson_error_t, _ secrets: Secrets) -> MongoError {
        var invalid = MongoError(error, isWrite: false, secrets: secrets)
        invalid.kind = .invalidAddress
        return invalid
    }

    private static func hosts(of uri: OpaquePointer) -> String {
        var names: [String] = []
        var host = mongoc_uri_get_hosts(uri)
        while let current = host {
            // SAFETY: the driver ends the text with NUL inside the array; the list lives as long as the address.
            names.append(
                withUnsafeBytes(of: current.pointee.host_and_port) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                })
            host = UnsafePointer(current.pointee.next)
        }
        if names.isEmpty, let service = mongoc_uri_get_srv_hostname(uri) { names = [String(cString: service)] }
        return names.joined(separator: ",")
    }
}

// MARK: Clients

/// A client that was taken from a pool; it goes back when this ends. For one thread at a time, with everything that is
/// made of it (collections, cursors, change streams).
struct Lease: ~Copyable {
    let client: OpaquePointer
    private let pool: MongoPool

    fileprivate init(_ client: OpaquePointer, of pool: MongoPool) {
        self.client = client
        self.pool = pool
    }

    deinit { pool.giveBack(client) }
}

extension MongoPool {
    /// Takes a client; waits for one if all are taken.
    func lease() throws(MongoError) -> Lease {
        guard let client = mongoc_client_pool_pop(pool) else {
            throw MongoError(.networkOrTimeout, "all connections of the pool to \(description) are in use")
        }
        return Lease(client, of: self)
    }

    fileprivate func giveBack(_ client: OpaquePointer) { mongoc_client_pool_push(pool, client) }

    /// A handle of a collection for the length of `body`.
    func withCollection<Value>(
        _ name: String, _ body: (OpaquePointer) throws(MongoError) -> Value
    ) throws(MongoError) -> Value {
        let lease = try lease()
        return try withCollection(name, of: lease, body)
    }

    func withCollection<Value>(
        _ name: String, of lease: borrowing Lease, _ body: (OpaquePointer) throws(MongoError) -> Value
    ) throws(MongoError) -> Value {
        guard let collection = mongoc_client_get_collection(lease.client, database, name) else {
            throw MongoError(.other, "'\(database).\(name)' cannot be the name of a collection")
        }
        defer { mongoc_collection_destroy(collection) }
        return try body(collection)
    }

    /// The driver's error as ours.
    func failure(_ error: bson_error_t, isWrite: Bool = false) -> MongoError {
        MongoError(error, isWrite: isWrite, secrets: secrets)
    }
}
