import COpenSSL

/// What went wrong with TLS. The message is for people; it holds no secret.
package struct TLSError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Kind: Sendable, Hashable {
        /// A file cannot be used.
        case file
        /// One side does not accept the certificate of the other, or misses one. Trying again does not help.
        case certificate
        /// The peer does not speak TLS at all.
        case noTLS
        /// Anything else: broken records, no common version or cipher, no memory.
        case failed
    }

    package let kind: Kind
    package let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// What the error queue of this thread says about the use of a file.
    static func file(_ path: String, _ what: String) -> TLSError {
        TLSError(.file, "\(what) \(path): \(lastReason().text)")
    }

    /// What the error queue of this thread says about a session.
    static func session(_ session: OpaquePointer) -> TLSError {
        let (reason, text) = lastReason()
        let verdict = SSL_get_verify_result(session)
        if verdict != Int(X509_V_OK) {
            return TLSError(
                .certificate, "its certificate is not accepted: \(string(X509_verify_cert_error_string(verdict)))")
        }
        if rhythm_tls_is_about_certificates(reason) != 0 {
            return TLSError(.certificate, "a certificate is missing or not accepted: \(text)")
        }
        if rhythm_tls_is_no_tls(reason) != 0 { return TLSError(.noTLS, "the other side does not speak TLS (\(text))") }
        return TLSError(.failed, text)
    }

    /// The latest error of this thread; the queue is empty afterwards.
    private static func lastReason() -> (reason: Int32, text: String) {
        let code = ERR_peek_last_error()
        defer { ERR_clear_error() }
        guard code != 0 else { return (0, "it broke off") }
        return (rhythm_tls_reason(code), string(ERR_reason_error_string(code)))
    }

    private static func string(_ text: UnsafePointer<CChar>?) -> String {
        text.map { String(cString: $0) } ?? "unknown error"
    }
}
