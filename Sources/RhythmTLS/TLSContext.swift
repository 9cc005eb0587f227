import COpenSSL
import Glibc

/// What all sessions of one side share: certificate, key, whom to trust. Made once from files; to read them again, make
/// a new one. Sessions keep the context they began with.
///
/// TLS 1.2 and 1.3; for 1.2 only ciphers with forward secrecy and authentication. No session is resumed, so every
/// handshake checks certificates by the files of its context.
// SAFETY: the SSL_CTX is changed only before `init` returns. Afterwards sessions are made from it, which OpenSSL allows
// from several threads at once (it counts references atomically).
package final class TLSContext: @unchecked Sendable {
    let handle: OpaquePointer
    /// Sessions ask their peer for a certificate and end without a good one.
    package let verifiesPeer: Bool

    /// The context of a server.
    ///
    /// - Parameters:
    ///   - certificate: PEM file with the server's certificate and those that lead from it to a root.
    ///   - key: PEM file with its key, not encrypted.
    ///   - clientCA: PEM file with the roots of the clients' certificates; nil to ask for none.
    /// - Throws: what is wrong with which file.
    package static func server(certificate: String, key: String, clientCA: String?) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_server_method(), verifiesPeer: clientCA != nil)
        try context.use(certificate: certificate, key: key)
        guard let clientCA else { return context }
        try context.trust(clientCA)
        guard let names = SSL_load_client_CA_file(clientCA) else {
            throw .file(clientCA, "cannot use the client CA")
        }
        // Takes the names over.
        SSL_CTX_set_client_CA_list(context.handle, names)
        SSL_CTX_set_verify(context.handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        return context
    }

    /// The context of a client.
    ///
    /// - Parameters:
    ///   - ca: PEM file with the roots to trust; nil for those of the system.
    ///   - identity: PEM files with the client's own certificate and key; nil to show none.
    /// - Throws: what is wrong with which file.
    package static func client(
        ca: String?, identity: (certificate: String, key: String)? = nil
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_client_method(), verifiesPeer: true)
        if let ca {
            try context.trust(ca)
        } else {
            SSL_CTX_set_default_verify_paths(context.handle)
        }
        if let identity { try context.use(certificate: identity.certificate, key: identity.key) }
        SSL_CTX_set_verify(context.handle, SSL_VERIFY_PEER, nil)
        return context
    }

    private init(_ method: OpaquePointer?, verifiesPeer: Bool) throws(TLSError) {
        ERR_clear_error()
        guard let handle = SSL_CTX_new(method) else { throw TLSError(.failed, "OpenSSL makes no context") }
        self.handle = handle
        self.verifiesPeer = verifiesPeer
        let ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
        guard rhythm_tls_set_min_version_1_2(handle) == 1, SSL_CTX_set_cipher_list(handle, ciphers) == 1 else {
            throw TLSError(.failed, "OpenSSL has no TLS 1.2")
        }
        rhythm_tls_set_modes(handle)
        rhythm_tls_disable_resumption(handle)
        // Otherwise an encrypted key would ask for its passphrase on the terminal.
        SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in -1 }
    }

    deinit { SSL_CTX_free(handle) }

    private func use(certificate: String, key: String) throws(TLSError) {
        try Self.checkReadable(certificate, "cannot use the certificate")
        guard SSL_CTX_use_certificate_chain_file(handle, certificate) == 1 else {
            throw .file(certificate, "cannot use the certificate")
        }
        try Self.checkReadable(key, "cannot use the key")
        guard SSL_CTX_use_PrivateKey_file(handle, key, SSL_FILETYPE_PEM) == 1 else {
            throw .file(key, "cannot use the key")
        }
        guard SSL_CTX_check_private_key(handle) == 1 else {
            throw .file(key, "the certificate \(certificate) has another key than")
        }
    }

    private func trust(_ ca: String) throws(TLSError) {
        try Self.checkReadable(ca, "cannot use the CA")
        guard SSL_CTX_load_verify_locations(handle, ca, nil) == 1 else { throw .file(ca, "cannot use the CA") }
    }

    /// OpenSSL says "system lib" where the system says why.
    private static func checkReadable(_ path: String, _ what: String) throws(TLSError) {
        guard access(path, R_OK) != 0 else { return }
        throw TLSError(.file, "\(what) \(path): \(String(cString: strerror(errno)))")
    }
}
