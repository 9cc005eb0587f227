import CRhythmShims
@preconcurrency import Dispatch
import Glibc
import RhythmCore
import RhythmWire
import Synchronization

/// One listening socket. Accepts, on a queue of its own, until the system says that nobody waits; survives running out of
/// descriptors. May be used from any thread.
final class Listener: Sendable {
    private struct State {
        var isPaused = false
        var isClosed = false
        /// Held back, so that with no descriptor left a peer can still be accepted and closed instead of being left in
        /// the backlog, which would wake the source without end.
        var spare = State.openSpare()

        static func openSpare() -> Int32 { open("/dev/null", O_RDONLY | O_CLOEXEC) }
    }

    /// Where it really listens: with the port that the system chose.
    let endpoint: Endpoint
    private let descriptor: Int32
    private let source: any DispatchSourceRead
    private let state = Mutex(State())
    private static let retryInterval = DispatchTimeInterval.seconds(1)

    /// - Parameters:
    ///   - accepted: called with each new connection.
    ///   - exhausted: called when descriptors have run out; new peers wait then until there may be one again.
    /// - Throws: UNAVAILABLE naming the address and what the system said.
    init(
        _ endpoint: Endpoint, unixSocketMode: UInt32, accepted: @escaping @Sendable (AcceptedSocket) -> Void,
        exhausted: @escaping @Sendable () -> Void
    ) throws(RhythmError) {
        var error = [CChar](repeating: 0, count: 256)
        switch endpoint {
        case .tcp(let host, let port):
            var bound: UInt16 = 0
            descriptor = rhythm_listen_tcp(host, port, 1024, &bound, &error, error.count)
            self.endpoint = .tcp(host: host, port: bound)
        case .tls(let host, let port):
            var bound: UInt16 = 0
            descriptor = rhythm_listen_tcp(host, port, 1024, &bound, &error, error.count)
            self.endpoint = .tls(host: host, port: bound)
        case .unix(let path):
            descriptor = rhythm_listen_unix(path, unixSocketMode, 1024, &error, error.count)
            self.endpoint = endpoint
        }
        guard descriptor >= 0 else {
            let why = String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw RhythmError(.unavailable, reason: "CANNOT_LISTEN", "cannot listen on \(endpoint): \(why)")
        }
        source = DispatchSource.makeReadSource(
            fileDescriptor: descriptor, queue: DispatchQueue(label: "rhythm.listener", qos: .userInitiated))
        source.setEventHandler { [weak self] in
            guard let self, !acceptAll(accepted) else { return }
            exhausted()
            pause()
        }
        let descriptor = descriptor
        source.setCancelHandler { Glibc.close(descriptor) }
        source.activate()
    }

    /// Accepts everybody who waits; who comes meanwhile makes the source fire again.
    ///
    /// - Returns: false if descriptors ran out.
    private func acceptAll(_ accepted: (AcceptedSocket) -> Void) -> Bool {
        for _ in 0..<256 {
            var peer = [CChar](repeating: 0, count: 128)
            let client = rhythm_accept(descriptor, &peer, peer.count)
            if client >= 0 {
                let address = String(decoding: peer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                accepted(AcceptedSocket(client, peer: address))
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                turnOneAway()
                return false
            default: return true
            }
        }
        return true
    }

    private func turnOneAway() {
        state.withLock { state in
            guard state.spare >= 0 else { return }
            Glibc.close(state.spare)
            var peer = [CChar](repeating: 0, count: 8)
            let client = rhythm_accept(descriptor, &peer, peer.count)
            if client >= 0 { Glibc.close(client) }
            state.spare = State.openSpare()
        }
    }

    private func pause() {
        state.withLock { state in
            guard !state.isPaused, !state.isClosed else { return }
            state.isPaused = true
            source.suspend()
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.retryInterval) { [weak self] in self?.resume() }
    }

    /// A descriptor is free again.
    func resume() {
        state.withLock { state in
            guard state.isPaused else { return }
            if state.spare < 0 { state.spare = State.openSpare() }
            state.isPaused = false
            source.resume()
        }
    }

    /// Stops listening; the descriptor is closed by the source's cancel handler.
    func close() {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            source.cancel()
            if state.isPaused { source.resume() }
            state.isPaused = false
            if state.spare >= 0 { Glibc.close(state.spare) }
            state.spare = -1
        }
        if case .unix(let path) = endpoint { unlink(path) }
    }
}
