import Glibc

/// Bytes on their way to a socket. Frames are appended as they are made; one write takes as many as the socket will.
struct OutputBuffer {
    /// What was appended; the first `sent` bytes of it are gone already.
    var bytes: [UInt8] = []
    private var sent = 0
    /// How many bytes the socket has taken in all.
    private(set) var totalSent = 0

    /// How many bytes wait.
    var count: Int { bytes.count - sent }
    var isEmpty: Bool { count == 0 }

    enum Outcome {
        /// Nothing is left.
        case drained
        /// The socket takes no more for now.
        case blocked
        /// The peer is gone.
        case failed
    }

    /// Writes until the socket takes no more or nothing is left.
    mutating func flush(to descriptor: Int32) -> Outcome {
        while sent < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                send(descriptor, buffer.baseAddress?.advanced(by: sent), buffer.count - sent, Int32(MSG_NOSIGNAL))
            }
            if written > 0 {
                sent += written
                totalSent += written
            } else if written < 0 && errno == EINTR {
                continue
            } else if written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) {
                compact()
                return .blocked
            } else {
                return .failed
            }
        }
        // A buffer that once was large gives its memory back; a small one is kept for the next frame.
        bytes.removeAll(keepingCapacity: bytes.capacity <= 16_384)
        sent = 0
        return .drained
    }

    /// Gives some of what waits to somebody else in place of a socket.
    ///
    /// - Returns: whether it was taken, and is gone from here.
    mutating func take(atMost limit: Int, _ taker: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        let count = min(limit, self.count)
        guard bytes.withUnsafeBytes({ taker(UnsafeRawBufferPointer(rebasing: $0[sent..<sent + count])) }) else {
            return false
        }
        sent += count
        totalSent += count
        if sent == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 16_384)
            sent = 0
        } else {
            compact()
        }
        return true
    }

    private mutating func compact() {
        guard sent > 65_536 else { return }
        bytes.removeFirst(sent)
        sent = 0
    }
}
