import CRhythmShims
import Dispatch
import Glibc
import RhythmCore
import RhythmWire
import Synchronization

/// A server that does what a script says, over real sockets: each connection runs the script once, on a thread of its
/// own, knowing how many came before.
final class ScriptedPeer: Sendable {
    typealias Script = @Sendable (PeerConnection, Int) -> Void

    let port: UInt16
    private let listener: Int32
    private let isStopped = Atomic<Bool>(false)

    init(_ script: @escaping Script) {
        var bound: UInt16 = 0
        var error = [CChar](repeating: 0, count: 256)
        listener = rhythm_listen_tcp("127.0.0.1", 0, 16, &bound, &error, error.count)
        precondition(listener >= 0, "cannot listen")
        port = bound
        let listener = listener
        DispatchQueue(label: "peer.accept").async { [weak self] in
            var count = 0
            while self?.isStopped.load(ordering: .acquiring) == false {
                var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
                guard poll(&waiting, 1, 50) > 0 else { continue }
                var peer = [CChar](repeating: 0, count: 64)
                let descriptor = rhythm_accept(listener, &peer, peer.count)
                guard descriptor >= 0 else { continue }
                let index = count
                count += 1
                DispatchQueue(label: "peer.\(index)").async {
                    let connection = PeerConnection(descriptor)
                    script(connection, index)
                    connection.close()
                }
            }
            close(listener)
        }
    }

    deinit { isStopped.store(true, ordering: .releasing) }

    var address: String { "127.0.0.1:\(port)" }
}

/// One connection of a ``ScriptedPeer``. Used by one thread.
final class PeerConnection {
    private let descriptor: Int32
    private var decoder = FrameDecoder(limit: 1 << 20)
    private var waiting: [ClientFrame] = []
    private var isClosed = false
    /// Sends every byte on its own.
    var dribbles = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// The next frame that is neither a hello (which is answered) nor a ping (which too is); nil when the client hangs
    /// up, or after ten seconds of silence.
    func receive() -> ClientFrame? {
        while true {
            while !waiting.isEmpty {
                let frame = waiting.removeFirst()
                switch frame.body {
                case .hello: send(0, .helloReply(MachineRig.hello()))
                case .ping(let data): send(0, .pong(data))
                case .pong, .cancel, .call: return frame
                }
            }
            guard read() else { return nil }
        }
    }

    /// Frames that have arrived, without waiting for more than `milliseconds`.
    func hasFrame(within milliseconds: Int32) -> Bool {
        if !waiting.isEmpty { return true }
        var events = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&events, 1, milliseconds) > 0
    }

    /// Reads nothing and says nothing until the client hangs up (POLLRDHUP), or for as long as a test may take.
    func stayAway() -> Bool {
        var events = pollfd(fd: descriptor, events: Int16(0x2000), revents: 0)
        return poll(&events, 1, 20_000) > 0
    }

    /// The next call and its id.
    func call() -> (id: UInt64, request: Request)? {
        guard let frame = receive(), case .call(let request) = frame.body else { return nil }
        return (frame.callID, request)
    }

    func send(_ callID: UInt64, _ body: ServerBody) {
        var bytes: [UInt8] = []
        do { try ServerFrame(callID: callID, body: body).append(to: &bytes) } catch { fatalError("\(error)") }
        write(bytes)
    }

    func write(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let most = dribbles ? 1 : bytes.count - sent
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), most, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else {
                var events = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard errno == EAGAIN, poll(&events, 1, 10_000) > 0 else { return }
            }
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        Glibc.close(descriptor)
    }

    private func read() -> Bool {
        guard !isClosed else { return false }
        var events = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&events, 1, 10_000) > 0 else { return false }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        buffer.withUnsafeBytes { bytes in
            var rest = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            while true {
                guard let frame = try? decoder.nextClientFrame(from: &rest) else { return }
                waiting.append(frame)
            }
        }
        return true
    }
}
