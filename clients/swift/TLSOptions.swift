import RhythmCore
import RhythmTLS

/// Whom a client trusts, and what it shows, on an encrypted connection.
public struct TLSOptions: Sendable, Hashable {
    /// A PEM file with the roots to trust; nil for those of the system.
    public var caFile: String?
    /// A PEM file with the client's own certificate, for servers that ask for one; nil to show none.
    public var certificateFile: String?
    /// A PEM file with the key of that certificate, not encrypted.
    public var keyFile: String?

    /// Makes options; by default the system's roots and no certificate.
    public init(caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }

    /// Reads the files.
    ///
    /// - Throws: INVALID_ARGUMENT that names the file, or the one that is missing.
    func context() throws(RhythmError) -> TLSContext {
        var identity: (certificate: String, key: String)?
        switch (certificateFile, keyFile) {
        case (let certificate?, let key?): identity = (certificate, key)
        case (nil, nil): break
        default:
            throw RhythmError(
                .invalidArgument, reason: "TLS_FILES", "a certificate needs its key, and a key its certificate",
                field: certificateFile == nil ? "tls.certificate" : "tls.key")
        }
        do throws(TLSError) {
            return try TLSContext.client(ca: caFile, identity: identity)
        } catch {
            throw RhythmError(.invalidArgument, reason: "TLS_FILES", error.description, field: "tls")
        }
    }
}
