import Glibc
import Synchronization

/// A new connection on its way from its listener to the lane: should it not arrive there, it is closed. May be used from
/// any thread.
final class AcceptedSocket: Sendable {
    /// The peer's address.
    let peer: String
    private let descriptor: Mutex<Int32>

    /// Takes over the descriptor.
    init(_ descriptor: Int32, peer: String) {
        self.descriptor = Mutex(descriptor)
        self.peer = peer
    }

    deinit {
        let left = take()
        if left >= 0 { close(left) }
    }

    /// The descriptor, which is the caller's to close; -1 if it was taken before.
    func take() -> Int32 {
        descriptor.withLock { descriptor in
            defer { descriptor = -1 }
            return descriptor
        }
    }
}
