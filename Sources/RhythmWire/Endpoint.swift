/// Where a server listens: `HOST:PORT`, `[IPV6]:PORT`, either with `tls://` or `tcp://` before it, or `unix:PATH`.
package enum Endpoint: Sendable, Hashable, CustomStringConvertible {
    case tcp(host: String, port: UInt16)
    /// TCP with TLS on it.
    case tls(host: String, port: UInt16)
    case unix(path: String)

    /// Where rhythmd listens, and rhythm connects, unless told otherwise.
    package static let standard = Endpoint.tcp(host: "127.0.0.1", port: 7744)

    /// Reads an address; nil if it is none. Port 0 lets the system choose one.
    ///
    /// - Parameter tls: what `HOST:PORT` means where neither `tls://` nor `tcp://` says it.
    package init?(_ text: String, tls: Bool = false) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard !path.isEmpty, !path.contains("\0") else { return nil }
            self = .unix(path: path)
            return
        }
        var rest = text[...]
        var isTLS = tls
        for (scheme, meansTLS) in [("tls://", true), ("tcp://", false)] where text.hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
            isTLS = meansTLS
        }
        guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]) else {
            return nil
        }
        var host = rest[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains("\0"), !host.contains("/") else { return nil }
        self = isTLS ? .tls(host: String(host), port: port) : .tcp(host: String(host), port: port)
    }

    /// The form that ``init(_:tls:)`` reads.
    package var description: String {
        switch self {
        case .tcp(let host, let port): Self.text(host, port)
        case .tls(let host, let port): "tls://" + Self.text(host, port)
        case .unix(let path): "unix:\(path)"
        }
    }

    private static func text(_ host: String, _ port: UInt16) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
