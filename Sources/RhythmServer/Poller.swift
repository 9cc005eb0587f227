import CRhythmShims
import Dispatch
import Glibc
import RhythmCore

/// Knows which sockets can be read from, or written to: one epoll descriptor for all of them, and one Dispatch source for
/// that descriptor.
///
/// A Dispatch source for each socket costs, on Linux, four system calls and two changes of threads for every time that it
/// becomes readable (a wait and a re-arming on Dispatch's own thread, an inquiry about how much there is, and the wake-up
/// of the lane). Here one source wakes the lane, and the lane then asks for all that is ready, and goes on asking while
/// there is something. Belongs to the server's lane; only the bell may be rung from elsewhere.
final class Poller {
    /// Rings from any thread: a wait ends. Outlives its poller, so that nobody rings at a descriptor that is another's.
    final class Bell: Sendable {
        fileprivate let descriptor: Int32

        fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }

        deinit { close(descriptor) }

        func ring() { rhythm_bell_ring(descriptor) }
    }

    /// What is asked about a socket.
    struct Interest: OptionSet {
        let rawValue: UInt8

        static let reading = Self(rawValue: 1)
        static let writing = Self(rawValue: 2)
    }

    /// What is to be known about a socket.
    struct News {
        /// Who it is, as it was said when it was added.
        let id: UInt64
        let isReadable: Bool
        let isWritable: Bool
        /// Nothing can be sent any more; what came before that can still be read. Said again until it is closed.
        let isGone: Bool
    }

    let bell: Bell
    private let descriptor: Int32
    private let source: any DispatchSourceRead
    private var readyCount = 0
    private let ready = UnsafeMutableBufferPointer<rhythm_ready>.allocate(capacity: 128)
    /// No connection has it.
    private static let bellID: UInt64 = 0

    /// `fire` is called on the queue when something is ready; it has to ``wait(atMost:)``, or it is called again at once.
    ///
    /// - Throws: UNAVAILABLE if there is no descriptor left for it.
    init(queue: DispatchQueue, fire: @escaping @Sendable () -> Void) throws(RhythmError) {
        let descriptor = rhythm_poller_make()
        let bell = descriptor >= 0 ? rhythm_poller_add_bell(descriptor, Self.bellID) : -1
        guard bell >= 0 else {
            let why = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw RhythmError(.unavailable, reason: "NO_POLLER", "cannot wait for sockets: \(why)")
        }
        self.descriptor = descriptor
        self.bell = Bell(bell)
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        source.setEventHandler(handler: fire)
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }

    deinit {
        source.cancel()
        ready.deallocate()
    }

    /// Asks about a socket from now on. The id must not be 0.
    ///
    /// - Returns: false if the system has no room for it.
    func add(_ socket: Int32, id: UInt64, _ interest: Interest) -> Bool {
        ask(socket, id, interest, isNew: true)
    }

    /// Asks something else about a socket that was added. With nothing asked, it is still said that it is gone.
    func change(_ socket: Int32, id: UInt64, _ interest: Interest) {
        // It was added, so there is nothing that could fail.
        _ = ask(socket, id, interest, isNew: false)
    }

    /// Forgets a socket; to be called before it is closed.
    func remove(_ socket: Int32) { rhythm_poller_forget(descriptor, socket) }

    /// Waits until something is ready, or the bell rings, or the time is over.
    ///
    /// - Returns: whether there was anything; ``forEachReady(_:)`` says what.
    func wait(atMost nanoseconds: UInt64) -> Bool {
        readyCount = Int(
            rhythm_poller_wait(descriptor, ready.baseAddress, Int32(ready.count), Int64(clamping: nanoseconds)))
        return readyCount > 0
    }

    /// What the last wait has found.
    func forEachReady(_ body: (News) -> Void) {
        for found in ready[..<readyCount] where found.id != Self.bellID {
            body(
                News(
                    id: found.id, isReadable: found.readable, isWritable: found.writable, isGone: found.gone))
        }
    }

    private func ask(_ socket: Int32, _ id: UInt64, _ interest: Interest, isNew: Bool) -> Bool {
        rhythm_poller_ask(
            descriptor, socket, id, interest.contains(.reading), interest.contains(.writing), isNew) == 0
    }
}
