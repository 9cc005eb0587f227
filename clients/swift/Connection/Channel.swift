import Dispatch
import Glibc
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
    /// Bytes that the socket has not taken yet; the first `sent` of them are gone already.
    var output: [UInt8] = []
    private var sent = 0

    /// Takes the descriptor over; it must be connected and non-blocking.
    init(
        takingOwnership descriptor: Int32, queue: DispatchQueue, onReadable: @escaping @Sendable () -> Void,
        onWritable: @escaping @Sendable () -> Void
    ) {
        self.descriptor = descriptor
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
    }

    /// Reads until there is nothing more, since after the peer has closed a source may fire only once.
    func read(into buffer: UnsafeMutableRawBufferPointer, each: (UnsafeRawBufferPointer) -> Bool) -> ReadEnd {
        while !isClosed {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                guard each(UnsafeRawBufferPointer(rebasing: buffer[..<count])) else { return .drained }
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

    /// Writes what the socket takes and waits for the rest. An error shows up when reading.
    func flush() {
        while !isClosed, sent < output.count {
            let count = output.withUnsafeBytes { bytes in
                send(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                return waitUntilWritable()
            } else if errno != EINTR {
                break
            }
        }
        output.removeAll(keepingCapacity: output.capacity <= 65_536)
        sent = 0
        if !isWriteSuspended, !isClosed {
            isWriteSuspended = true
            writeSource.suspend()
        }
    }

    private func waitUntilWritable() {
        if sent > 65_536 {
            output.removeFirst(sent)
            sent = 0
        }
        guard isWriteSuspended else { return }
        isWriteSuspended = false
        writeSource.resume()
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
