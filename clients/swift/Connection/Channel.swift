import Dispatch
import Glibc
import RhythmTLS
import Synchronization

/// A connected socket on a lane: one read source and one write source for its whole life.
///
/// Confined to the lane that made it; the handlers run there too. The descriptor is closed when both sources say that
/// they are cancelled, so that its number cannot be reused under a source that is still registered.
final class Channel {
    private let descriptor: Int32
    private let readSource: any DispatchSourceRead
    private let writeSource: any DispatchSourceWrite
    /// A source must not be released while it is suspended.
    private var isWriteSuspended = true
    private var isClosed = false
    /// Frames on their way out.
    var output: [UInt8] {
        get { waiting.bytes }
        _modify { yield &waiting.bytes }
    }
    private var waiting = Outgoing()
    /// Between the socket and the frames, on a connection that is encrypted.
    private let tls: TLSSession?
    /// With TLS: ciphertext of frames, and what the handshake says.
    private var sealed = Outgoing()

    /// Takes the descriptor over; it must be connected and non-blocking.
    init(
        takingOwnership descriptor: Int32, tls: TLSSession?, queue: DispatchQueue,
        onReadable: @escaping @Sendable () -> Void,
        onWritable: @escaping @Sendable () -> Void
    ) {
        self.descriptor = descriptor
        self.tls = tls
        readSource = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        writeSource = DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: queue)
        let remaining = DescriptorUsers(descriptor)
        for source in [readSource, writeSource] as [any DispatchSourceProtocol] {
            source.setCancelHandler { remaining.release() }
        }
        readSource.setEventHandler(handler: onReadable)
        writeSource.setEventHandler(handler: onWritable)
        readSource.activate()
        // Activated and suspended at once: a source that was never activated must not be released either.
        writeSource.suspend()
        writeSource.activate()
    }

    deinit { close() }

    /// Hangs up. Nothing more is called after this.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        if let tls {
            tls.end()
            tls.takeOutput(into: &sealed.bytes)
            _ = sealed.flush(to: descriptor)
        }
        shutdown(descriptor, Int32(SHUT_RDWR))
        readSource.cancel()
        writeSource.cancel()
        if isWriteSuspended { writeSource.resume() }
        isWriteSuspended = false
    }

    /// What ended reading.
    enum ReadEnd {
        /// There is nothing more for now.
        case drained
        case eof
        case failed(Int32)
        case failedTLS(TLSError)
    }

    /// Reads until there is nothing more, since after the peer has closed a source may fire only once.
    ///
    /// - Parameter each: takes what came; false ends the reading.
    func read(into buffer: UnsafeMutableRawBufferPointer, each: (UnsafeRawBufferPointer) -> Bool) -> ReadEnd {
        while !isClosed {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                if let tls {
                    if let end = decrypt(bytes, with: tls, each: each) { return end }
                } else if !each(bytes) {
                    return .drained
                }
            } else if count == 0 {
                return .eof
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                return .drained
            } else if errno != EINTR {
                return .failed(errno)
            }
        }
        return .drained
    }

    /// - Returns: why reading ends; nil if it goes on.
    private func decrypt(
        _ ciphertext: UnsafeRawBufferPointer, with tls: TLSSession, each: (UnsafeRawBufferPointer) -> Bool
    ) -> ReadEnd? {
        tls.receive(ciphertext)
        // The handshake may have something to say, and frames may wait for its end.
        defer { flush() }
        return withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 16) { buffer -> ReadEnd? in
            while !isClosed {
                do throws(TLSError) {
                    switch try tls.read(into: buffer) {
                    case .bytes(let count):
                        if !each(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { return .drained }
                    case .needsMore: return nil
                    case .ended: return .eof
                    }
                } catch {
                    return .failedTLS(error)
                }
            }
            return .drained
        }
    }

    /// Writes what the socket takes and waits for the rest. An error shows up when reading.
    func flush() {
        guard !isClosed else { return }
        guard let tls else { return waitUnlessDone(waiting.flush(to: descriptor)) }
        while true {
            tls.takeOutput(into: &sealed.bytes)
            guard sealed.flush(to: descriptor) else { return waitUnlessDone(false) }
            guard !waiting.bytes.isEmpty, tls.isEstablished else { return waitUnlessDone(true) }
            let isSealed = waiting.bytes.withUnsafeBytes { (try? tls.write($0)) != nil }
            guard isSealed else { return close() }
            waiting.bytes.removeAll(keepingCapacity: waiting.bytes.capacity <= 65_536)
        }
    }

    private func waitUnlessDone(_ isDone: Bool) {
        guard isDone != isWriteSuspended, !isClosed else { return }
        isWriteSuspended = isDone
        if isDone { writeSource.suspend() } else { writeSource.resume() }
    }
}

/// Bytes that a socket has not taken yet.
private struct Outgoing {
    var bytes: [UInt8] = []
    /// How many of them are gone already.
    private var sent = 0

    /// - Returns: whether nothing is left to wait for; after an error nothing is.
    mutating func flush(to descriptor: Int32) -> Bool {
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                send(descriptor, buffer.baseAddress?.advanced(by: sent), buffer.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                compact()
                return false
            } else if errno != EINTR {
                break
            }
        }
        bytes.removeAll(keepingCapacity: bytes.capacity <= 65_536)
        sent = 0
        return true
    }

    private mutating func compact() {
        guard sent > 65_536 else { return }
        bytes.removeFirst(sent)
        sent = 0
    }
}

/// Closes a descriptor when the last of its two sources has let go of it.
private final class DescriptorUsers: Sendable {
    private let descriptor: Int32
    private let remaining = Atomic<Int>(2)

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func release() {
        if remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { close(descriptor) }
    }
}
