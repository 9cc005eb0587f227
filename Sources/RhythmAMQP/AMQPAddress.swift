/// Where a broker is and how to log in to it, read from an `amqp://` or `amqps://` address.
///
/// `amqps://user:password@host:5671/vhost?heartbeat=10&cacertfile=/etc/ssl/broker.pem`. Options: `heartbeat` (seconds,
/// 0 switches it off), and with amqps `cacertfile`, `certfile`, `keyfile`, `verify` (`verify_peer`, the default, or
/// `verify_none`). An option with another name is refused: a misspelt `verify` must not pass unnoticed.
/// No path and `/` both mean the virtual host `/`, as in Celery.
package struct AMQPAddress: Sendable, Hashable {
    /// How the connection is encrypted.
    package struct TLS: Sendable, Hashable {
        /// The authorities that the broker's certificate is checked against, in PEM; nil: those of the system.
        package var authorities: String?
        /// Our own certificate and its key, in PEM, if the broker asks for one.
        package var certificate: String?
        package var key: String?
        /// Whether the broker's certificate and host name are checked.
        package var verifies = true

        package init() {}
    }

    /// The address is not usable; `description` says what is wrong and holds no credentials.
    package struct Malformed: Error, Hashable, CustomStringConvertible {
        package let description: String
    }

    package var user: String
    package var password: String
    package var host: String
    package var port: Int
    package var virtualHost: String
    /// Seconds; 0: none.
    package var heartbeat: Int
    package var tls: TLS?

    package static let defaultHeartbeat = 10

    package init(
        host: String = "127.0.0.1", port: Int = 5672, user: String = "guest", password: String = "guest",
        virtualHost: String = "/", heartbeat: Int = Self.defaultHeartbeat, tls: TLS? = nil
    ) {
        self.user = user
        self.password = password
        self.host = host
        self.port = port
        self.virtualHost = virtualHost
        self.heartbeat = heartbeat
        self.tls = tls
    }
}

extension AMQPAddress: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Host, port and virtual host: no user, no password, no option.
    package var description: String {
        let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        let path = virtualHost == "/" ? "" : Self.shown(virtualHost)
        return "\(tls == nil ? "amqp" : "amqps")://\(place)/\(path)"
    }

    /// Blanks and control characters in the spelling of an address.
    private static func shown(_ text: String) -> String {
        text.unicodeScalars.map { scalar in
            let isPlain = scalar.value > 0x20 && scalar.value != 0x7F && scalar != "%"
            let digits = String(scalar.value, radix: 16, uppercase: true)
            return isPlain ? String(scalar) : "%" + (digits.count < 2 ? "0" : "") + digits
        }.joined()
    }

    package var debugDescription: String { description }

    package var customMirror: Mirror { Mirror(self, children: ["address": description]) }
}
