import Dispatch
import Glibc
import Synchronization

/// A proxy before a server of 127.0.0.1 that a test can make a bad network of. It listens until it is stopped.
package final class SwitchProxy: Sendable {
    /// What becomes of bytes.
    package enum Way: Sendable, Hashable {
        case open
        /// Connections end, and new ones end at once.
        case cut
        /// Connections stay, new ones come about, and nothing gets through.
        case swallowing
        /// Nothing gets through connections that there are; new ones are good.
        case halfOpen
    }

    private struct State {
        var way = Way.open
        /// Connections of an earlier one are dead if the way says so.
        var generation = 0
    }

    /// Where it listens.
    package let port: Int
    private let listener: Int32
    private let serverPort: Int
    private let state = Mutex(State())
    private let isStopped = Atomic<Bool>(false)
    private let work = DispatchGroup()

    package init(to serverPort: Int) throws {
        self.serverPort = serverPort
        port = try freePort()
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard withLoopback(port, { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else {
            throw Processes.CannotStart(description: "the proxy cannot listen: errno \(errno)")
        }
        DispatchQueue(label: "switch proxy").async(group: work) { self.accept() }
    }

    /// From now on it is like this.
    package func turn(_ way: Way) {
        state.withLock { state in
            state.way = way
            state.generation += 1
        }
    }

    /// Ends everything, and waits until it has ended.
    package func stop() {
        isStopped.store(true, ordering: .releasing)
        work.wait()
        close(listener)
    }

    private func accept() {
        while !isStopped.load(ordering: .acquiring) {
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 10) > 0 else { continue }
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { continue }
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            let (way, generation) = state.withLock { ($0.way, $0.generation) }
            guard way != .cut, withLoopback(serverPort, { connect(server, $0, $1) }) == 0 else {
                close(server)
                close(client)
                continue
            }
            for descriptor in [client, server] {
                var one: Int32 = 1
                setsockopt(
                    descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout.size(ofValue: one)))
            }
            DispatchQueue(label: "switch proxy connection").async(group: work) {
                self.carry(client, server, generation)
                close(client)
                close(server)
            }
        }
    }

    private func carry(_ client: Int32, _ server: Int32, _ generation: Int) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !isStopped.load(ordering: .acquiring) {
            let (way, latest) = state.withLock { ($0.way, $0.generation) }
            switch way {
            case .open: break
            case .cut: return
            case .swallowing:
                usleep(10_000)
                continue
            case .halfOpen where generation < latest:
                usleep(10_000)
                continue
            case .halfOpen: break
            }
            var polls = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&polls, 2, 10) > 0 else { continue }
            for index in 0..<2 where polls[index].revents != 0 {
                let count = recv(polls[index].fd, &buffer, buffer.count, 0)
                if count <= 0 { return }
                guard Self.send(buffer[..<count], to: index == 0 ? server : client) else { return }
            }
        }
    }

    private static func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var sent = bytes.startIndex
        while sent < bytes.endIndex {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }
}
