import Dispatch
import Glibc
import Synchronization

/// Carries connections to a server, and fails as networks do, until it is told to be well again. Any thread.
package final class LinkProxy: Sendable {
    package enum Fault: String, Sendable, CaseIterable {
        /// Connections end, new ones are refused.
        case cut
        /// Nothing arrives any more in either direction, and nobody is told; afterwards what was on its way arrives.
        case silent
        /// The connections that there are stay silent for good; new ones are well.
        case halfOpen
    }

    /// Where it listens.
    package let port: Int
    private let listener: Int32
    private let serverPort: Int
    private let fault = Mutex<Fault?>(nil)
    /// Connections that were made before the last half-open fault are dead: those with a smaller number.
    private let dead = Atomic(0)
    private let count = Atomic(0)
    private let isStopped = Atomic<Bool>(false)
    private let work = DispatchGroup()

    package init(to serverPort: Int) throws {
        self.serverPort = serverPort
        port = try freePort()
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard withLoopback(port, { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else {
            throw Processes.CannotStart(description: "the proxy cannot listen: errno \(errno)")
        }
        Self.onThread(work) { self.accept() }
    }

    package func fail(_ fault: Fault) {
        if fault == .halfOpen {
            dead.store(count.load(ordering: .acquiring), ordering: .releasing)
        } else {
            self.fault.withLock { $0 = fault }
        }
    }

    package func heal() { fault.withLock { $0 = nil } }

    /// Ends everything, and waits until it has ended.
    package func stop() {
        isStopped.store(true, ordering: .releasing)
        work.wait()
        close(listener)
    }

    private var state: Fault? { fault.withLock { $0 } }

    private func accept() {
        while !isStopped.load(ordering: .acquiring) {
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 10) > 0 else { continue }
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { continue }
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            if state == .cut {
                close(client)
                continue
            }
            let number = count.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue
            Self.onThread(work) {
                self.carry(client, number)
                close(client)
            }
        }
    }

    private func carry(_ client: Int32, _ number: Int) {
        guard let server = connect(), server >= 0 else { return }
        defer { close(server) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !isStopped.load(ordering: .acquiring) {
            switch state {
            case .cut: return
            case .silent, .halfOpen:
                usleep(10_000)
                continue
            case nil: break
            }
            if number <= dead.load(ordering: .acquiring) {
                usleep(10_000)
                continue
            }
            var polls = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&polls, 2, 10) > 0 else { continue }
            for index in 0..<2 where polls[index].revents != 0 {
                let count = recv(polls[index].fd, &buffer, buffer.count, 0)
                if count <= 0 { return }
                guard send(buffer[..<count], to: index == 0 ? server : client) else { return }
            }
        }
    }

    /// A connection to the server, as soon as the network is not silent.
    private func connect() -> Int32? {
        while state == .silent {
            if isStopped.load(ordering: .acquiring) { return nil }
            usleep(10_000)
        }
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard withLoopback(serverPort, { Glibc.connect(server, $0, $1) }) == 0 else {
            close(server)
            return nil
        }
        return server
    }

    private func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
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

    /// On a thread of its own: the pool's threads are few, and a silent connection keeps one for long.
    private static func onThread(_ group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
        DispatchQueue(label: "link").async(group: group, execute: body)
    }
}
