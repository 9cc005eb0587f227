import CMongoC

/// How a pool talks to its servers, where the address does not say it. What the address says wins.
///
/// A write is answered when a majority of the replica set has it in its journal: that is what counts as durable.
package struct MongoOptions: Sendable, Hashable {
    /// The name that the server's logs show.
    package var appName = "rhythm"
    /// How long to look for a server that may write.
    package var serverSelectionTimeout = Duration.seconds(5)
    /// How long to wait for an answer.
    package var socketTimeout = Duration.seconds(30)
    /// How long to wait for a connection to be free.
    package var waitQueueTimeout = Duration.seconds(10)

    package init() {}

    /// Sets everything that the address does not.
    func apply(to uri: OpaquePointer) {
        func set(_ key: String, _ duration: Duration) {
            guard !mongoc_uri_has_option(uri, key) else { return }
            mongoc_uri_set_option_as_int32(uri, key, duration.driverMilliseconds)
        }
        set(MONGOC_URI_SERVERSELECTIONTIMEOUTMS, serverSelectionTimeout)
        set(MONGOC_URI_SOCKETTIMEOUTMS, socketTimeout)
        set(MONGOC_URI_WAITQUEUETIMEOUTMS, waitQueueTimeout)
        if !mongoc_uri_has_option(uri, MONGOC_URI_APPNAME) { mongoc_uri_set_appname(uri, appName) }
        applyWriteConcern(to: uri)
        // A read that decides what to write must not come from a server that lags behind.
        let preference = mongoc_read_prefs_new(MONGOC_READ_PRIMARY)
        mongoc_uri_set_read_prefs_t(uri, preference)
        mongoc_read_prefs_destroy(preference)
    }

    private func applyWriteConcern(to uri: OpaquePointer) {
        let isGiven = mongoc_uri_has_option(uri, MONGOC_URI_W) || mongoc_uri_has_option(uri, MONGOC_URI_JOURNAL)
        if isGiven { return }
        let concern = mongoc_write_concern_new()
        mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY)
        mongoc_write_concern_set_journal(concern, true)
        mongoc_uri_set_write_concern(uri, concern)
        mongoc_write_concern_destroy(concern)
    }
}

extension Duration {
    /// At least one, and no more than the driver's integers hold.
    var driverMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        if seconds > Int64(Int32.max) / 1000 { return .max }
        return Int32(clamping: max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000))
    }
}
