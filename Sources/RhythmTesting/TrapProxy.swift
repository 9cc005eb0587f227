import Dispatch
import Glibc
import Synchronization

/// Carries the connections of a program to a server, one whole message after the other, and ends the program or the
/// connection at a chosen one: so that a test says at which byte it dies. Any thread.
package final class TrapProxy: Sendable {
    /// Where on the way of a message that happens.
    package enum Moment: Sendable {
        /// The server never gets it.
        case beforeItArrives
        /// The server has done what it says and has answered; the program never gets the answer.
        case beforeItsAnswer
    }

    private struct Trap {
        let moment: Moment
        let texts: [[UInt8]]
        /// Nil if only the connection is to end.
        let program: Processes.Child?
    }

    /// Where it listens.
    package let port: Int
    private let listener: Int32
    private let serverPort: Int
    private let wire: MessageCutter.Wire
    private let trap = Mutex<Trap?>(nil)
    private let sprung = Atomic<Bool>(false)
    private let isStopped = Atomic<Bool>(false)
    private let work = DispatchGroup()

    package init(_ wire: MessageCutter.Wire, to serverPort: Int) throws {
        self.wire = wire
        self.serverPort = serverPort
        port = try freePort()
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard withLoopback(port, { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else {
            throw Processes.CannotStart(description: "the proxy cannot listen: errno \(errno)")
        }
        DispatchQueue(label: "proxy").async(group: work) { self.accept() }
    }

    /// Waits for the first message that holds all of these texts, and ends the program (SIGKILL) at that moment.
    package func kill(_ program: Processes.Child, at moment: Moment, ofMessageWith texts: [String]) {
        trap.withLock { $0 = Trap(moment: moment, texts: texts.map { Array($0.utf8) }, program: program) }
    }

    /// The same, but only the connection ends.
    package func cut(at moment: Moment, ofMessageWith texts: [String]) {
        trap.withLock { $0 = Trap(moment: moment, texts: texts.map { Array($0.utf8) }, program: nil) }
    }

    /// What it was told to do is done.
    package var hasSprung: Bool { sprung.load(ordering: .acquiring) }

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
            guard withLoopback(serverPort, { connect(server, $0, $1) }) == 0 else {
                close(server)
                close(client)
                continue
            }
            for descriptor in [client, server] {
                var one: Int32 = 1
                setsockopt(
                    descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout.size(ofValue: one)))
            }
            DispatchQueue(label: "proxy.connection").async(group: work) {
                self.carry(client, server)
                close(client)
                close(server)
            }
        }
    }

    /// Carries until one side ends, or the trap was sprung by a message of this connection.
    private func carry(_ client: Int32, _ server: Int32) {
        var (asked, answered) = (MessageCutter(wire), MessageCutter(wire))
        var awaited: Trap?
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !isStopped.load(ordering: .acquiring) {
            var polls = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&polls, 2, 10) > 0 else { continue }
            for index in 0..<2 where polls[index].revents != 0 {
                let count = recv(polls[index].fd, &buffer, buffer.count, 0)
                if count <= 0 { return }
                for message in index == 0 ? asked.take(buffer[..<count]) : answered.take(buffer[..<count]) {
                    if index == 1, let trap = awaited, isAnswer(message) { return spring(trap) }
                    if index == 0, let trap = takeTrap(for: message) {
                        if trap.moment == .beforeItArrives { return spring(trap) }
                        awaited = trap
                    }
                    guard send(message, to: index == 0 ? server : client) else { return }
                }
            }
        }
    }

    /// The trap, if this is the message that it waits for; nobody else gets it.
    private func takeTrap(for message: [UInt8]) -> Trap? {
        trap.withLock { trap in
            guard let found = trap, found.texts.allSatisfy({ message.contains($0) }) else { return nil }
            return trap.take()
        }
    }

    /// MongoDB answers in order; the broker may say other things first.
    private func isAnswer(_ message: [UInt8]) -> Bool { wire == .mongo || MessageCutter.isMethod(message, 60, 80) }

    private func spring(_ trap: Trap) {
        if let program = trap.program {
            program.signal(SIGKILL)
            while program.poll() == nil { usleep(500) }
        }
        sprung.store(true, ordering: .releasing)
    }

    private func send(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }
}
