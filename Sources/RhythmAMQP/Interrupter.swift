import Glibc
import Synchronization

/// Ends a C call that waits on a connection's socket, from another thread.
///
/// The library has no call for that, but each of its waits ends when the socket is shut down. The number of a closed
/// descriptor may be somebody else's by then, so the owner withdraws it, under the lock, before it is closed.
final class Interrupter: Sendable {
    private let descriptor = Mutex<Int32>(-1)

    func watch(_ socket: Int32) { descriptor.withLock { $0 = socket } }

    func withdraw() { descriptor.withLock { $0 = -1 } }

    func interrupt() { descriptor.withLock { if $0 >= 0 { shutdown($0, Int32(SHUT_RDWR)) } } }
}
