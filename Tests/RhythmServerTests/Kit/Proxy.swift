import CRhythmShims
import Dispatch
import Glibc
import RhythmWire
import Synchronization

/// Carries connections to a server until it is told to become a black hole: from then on, of the connections that it
/// has, nothing arrives on either side and neither side learns of an end, as if the cable had been pulled. Connections
/// that are made later are carried again.
final class Proxy: Sendable {
    let endpoint: Endpoint
    private let listener: Int32
    private let server: Endpoint
    private let isStopped = Atomic<Bool>(false)
    /// Connections of an earlier generation lead nowhere.
    private let generation = Atomic<Int>(0)
    private let work = DispatchGroup()

    init(to server: Endpoint) {
        self.server = server
        var bound: UInt16 = 0
        var error = [CChar](repeating: 0, count: 256)
        let listener = rhythm_listen_tcp("127.0.0.1", 0, 16, &bound, &error, error.count)
        precondition(listener >= 0, "cannot listen")
        self.listener = listener
        endpoint = .tcp(host: "127.0.0.1", port: bound)
        DispatchQueue(label: "proxy").async(group: work) { self.accept() }
    }

    /// All connections that there are lead nowhere from now on.
    func swallow() { generation.add(1, ordering: .releasing) }

    /// Ends everything, and waits until it has ended.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        work.wait()
        close(listener)
    }

    private func accept() {
        while !isStopped.load(ordering: .acquiring) {
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 10) > 0 else { continue }
            var peer = [CChar](repeating: 0, count: 64)
            let client = rhythm_accept(listener, &peer, peer.count)
            guard client >= 0 else { continue }
            guard case .tcp(_, let port) = server, let upstream = Self.connect(to: port) else {
                close(client)
                continue
            }
            DispatchQueue(label: "proxy.connection").async(group: work) {
                self.carry(client, upstream)
                close(client)
                close(upstream)
            }
        }
    }

    private static func connect(to port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    private func carry(_ one: Int32, _ other: Int32) {
        let born = generation.load(ordering: .acquiring)
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var isOpen = [true, true]
        while !isStopped.load(ordering: .acquiring) {
            var polls = [one, other].enumerated().map {
                pollfd(fd: isOpen[$0.offset] ? $0.element : -1, events: Int16(POLLIN), revents: 0)
            }
            guard poll(&polls, 2, 10) > 0 else { continue }
            for index in 0..<2 where polls[index].revents != 0 {
                let count = recv(polls[index].fd, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                if count < 0, errno == EAGAIN { continue }
                let isDead = generation.load(ordering: .acquiring) != born
                if count <= 0 {
                    isOpen[index] = false
                    // An end is not carried on by a cable that is pulled.
                    if !isDead { return }
                } else if !isDead {
                    Self.send(buffer[..<count], to: index == 0 ? other : one)
                }
            }
        }
    }

    private static func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard errno == EAGAIN, poll(&waiting, 1, 5000) > 0 else { return }
            }
        }
    }
}
