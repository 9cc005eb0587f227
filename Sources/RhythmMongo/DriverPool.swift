import CMongoC
import Dispatch
import Synchronization

/// One of the driver's pools of connections. Destroyed when nobody uses it any more.
///
/// SAFETY: `@unchecked` for the pointer: the driver's pool may be used by any thread, and is destroyed by `deinit`, when
/// no ``Lease`` holds this object any more.
final class DriverPool: @unchecked Sendable {
    let pointer: OpaquePointer
    let madeAt = ContinuousClock.now
    private let retired = Atomic<Bool>(false)

    init(_ uri: OpaquePointer) throws(DriverPool.Failure) {
        var error = bson_error_t()
        guard let made = mongoc_client_pool_new_with_error(uri, &error) else { throw Failure(error: error) }
        mongoc_client_pool_set_error_api(made, MONGOC_ERROR_API_VERSION_2)
        pointer = made
    }

    struct Failure: Error { let error: bson_error_t }

    /// There is another one in its place: whoever uses it last must not wait for its end.
    func retire() { retired.store(true, ordering: .releasing) }

    deinit {
        guard retired.load(ordering: .acquiring) else { return mongoc_client_pool_destroy(pointer) }
        // SAFETY: nobody else has the pointer any more.
        nonisolated(unsafe) let pointer = pointer
        // The driver waits for its own threads, and they for servers that may be away.
        DispatchQueue.global(qos: .utility).async { mongoc_client_pool_destroy(pointer) }
    }
}

/// An address as the driver understands it, for as long as this lives.
///
/// SAFETY: `@unchecked` for the pointer: nobody changes what it points at, and it is destroyed when nobody has it.
final class DriverAddress: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Takes it over.
    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { mongoc_uri_destroy(pointer) }

    /// Whether a server that may write answers a fresh connection within some seconds. Blocks.
    func answers(within patience: Duration) -> Bool {
        guard let copy = mongoc_uri_copy(pointer) else { return false }
        defer { mongoc_uri_destroy(copy) }
        for key in [MONGOC_URI_SERVERSELECTIONTIMEOUTMS, MONGOC_URI_CONNECTTIMEOUTMS, MONGOC_URI_SOCKETTIMEOUTMS] {
            mongoc_uri_set_option_as_int32(copy, key, patience.driverMilliseconds)
        }
        guard let client = mongoc_client_new_from_uri(copy) else { return false }
        defer { mongoc_client_destroy(client) }
        let ping: BSONDocument = ["ping": 1]
        let answer = try? ping.withDriverForm { (command) throws(MongoError) in
            var error = bson_error_t()
            return mongoc_client_command_simple(client, "admin", command, nil, nil, &error)
        }
        return answer ?? false
    }
}
