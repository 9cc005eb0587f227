/// Where a server listens: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`.
package enum Endpoint: Sendable, Hashable, CustomStringConvertible {
    case tcp(host: String, port: UInt16)
    case unix(path: String)

    /// Where rhythmd listens, and rhythm connects, unless told otherwise.
    package static let standard = Endpoint.tcp(host: "127.0.0.1", port: 7744)

    /// Reads an address; nil if it is none. Port 0 lets the system choose one.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard !path.isEmpty, !path.contains("\0") else { return nil }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains("\0") else { return nil }
        self = .tcp(host: String(host), port: port)
    }

    /// The form that ``init(_:)`` reads.
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
