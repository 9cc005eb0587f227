import COpenSSL

/// One TLS connection without a socket: ciphertext goes in and out as bytes, plaintext comes out and goes in.
///
///     session.receive(bytesFromTheSocket)
///     while case .bytes(let count) = try session.read(into: buffer) { ... }
///     try session.write(plaintext)
///     session.takeOutput(into: &bytesForTheSocket)
///
/// The handshake happens within ``read(into:)``. After each call there may be output to be sent, after an error too: the
/// alert that tells the peer. Confined to one lane; not Sendable.
package final class TLSSession {
    package enum Side: Sendable, Hashable {
        case server
        /// Checks that the server's certificate is for this host, a name or a numeric address.
        case client(host: String)
    }

    package enum ReadResult: Sendable, Hashable {
        /// So many bytes were read.
        case bytes(Int)
        /// More ciphertext has to come first.
        case needsMore
        /// The peer has said that it sends no more.
        case ended
    }

    private let handle: OpaquePointer
    /// Ciphertext on its way in and out; the session owns both.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private let context: TLSContext
    private var hasFailed = false

    /// Begins a session; a client's first message is in the output at once.
    package init(_ context: TLSContext, _ side: Side) throws(TLSError) {
        ERR_clear_error()
        guard let incoming = BIO_new(BIO_s_mem()) else { throw TLSError(.failed, "OpenSSL makes no buffer") }
        guard let outgoing = BIO_new(BIO_s_mem()) else {
            BIO_free(incoming)
            throw TLSError(.failed, "OpenSSL makes no buffer")
        }
        guard let handle = SSL_new(context.handle) else {
            BIO_free(incoming)
            BIO_free(outgoing)
            throw TLSError(.failed, "OpenSSL makes no session")
        }
        rhythm_tls_empty_means_retry(incoming)
        rhythm_tls_empty_means_retry(outgoing)
        // From here on freeing the session frees both buffers.
        SSL_set_bio(handle, incoming, outgoing)
        self.context = context
        self.handle = handle
        self.incoming = incoming
        self.outgoing = outgoing
        switch side {
        case .server: SSL_set_accept_state(handle)
        case .client(let host): try begin(host)
        }
    }

    deinit { SSL_free(handle) }

    private func begin(_ host: String) throws(TLSError) {
        SSL_set_connect_state(handle)
        // A numeric address is compared with the addresses in the certificate, and is no server name.
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle), host) != 1 {
            ERR_clear_error()
            SSL_set_hostflags(handle, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            guard SSL_set1_host(handle, host) == 1, rhythm_tls_set_server_name(handle, host) == 1 else {
                throw TLSError(.failed, "'\(host)' cannot be a server's name")
            }
        }
        _ = SSL_do_handshake(handle)
        ERR_clear_error()
    }

    /// The handshake is over: what is written goes out.
    package var isEstablished: Bool { SSL_is_init_finished(handle) == 1 && !hasFailed }

    /// The version of the protocol, such as `TLSv1.3`.
    package var version: String { String(cString: SSL_get_version(handle)) }

    /// The subject of the peer's certificate (RFC 2253), if one was asked for and found good.
    package var peerSubject: String? {
        guard context.verifiesPeer, SSL_get_verify_result(handle) == Int(X509_V_OK),
            let certificate = SSL_get1_peer_certificate(handle)
        else { return nil }
        defer { X509_free(certificate) }
        guard let text = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(text) }
        X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, rhythm_tls_name_flags())
        var bytes: [UInt8] = []
        Self.take(from: text, into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}

// MARK: Bytes

extension TLSSession {
    /// Takes ciphertext from the peer.
    package func receive(_ ciphertext: UnsafeRawBufferPointer) {
        guard !ciphertext.isEmpty else { return }
        // A memory buffer takes all there is, or there is no memory left and the next read fails.
        BIO_write(incoming, ciphertext.baseAddress, Int32(clamping: ciphertext.count))
    }

    /// Gives plaintext, or goes on with the handshake. Call it until it says that it needs more.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSError) -> ReadResult {
        guard !hasFailed else { throw TLSError(.failed, "the session has failed before") }
        ERR_clear_error()
        let count = SSL_read(handle, buffer.baseAddress, Int32(clamping: buffer.count))
        if count > 0 { return .bytes(Int(count)) }
        switch SSL_get_error(handle, count) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsMore
        case SSL_ERROR_ZERO_RETURN: return .ended
        default: throw failed()
        }
    }

    /// Takes plaintext; only once the session ``isEstablished``.
    package func write(_ plaintext: UnsafeRawBufferPointer) throws(TLSError) {
        guard !plaintext.isEmpty else { return }
        guard !hasFailed else { throw TLSError(.failed, "the session has failed before") }
        ERR_clear_error()
        let count = SSL_write(handle, plaintext.baseAddress, Int32(clamping: plaintext.count))
        // A memory buffer takes it all: anything else is a failure.
        guard Int(count) == plaintext.count else { throw failed() }
    }

    /// Says that nothing more will be written.
    package func end() {
        guard isEstablished else { return }
        ERR_clear_error()
        _ = SSL_shutdown(handle)
        ERR_clear_error()
    }

    /// Appends the ciphertext that is to be sent.
    package func takeOutput(into bytes: inout [UInt8]) { Self.take(from: outgoing, into: &bytes) }

    private func failed() -> TLSError {
        let error = TLSError.session(handle)
        hasFailed = true
        return error
    }

    private static func take(from bio: OpaquePointer, into bytes: inout [UInt8]) {
        let waiting = BIO_ctrl_pending(bio)
        guard waiting > 0 else { return }
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: waiting))
        let count = bytes.withUnsafeMutableBytes { buffer in
            BIO_read(bio, buffer.baseAddress?.advanced(by: start), Int32(clamping: waiting))
        }
        bytes.removeLast(waiting - Int(max(0, count)))
    }
}
