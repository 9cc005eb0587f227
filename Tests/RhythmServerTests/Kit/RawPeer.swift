import Dispatch
import Glibc
import RhythmCore
import RhythmTLS
import RhythmWire

/// A client that speaks frames, or any other bytes, over a bare socket. Every wait has a deadline, and none of them
/// holds a thread of Swift's own pool, on which the tasks under test run.
final class RawPeer {
    enum Trouble: Error {
        case cannotConnect(Int32), timeout(String), closed, cannotSend(Int32), unexpected(ServerBody)
    }

    private let descriptor: Int32
    /// Between the socket and the frames; what was received is decrypted at once.
    private let tls: TLSSession?
    private let queue = DispatchQueue(label: "raw-peer")
    private var decoder = FrameDecoder(limit: 64 << 20)
    private var unread: [ServerFrame] = []
    private(set) var isAtEnd = false
    /// The end was a reset.
    private(set) var wasReset = false
    /// Everything that came, byte by byte.
    private(set) var receivedBytes = 0
    var lastCallID: UInt64 = 0
    var answersPings = true
    /// What comes is not read as frames: it may be anything.
    var takesAnything = false

    /// - Parameter tls: what to speak on an encrypted endpoint.
    init(_ endpoint: Endpoint, tls context: TLSContext? = nil) throws {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        switch endpoint {
        case .tcp(let host, let port), .tls(let host, let port):
            descriptor = socket(AF_INET, kind, 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            try Self.connect(descriptor, &address)
        case .unix(let path):
            descriptor = socket(AF_UNIX, kind, 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            try Self.connect(descriptor, &address)
        }
        guard case .tls(let host, _) = endpoint, let context else {
            tls = nil
            return
        }
        tls = try TLSSession(context, .client(host: host))
    }

    deinit { close(descriptor) }

    private static func connect<Address>(_ descriptor: Int32, _ address: inout Address) throws {
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard code == 0 else { throw Trouble.cannotConnect(errno) }
    }

    // MARK: Sending

    /// Sends bytes, encrypted if need be; gives up if the server takes none for the whole of `limit`.
    func send(_ bytes: [UInt8], within limit: Duration = patience) async throws {
        guard let tls else { return try await sendRaw(bytes, within: limit) }
        try await shakeHands()
        try bytes.withUnsafeBytes { try tls.write($0) }
        try await sendOutput(of: tls)
    }

    /// Does the TLS handshake, if there is one to be done.
    func shakeHands(within limit: Duration = patience) async throws {
        guard let tls else { return }
        let deadline = ContinuousClock.now + limit
        while !tls.isEstablished, !isAtEnd {
            try await sendOutput(of: tls)
            guard !tls.isEstablished else { break }
            guard ContinuousClock.now < deadline else { throw Trouble.timeout("no handshake") }
            try await receive(within: limit)
        }
        try await sendOutput(of: tls)
    }

    /// Sends the beginning of a client's first message in the TLS handshake, and no more.
    func sendFirstFlight(upTo count: Int) async throws {
        var bytes: [UInt8] = []
        tls?.takeOutput(into: &bytes)
        try await sendRaw(Array(bytes.prefix(count)))
    }

    /// Sends the beginning of the record that holds a frame, and no more.
    func send(_ frame: ClientFrame, upTo count: Int) async throws {
        var bytes: [UInt8] = []
        try Self.bytes(frame).withUnsafeBytes { try tls?.write($0) }
        tls?.takeOutput(into: &bytes)
        try await sendRaw(Array(bytes.prefix(count)))
    }

    private func sendOutput(of tls: TLSSession) async throws {
        var bytes: [UInt8] = []
        tls.takeOutput(into: &bytes)
        if !bytes.isEmpty { try await sendRaw(bytes) }
    }

    /// Sends bytes as they are.
    func sendRaw(_ bytes: [UInt8], within limit: Duration = patience) async throws {
        let descriptor = descriptor
        let code = await withCheckedContinuation { (done: CheckedContinuation<Int32, Never>) in
            queue.async { done.resume(returning: Self.send(bytes, to: descriptor, limit)) }
        }
        guard code == 0 else { throw Trouble.cannotSend(code) }
    }

    func send(_ frame: ClientFrame) async throws { try await send(Self.bytes(frame)) }

    /// Opens a call.
    @discardableResult
    func begin(_ request: Request, timeout: UInt32 = 0) async throws -> UInt64 {
        lastCallID += 1
        try await send(ClientFrame(callID: lastCallID, timeoutMilliseconds: timeout, body: .call(request)))
        return lastCallID
    }

    /// Says that nothing more will be sent.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// The end, when it comes, is to be a reset.
    func endWithReset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    }

    /// Takes nothing any more, and sends on.
    func stopTaking() { shutdown(descriptor, Int32(SHUT_RD)) }

    static func bytes(_ frame: ClientFrame) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try frame.append(to: &bytes)
        return bytes
    }

    static func hello(version: UInt32 = protocolVersion, token: String = "") -> ClientFrame {
        ClientFrame(
            callID: 0,
            body: .hello(Hello(protocolVersion: version, clientName: "test", clientVersion: "1", token: token)))
    }

    /// Says Hello and takes the answer; what is not a HelloReply is thrown.
    @discardableResult
    func greet(token: String = "") async throws -> HelloReply {
        try await send(Self.hello(token: token))
        let frame = try await next()
        switch frame.body {
        case .helloReply(let reply): return reply
        case .status(let error?): throw error
        default: throw Trouble.unexpected(frame.body)
        }
    }

    // MARK: Receiving

    /// The next frame, whatever it belongs to.
    func next(within limit: Duration = patience) async throws -> ServerFrame {
        let deadline = ContinuousClock.now + limit
        while unread.isEmpty {
            if isAtEnd { throw Trouble.closed }
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw Trouble.timeout("no frame") }
            try await receive(within: left)
        }
        return unread.removeFirst()
    }

    /// The next frame of one call; frames of others stay where they are.
    func next(of call: UInt64, within limit: Duration = patience) async throws -> ServerBody {
        let deadline = ContinuousClock.now + limit
        while true {
            if let index = unread.firstIndex(where: { $0.callID == call }) { return unread.remove(at: index).body }
            if isAtEnd { throw Trouble.closed }
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw Trouble.timeout("no frame of call \(call)") }
            try await receive(within: left)
        }
    }

    /// Whether nothing comes within a time: for what must not happen.
    func isSilent(for time: Duration) async throws -> Bool {
        do {
            unread.insert(try await next(within: time), at: 0)
            return false
        } catch Trouble.timeout { return true }
    }

    /// Reads until the server has closed the connection, which it must do within `limit`, whatever it sends until then;
    /// gives every frame that came before.
    func untilClosed(within limit: Duration = patience) async throws -> [ServerFrame] {
        let deadline = ContinuousClock.now + limit
        var frames: [ServerFrame] = []
        while true {
            let left = max(.zero, ContinuousClock.now.duration(to: deadline))
            do { frames.append(try await next(within: left)) } catch Trouble.closed { return frames }
        }
    }

    /// A call with one answer.
    func call(_ request: Request, timeout: UInt32 = 0) async throws -> Reply {
        let id = try await begin(request, timeout: timeout)
        return try await reply(of: id)
    }

    func reply(of id: UInt64) async throws -> Reply {
        switch try await next(of: id) {
        case .reply(let reply): return reply
        case .status(let error?): throw error
        case let other: throw Trouble.unexpected(other)
        }
    }

    /// How a call failed.
    func failure(of id: UInt64) async throws -> RhythmError {
        let body = try await next(of: id)
        guard case .status(let error?) = body else { throw Trouble.unexpected(body) }
        return error
    }

    private func receive(within limit: Duration) async throws {
        let descriptor = descriptor
        let (bytes, error) = await withCheckedContinuation { (done: CheckedContinuation<([UInt8]?, Int32), Never>) in
            queue.async { done.resume(returning: Self.receive(from: descriptor, limit)) }
        }
        guard let bytes else { return }
        guard !bytes.isEmpty else {
            isAtEnd = true
            wasReset = error == ECONNRESET
            return
        }
        receivedBytes += bytes.count
        var pings: [UInt64] = []
        if takesAnything { return }
        guard let frames = try decrypted(bytes) else { isAtEnd = true; return }
        try frames.withUnsafeBytes { buffer in
            var rest = buffer
            while let frame = try decoder.nextServerFrame(from: &rest) {
                if case .ping(let data) = frame.body, answersPings { pings.append(data) } else { unread.append(frame) }
            }
        }
        for data in pings { try? await send(ClientFrame(callID: 0, body: .pong(data))) }
    }

    /// - Returns: nil if the server has said that nothing more comes.
    private func decrypted(_ bytes: [UInt8]) throws -> [UInt8]? {
        guard let tls else { return bytes }
        bytes.withUnsafeBytes { tls.receive($0) }
        var plain: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            switch try buffer.withUnsafeMutableBytes({ try tls.read(into: $0) }) {
            case .bytes(let count): plain += buffer[..<count]
            case .needsMore: return plain
            case .ended: return plain.isEmpty ? nil : plain
            }
        }
    }

    // MARK: System calls

    /// - Returns: 0, or why not all of it was taken.
    private static func send(_ bytes: [UInt8], to descriptor: Int32, _ limit: Duration) -> Int32 {
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        return bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: rest)
                let count = Glibc.send(descriptor, part.baseAddress, part.count, flags)
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno != EAGAIN || !wait(descriptor, Int16(POLLOUT), limit) {
                    return errno
                }
            }
            return 0
        }
    }

    /// - Returns: nil if nothing came; nothing if nothing more will come, and why.
    private static func receive(from descriptor: Int32, _ limit: Duration) -> ([UInt8]?, Int32) {
        guard wait(descriptor, Int16(POLLIN), limit) else { return (nil, 0) }
        var buffer = [UInt8](repeating: 0, count: 262_144)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        return count > 0 ? (Array(buffer[..<count]), 0) : ([], count < 0 ? errno : 0)
    }

    private static func wait(_ descriptor: Int32, _ event: Int16, _ limit: Duration) -> Bool {
        var poll = pollfd(fd: descriptor, events: event, revents: 0)
        return Glibc.poll(&poll, 1, Int32(clamping: limit.wholeMilliseconds + 1)) > 0
    }
}

extension RawPeer {
    func start(_ spec: WorkflowSpec, requestID: String = "") async throws -> Workflow {
        let reply = try await call(.startWorkflow(StartWorkflow(spec: spec, requestID: requestID)))
        guard case .startWorkflow(let started) = reply else { throw Trouble.unexpected(.reply(reply)) }
        return started.workflow
    }

    func status(_ get: GetStatus) async throws -> Workflow {
        let reply = try await call(.getStatus(get))
        guard case .getStatus(let found) = reply else { throw Trouble.unexpected(.reply(reply)) }
        return found.workflow
    }

    func status(_ id: WorkflowID) async throws -> Workflow { try await status(GetStatus(workflowID: id)) }

    func info() async throws -> ServerInfo {
        let reply = try await call(.getServerInfo)
        guard case .getServerInfo(let info) = reply else { throw Trouble.unexpected(.reply(reply)) }
        return info
    }

    func stats() async throws -> ServerStats {
        let reply = try await call(.getStats)
        guard case .getStats(let stats) = reply else { throw Trouble.unexpected(.reply(reply)) }
        return stats
    }

    /// How many bytes wait for the peer that lets most of them wait.
    func mostWaiting() async throws -> UInt64 {
        let reply = try await call(.getConnections)
        guard case .getConnections(let all) = reply else { throw Trouble.unexpected(.reply(reply)) }
        return all.map(\.waitingBytes).max() ?? 0
    }

    /// Waits until the workflow has a status.
    func until(_ id: WorkflowID, is status: WorkflowStatus) async throws {
        try await eventually("\(id) is \(status)") { try await self.status(id).status == status }
    }
}
