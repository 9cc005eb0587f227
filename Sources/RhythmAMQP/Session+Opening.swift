import CRabbitMQ
import Glibc

extension Session {
    /// The authorities that Debian and those after it keep.
    private static let systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"

    func connect(_ timeout: Duration) throws(AMQPFailure) {
        let socket: OpaquePointer?
        if let tls = address.tls {
            socket = try secureSocket(tls)
        } else {
            socket = amqp_tcp_socket_new(handle)
        }
        guard let socket else { throw AMQPFailure(.connection, "out of memory") }
        var limit = timeval(timeout)
        errno = 0
        let code = amqp_socket_open_noblock(socket, address.host, Int32(address.port), &limit)
        guard code != AMQP_STATUS_OK.rawValue else { return }
        let system = errno == 0 || errno == EINPROGRESS ? "" : " (\(String(cString: strerror(errno))))"
        throw AMQPFailure(.connection, "cannot connect to \(address): \(Self.text(of: code))\(system)\(advice(code))")
    }

    private func secureSocket(_ tls: AMQPAddress.TLS) throws(AMQPFailure) -> OpaquePointer? {
        guard let socket = amqp_ssl_socket_new(handle) else { return nil }
        amqp_ssl_socket_set_verify_peer(socket, tls.verifies ? 1 : 0)
        amqp_ssl_socket_set_verify_hostname(socket, tls.verifies ? 1 : 0)
        if tls.verifies {
            guard
                amqp_ssl_socket_set_cacert(socket, tls.authorities ?? Self.systemAuthorities)
                    == AMQP_STATUS_OK.rawValue
            else {
                let what = tls.authorities == nil ? "in \(Self.systemAuthorities)" : "that cacertfile names"
                throw AMQPFailure(
                    .connection, "cannot read the authorities \(what): name a PEM file with cacertfile=")
            }
        }
        if let certificate = tls.certificate, let key = tls.key {
            guard amqp_ssl_socket_set_key(socket, certificate, key) == AMQP_STATUS_OK.rawValue else {
                throw AMQPFailure(
                    .connection, "cannot use the certificate that certfile names with the key that keyfile names")
            }
        }
        return socket
    }

    func logIn(_ settings: AMQPSettings) throws(AMQPFailure) {
        var limit = timeval(settings.connectTimeout)
        amqp_set_handshake_timeout(handle, &limit)
        limit = timeval(settings.callTimeout)
        amqp_set_rpc_timeout(handle, &limit)
        let arena = CArena()
        defer { arena.free() }
        // Without these the broker tells neither of a deleted queue, nor of an alarm, nor why it refuses a login.
        let capabilities: AMQPTable = [
            "consumer_cancel_notify": true, "connection.blocked": true, "publisher_confirms": true, "basic.nack": true,
            "authentication_failure_close": true,
        ]
        var properties = arena.table([
            "product": .string(settings.clientName), "connection_name": .string(settings.clientName),
            "capabilities": .table(capabilities),
        ])
        let reply = rhythm_amqp_login(
            handle, address.virtualHost, AMQP_DEFAULT_FRAME_SIZE, Int32(address.heartbeat), &properties, address.user,
            address.password)
        try check(reply, "logging in to \(address)")
    }

    /// What to do about an error of the library, if that is known.
    private func advice(_ code: Int32) -> String {
        switch amqp_status_enum(code) {
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED: ": is \"\(address.host)\" spelt right?"
        case AMQP_STATUS_SOCKET_ERROR, AMQP_STATUS_TIMEOUT: ": is the broker running there?"
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED, AMQP_STATUS_SSL_CONNECTION_FAILED:
            ": is the broker's certificate signed by those in cacertfile=, and does the broker speak TLS there?"
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
            ": the broker's certificate is not for \"\(address.host)\": use the name that is in it"
        default: ""
        }
    }

    static func text(of code: Int32) -> String { String(cString: amqp_error_string2(code)) }
}

extension timeval {
    /// At least a microsecond: zero means "do not wait" here and "for ever" there.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(max(0, seconds)), tv_usec: max(0, Int(attoseconds / 1_000_000_000_000)))
        if tv_sec == 0, tv_usec == 0 { tv_usec = 1 }
    }
}
