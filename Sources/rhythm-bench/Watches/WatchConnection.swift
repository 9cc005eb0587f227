import CRhythmShims
import Glibc
import RhythmCore
import RhythmWire

/// A connection with a number of watches, read as cheaply as possible so that the server is what is measured: of most
/// frames only the head is looked at. One thread.
final class WatchConnection {
    let descriptor: Int32
    private var pending: [UInt8] = []
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
    private var lastCall: UInt64 = 0
    /// What each watch was told, by its call.
    private(set) var tallies: [UInt64: WatchTally] = [:]

    /// Connects and says hello.
    init(_ endpoint: Endpoint) throws {
        var error = [CChar](repeating: 0, count: 256)
        descriptor =
            switch endpoint {
            case .tcp(let host, let port): rhythm_connect_tcp(host, port, 5000, &error, error.count)
            case .unix(let path): rhythm_connect_unix(path, 5000, &error, error.count)
            case .tls: throw BenchError("rhythm-bench measures plain connections")
            }
        guard descriptor >= 0 else {
            throw BenchError(String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        try send(ClientFrame(callID: 0, body: .hello(Hello(clientName: "rhythm-bench", clientVersion: "1"))))
        guard case .helloReply = try nextFrame().body else { throw BenchError("the server refuses") }
    }

    deinit {
        close(descriptor)
        input.deallocate()
    }

    /// Opens a watch; only a checked one is looked at whole.
    func open(_ request: WatchProgress, subject: Int = 0, isChecked: Bool = true) throws {
        lastCall += 1
        tallies[lastCall] = WatchTally(subject: subject, isChecked: isChecked)
        try send(ClientFrame(callID: lastCall, body: .call(.watchProgress(request))))
    }

    /// Asks, waits, and takes the answer; for connections without watches.
    func call(_ request: Request) throws -> Reply {
        try ask(request)
        return try answer()
    }

    /// Asks all of it at once and waits for the answers; for connections without watches.
    func call(_ requests: some Collection<Request>) throws -> [Reply] {
        for request in requests { try ask(request) }
        return try requests.map { _ in try answer() }
    }

    private func ask(_ request: Request) throws {
        lastCall += 1
        try send(ClientFrame(callID: lastCall, body: .call(request)))
    }

    private func answer() throws -> Reply {
        while true {
            let frame = try nextFrame()
            if case .reply(let reply) = frame.body { return reply }
            if case .status(let error) = frame.body, frame.callID != 0 {
                throw BenchError(error?.message ?? "no answer")
            }
        }
    }

    /// Says something that needs no answer, for a peer that reads nothing and yet wants to be thought alive.
    func murmur() throws { try send(ClientFrame(callID: 0, body: .pong(0))) }

    /// Takes what is there.
    ///
    /// - Parameter update: called for each update that a checked watch gets.
    /// - Returns: whether anything came.
    func receive(_ update: (WatchTally.Update) -> Void) throws -> Bool {
        var hasAny = false
        while true {
            let count = recv(descriptor, input.baseAddress, input.count, 0)
            if count < 0, errno == EAGAIN || errno == EWOULDBLOCK { return hasAny }
            guard count > 0 else { throw BenchError("the connection ended: \(String(cString: strerror(errno)))") }
            hasAny = true
            let now = Ticker.now
            if pending.isEmpty {
                let used = try take(UnsafeRawBufferPointer(rebasing: input[..<count]), now, update)
                pending.append(contentsOf: input[used..<count])
            } else {
                pending.append(contentsOf: input[..<count])
                let used = try pending.withUnsafeBytes { try take($0, now, update) }
                pending.removeFirst(used)
            }
        }
    }

    /// - Returns: how many bytes were whole frames.
    private func take(
        _ bytes: UnsafeRawBufferPointer, _ now: Int64, _ update: (WatchTally.Update) -> Void
    ) throws -> Int {
        var offset = 0
        while bytes.count - offset >= 4 {
            let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            guard bytes.count - offset >= 4 + length else { break }
            try take(frame: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + 4 + length]), now, update)
            offset += 4 + length
        }
        return offset
    }

    private func take(frame: UnsafeRawBufferPointer, _ now: Int64, _ update: (WatchTally.Update) -> Void) throws {
        let head = FrameHead(frame)
        if head.callID != 0, let tally = tallies[head.callID], !tally.isChecked, head.event != .other {
            tallies[head.callID]?.count(head.event)
            return
        }
        var decoder = FrameDecoder(limit: 64 << 20)
        var rest = frame
        guard let decoded = try decoder.nextServerFrame(from: &rest) else { return }
        switch decoded.body {
        case .ping(let data): try send(ClientFrame(callID: 0, body: .pong(data)))
        case .watchEvent(let event):
            if let found = try tallies[decoded.callID]?.take(event, receivedAt: now) { update(found) }
        case .goAway(let goAway): throw BenchError("the server goes: \(goAway.reason)")
        case .status(let error): throw BenchError("a watch ended: \(error?.message ?? "normally")")
        default: break
        }
    }

    // MARK: Bytes

    private func send(_ frame: ClientFrame) throws {
        var bytes: [UInt8] = []
        try frame.append(to: &bytes)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(
                    descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT))
            } else {
                throw BenchError("cannot send: \(String(cString: strerror(errno)))")
            }
        }
    }

    private func nextFrame() throws -> ServerFrame {
        while true {
            var decoder = FrameDecoder(limit: 64 << 20)
            let frame: ServerFrame? = try pending.withUnsafeBytes {
                var rest = $0
                return try decoder.nextServerFrame(from: &rest)
            }
            if let frame {
                let length = pending.withUnsafeBytes { UInt32(bigEndian: $0.loadUnaligned(as: UInt32.self)) }
                pending.removeFirst(4 + Int(length))
                return frame
            }
            try wait(for: Int16(POLLIN))
            let count = recv(descriptor, input.baseAddress, input.count, 0)
            guard count > 0 else { throw BenchError("the connection ended") }
            pending.append(contentsOf: input[..<count])
        }
    }

    private func wait(for event: Int16) throws {
        var wait = pollfd(fd: descriptor, events: event, revents: 0)
        guard poll(&wait, 1, 30_000) > 0 else { throw BenchError("the server does nothing for 30 s") }
    }
}
