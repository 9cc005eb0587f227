import Glibc
import Synchronization

/// Ports that were given away: each only once, as whoever got one may need seconds until it listens there.
private let given = Mutex<Set<Int>>([])

/// A port of 127.0.0.1 where nobody listens, and that nobody else gets from here or from the system in passing: it is
/// below those that Linux gives to whoever asks for any (`ip_local_port_range`).
package func freePort() throws -> Int {
    for _ in 0..<1000 {
        let port = Int.random(in: 15_000..<32_768)
        guard given.withLock({ $0.insert(port).inserted }), try isFree(port) else { continue }
        return port
    }
    throw Processes.CannotStart(description: "no port between 15000 and 32767 is free")
}

private func isFree(_ port: Int) throws -> Bool {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard listener >= 0 else { throw Processes.CannotStart(description: "socket: errno \(errno)") }
    defer { close(listener) }
    return withLoopback(port) { bind(listener, $0, $1) } == 0
}

/// Whether somebody accepts connections on a port of this machine.
package func acceptsConnections(port: Int) -> Bool {
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard client >= 0 else { return false }
    defer { close(client) }
    return withLoopback(port) { connect(client, $0, $1) } == 0
}

func withLoopback(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    // SAFETY: every socket address begins like sockaddr; the length is that of the structure behind the pointer.
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
