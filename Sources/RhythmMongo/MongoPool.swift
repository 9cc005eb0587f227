import CMongoC
import Synchronization

/// Connections to one MongoDB deployment, and what can be asked of it.
///
/// Any thread, many at a time: each operation takes a client from the driver's pool for as long as it lasts. All of
/// them block, until the server answers or the timeouts of ``MongoOptions`` are over; so never on a thread of the
/// cooperative pool. Nothing connects before the first operation, and connections that are lost are made again by the
/// driver. When one breaks, or is silent for too long, all that were made before it are given up: what cut it off has
/// mostly cut them off as well, and each would have to be silent for as long.
package final class MongoPool: Sendable, CustomStringConvertible {
    /// The database of all operations: that of the address, else the default.
    package let database: String
    /// The address without credentials and options, for messages.
    package let description: String
    let secrets: Secrets
    private let address: DriverAddress
    private let current: Mutex<DriverPool>

    /// Makes a pool; see <https://www.mongodb.com/docs/manual/reference/connection-string/> for addresses. TLS and
    /// authentication come with the address.
    ///
    /// - Throws: ``MongoError`` of kind `invalidAddress`.
    package init(
        uri address: String, defaultDatabase: String = "rhythm", options: MongoOptions = MongoOptions()
    ) throws(MongoError) {
        let parsed: MongoAddress
        do throws(MongoAddress.Malformed) {
            parsed = try MongoAddress(parsing: address)
            try parsed.checkFiles()
        } catch {
            throw MongoError(.invalidAddress, error.description)
        }
        var secrets = Secrets(address: address)
        KnownSecrets.add(secrets)
        MongoLibrary.begin()
        var error = bson_error_t()
        guard let uri = mongoc_uri_new_with_error(parsed.driverText, &error) else {
            throw Self.refusal(MongoError(error, isWrite: false, secrets: secrets).message, of: parsed)
        }
        let address = DriverAddress(uri)
        secrets.insert(mongoc_uri_get_password(uri).map { String(cString: $0) })
        KnownSecrets.add(secrets)
        options.apply(to: uri)
        do throws(DriverPool.Failure) {
            current = Mutex(try DriverPool(uri))
        } catch {
            throw Self.invalidAddress(error.error, secrets)
        }
        self.address = address
        self.secrets = secrets
        database = parsed.database ?? defaultDatabase
        description = parsed.described(database: database)
    }

    /// Whether a server that may write answers a fresh connection within some seconds. Blocks for a little longer than
    /// that at most.
    package func answers(within patience: Duration) -> Bool { address.answers(within: patience) }

    /// Gives up all connections there are, unless they are quite new.
    private func renewConnections() {
        let old = current.withLock { $0 }
        guard old.madeAt.duration(to: .now) > Self.renewalPause, let fresh = try? DriverPool(address.pointer) else {
            return
        }
        let replaced = current.withLock { pool in
            guard pool === old else { return false }
            pool = fresh
            return true
        }
        if replaced { old.retire() }
    }

    /// So long after connections were given up, the next ones are not.
    private static let renewalPause = Duration.seconds(1)

    /// The driver quotes the values of options, which may be anything; their names say enough.
    private static func refusal(_ message: String, of address: MongoAddress) -> MongoError {
        let said = message.lowercased()
        let named = address.options.keys.filter { said.contains($0) }.sorted()
        let what = named.isEmpty ? "the options" : named.joined(separator: ", ")
        return MongoError(.invalidAddress, "the MongoDB driver does not take \(what) of the address as they are")
    }

    private static func invalidAddress(_ error: bson_error_t, _ secrets: Secrets) -> MongoError {
        var invalid = MongoError(error, isWrite: false, secrets: secrets)
        invalid.kind = .invalidAddress
        return invalid
    }
}

// MARK: Clients

/// A client that was taken from a pool; it goes back when this ends. For one thread at a time, with everything that is
/// made of it (collections, cursors, change streams).
struct Lease: ~Copyable {
    let client: OpaquePointer
    private let pool: DriverPool

    fileprivate init(_ client: OpaquePointer, of pool: DriverPool) {
        self.client = client
        self.pool = pool
    }

    deinit { mongoc_client_pool_push(pool.pointer, client) }
}

extension MongoPool {
    /// Takes a client; waits for one if all are taken.
    func lease() throws(MongoError) -> Lease {
        let pool = current.withLock { $0 }
        guard let client = mongoc_client_pool_pop(pool.pointer) else {
            throw MongoError(.networkOrTimeout, "all connections of the pool to \(description) are in use")
        }
        return Lease(client, of: pool)
    }

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
        let isBroken =
            error.domain == MONGOC_ERROR_STREAM.rawValue && error.code == MONGOC_ERROR_STREAM_SOCKET.rawValue
        if isBroken { renewConnections() }
        return MongoError(error, isWrite: isWrite, secrets: secrets)
    }
}
