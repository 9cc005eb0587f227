import CMongoC
import Glibc
import Logging

/// The driver as a whole: begun once for the process and never ended, because pools may live until it exits.
package enum MongoLibrary {
    /// Begins it; later calls cost nothing.
    static func begin() { _ = begun }

    /// Removes what the driver counts in shared memory under the id of this process, for one that is about to end without
    /// any tidying up.
    package static func forgetCounters() { shm_unlink("/mongoc-\(getpid())") }

    private static let begun: Void = {
        // Before the driver's own first message, which would go to standard error.
        mongoc_log_set_handler(
            { level, _, message, _ in
                guard let message, level.rawValue <= MONGOC_LOG_LEVEL_INFO.rawValue else { return }
                // What matters comes back as an error too, so none of it is louder than a debug message.
                let text = KnownSecrets.removed(from: String(cString: message))
                MongoLibrary.logger.debug("driver: \(text)")
            }, nil)
        mongoc_init()
        mongoc_handshake_data_append("rhythm", nil, nil)
    }()

    private static let logger = Logger(label: "rhythm.mongo")
}
