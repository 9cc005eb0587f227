import CMongoC

/// Why the database, or the way to it, did not do what it was asked.
package struct MongoError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What to make of it.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A unique index has such a key already.
        case duplicateKey
        /// Nobody answered, or not in time.
        case networkOrTimeout
        /// The server is no longer the one that may write; another will be.
        case notPrimary
        /// The user may not do that, or is unknown.
        case unauthorized
        /// A document is larger than the server takes.
        case tooLarge
        /// This server, or its version, cannot do that.
        case notSupported
        /// What was to be sent is no valid document, or what came is none.
        case invalidDocument
        /// The address is none, or has options that make no sense.
        case invalidAddress
        case other
    }

    /// What to make of it.
    package var kind: Kind
    /// The server's or the driver's number
    /// (https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml); 0 if there is none.
    package var code: Int
    /// Whether the number is the server's.
    package var isFromServer: Bool
    /// For people; without credentials.
    package var message: String
    /// Whether what was to be written may have been written all the same: the answer was lost, or came from a server
    /// that could not promise to keep it.
    package var outcomeUnknown: Bool

    package init(
        _ kind: Kind, _ message: String, code: Int = 0, isFromServer: Bool = false, outcomeUnknown: Bool = false
    ) {
        self.kind = kind
        self.code = code
        self.isFromServer = isFromServer
        self.message = message
        self.outcomeUnknown = outcomeUnknown
    }

    package var description: String { code == 0 ? message : "\(message) (code \(code))" }
}

extension MongoError {
    /// What the driver said.
    ///
    /// - Parameter isWrite: whether it was asked to write, so that a lost answer leaves the outcome open.
    init(_ error: bson_error_t, isWrite: Bool, secrets: Secrets) {
        var error = error
        // SAFETY: the driver ends the message with NUL inside the array.
        let text = withUnsafeBytes(of: &error.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let domain = mongoc_error_domain_t(rawValue: error.domain)
        let code = Int(error.code)
        let isFromServer = domain == MONGOC_ERROR_SERVER || domain == MONGOC_ERROR_WRITE_CONCERN
        let kind =
            isFromServer
            ? Kind(serverCode: code, message: text) : Kind(domain: domain, code: code, message: text)
        self.init(kind, secrets.removed(from: text), code: code, isFromServer: isFromServer)
        outcomeUnknown = isWrite && Self.mayHaveHappened(domain, code, kind)
    }

    private static let internalError = 1

    private static func mayHaveHappened(_ domain: mongoc_error_domain_t, _ code: Int, _ kind: Kind) -> Bool {
        switch domain {
        case MONGOC_ERROR_WRITE_CONCERN: return true
        case MONGOC_ERROR_STREAM:
            // Those are said before anything is sent.
            let before = [MONGOC_ERROR_STREAM_CONNECT, MONGOC_ERROR_STREAM_NAME_RESOLUTION].map { Int($0.rawValue) }
            return !before.contains(code)
        case MONGOC_ERROR_PROTOCOL: return true
        // A server that steps down, is shut down or gives up waiting may have done it before; so may one that says
        // no more than that something is wrong inside it.
        default:
            let gaveUp = kind == .networkOrTimeout || code == internalError
            return domain == MONGOC_ERROR_SERVER && gaveUp || kind == .notPrimary
        }
    }

    /// What an error of a single operation of a bulk says; the outcome of such an operation is known.
    init(serverCode code: Int, message: String, secrets: Secrets) {
        self.init(
            Kind(serverCode: code, message: message), secrets.removed(from: message), code: code, isFromServer: true)
    }
}

extension MongoError.Kind {
    init(serverCode code: Int, message: String) {
        switch code {
        case 11000, 11001, 12582: self = .duplicateKey
        case 91, 189, 10058, 10107, 11600, 11602, 13435, 13436: self = .notPrimary
        case 13, 18, 33, 8000: self = .unauthorized
        case 10334, 17419, 17420, 17421: self = .tooLarge
        case 59, 115, 303, 40324, 40573: self = .notSupported
        case 6, 7, 50, 64, 89, 262, 9001, 11601: self = .networkOrTimeout
        // Not every server gives these a number of their own.
        case _ where message.contains("too large") || message.contains("larger than"): self = .tooLarge
        default: self = .other
        }
    }

    init(domain: mongoc_error_domain_t, code: Int, message: String) {
        switch domain {
        case MONGOC_ERROR_CLIENT where code == Int(MONGOC_ERROR_CLIENT_AUTHENTICATE.rawValue): self = .unauthorized
        case MONGOC_ERROR_SASL, MONGOC_ERROR_SCRAM: self = .unauthorized
        // The driver gives up selecting a server when it cannot authenticate to any of them.
        case MONGOC_ERROR_SERVER_SELECTION where message.contains("uthentication failed"): self = .unauthorized
        case MONGOC_ERROR_STREAM, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_POOL:
            self = .networkOrTimeout
        case MONGOC_ERROR_BSON: self = message.contains("too large") ? .tooLarge : .invalidDocument
        case MONGOC_ERROR_COMMAND where message.contains("too large"): self = .tooLarge
        default: self = .other
        }
    }
}
