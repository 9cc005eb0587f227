import CRhythmShims
@preconcurrency import Dispatch
import Glibc
import RhythmCore
import RhythmWire

/// One listening socket. Accepts until the system says that nobody waits; survives running out of descriptors.
final class Listener {
    /// Where it really listens: with the port that the system chose.
    let endpoint: Endpoint
    private let descriptor: Int32
    private let source: any DispatchSourceRead
    private var isSuspended = false
    /// Held back, so that with no descriptor left a peer can still be accepted and closed instead of being left in
    /// the backlog, which would wake this source without end.
    private var spare: Int32

    /// - Parameter accepted: called on the queue with each new descriptor and the peer's address.
    /// - Throws: UNAVAILABLE naming the address and what the system said.
    init(
        _ endpoint: Endpoint, unixSocketMode: UInt32, queue: DispatchQueue, fire: @escaping @Sendable () -> Void
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
        spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        source.setEventHandler(handler: fire)
        let descriptor = descriptor
        source.setCancelHandler { Glibc.close(descriptor) }
        source.activate()
    }

    /// Accepts everybody who waits, up to a number that keeps the lane free for others.
    ///
    /// - Returns: false if descriptors ran out; then call ``pause()`` and later ``resume()``.
    func acceptAll(_ accepted: (Int32, String) -> Void) -> Bool {
        for _ in 0..<256 {
            var peer = [CChar](repeating: 0, count: 128)
            let client = rhythm_accept(descriptor, &peer, peer.count)
            if client >= 0 {
                accepted(
                    client, String(decoding: peer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
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
        guard spare >= 0 else { return }
        Glibc.close(spare)
        var peer = [CChar](repeating: 0, count: 8)
        let client = rhythm_accept(descriptor, &peer, peer.count)
        if client >= 0 { Glibc.close(client) }
        spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
    }

    func pause() {
        guard !isSuspended else { return }
        isSuspended = true
        source.suspend()
    }

    func resume() {
        guard isSuspended else { return }
        isSuspended = false
        source.resume()
    }

    /// Stops listening; the descriptor is closed by the source's cancel handler.
    func close() {
        source.cancel()
        resume()
        if spare >= 0 { Glibc.close(spare) }
        spare = -1
        if case .unix(let path) = endpoint { unlink(path) }
    }
}
