/// Finds frames in a stream of bytes and reads them.
///
/// Whole frames are read where they lie; only the beginning of a frame that has not arrived completely is kept, so an
/// idle connection holds no buffer. Memory grows with the bytes that came, never with the length that was announced.
///
/// ```
/// var rest = UnsafeRawBufferPointer(start: buffer, count: count)
/// while let frame = try decoder.nextClientFrame(from: &rest) { ... }
/// ```
///
/// A value without locks: one decoder per connection, used by one thread at a time.
package struct FrameDecoder: Sendable {
    /// The limit until a hello was accepted.
    package static let helloLimit = 4096
    /// A frame up to this many times too long is skipped, so that its call can be told; a longer one is no mistake of
    /// somebody who speaks this protocol.
    static let skippableFactor = 16
    static let lengthBytes = 4
    /// The tag and the longest varint: what has to be there to know the call of a frame that is too long.
    private static let callIDBytes = 11

    /// The longest frame that is accepted, without its length. Set it to the negotiated one once the hello was
    /// accepted; until then (as long as it is ``helloLimit``) a frame that is too long is the end of the connection.
    package var limit: Int

    /// The beginning of a frame, its length included.
    private var pending: [UInt8] = []
    /// What is left of a frame that was too long.
    private var toSkip = 0

    /// Makes a decoder.
    package init(limit: Int = FrameDecoder.helloLimit) { self.limit = limit }

    /// A frame has begun and not ended: whoever sends it must not take for ever.
    package var isMidFrame: Bool { !pending.isEmpty || toSkip > 0 }

    /// The next frame; nil if the rest of it has yet to come, and then `bytes` is empty.
    ///
    /// - Throws: ``FrameError``. Unless it is fatal, the next call goes on behind the frame that was refused.
    package mutating func nextClientFrame(
        from bytes: inout UnsafeRawBufferPointer
    ) throws(FrameError) -> ClientFrame? {
        guard let frame = try nextFrame(from: &bytes) else { return nil }
        switch frame {
        case .inPlace(let frame): return try ClientFrame.decode(frame, limit: limit).get()
        case .gathered(let frame):
            let limit = limit
            return try frame.withUnsafeBytes { ClientFrame.decode(Self.body(of: $0), limit: limit) }.get()
        }
    }

    /// The next frame; nil if the rest of it has yet to come, and then `bytes` is empty.
    ///
    /// - Throws: ``FrameError``. Unless it is fatal, the next call goes on behind the frame that was refused.
    package mutating func nextServerFrame(
        from bytes: inout UnsafeRawBufferPointer
    ) throws(FrameError) -> ServerFrame? {
        guard let frame = try nextFrame(from: &bytes) else { return nil }
        switch frame {
        case .inPlace(let frame): return try ServerFrame.decode(frame, limit: limit).get()
        case .gathered(let frame):
            let limit = limit
            return try frame.withUnsafeBytes { ServerFrame.decode(Self.body(of: $0), limit: limit) }.get()
        }
    }

    private enum Found {
        /// Without its length, in the caller's bytes.
        case inPlace(UnsafeRawBufferPointer)
        /// With its length.
        case gathered([UInt8])
    }

    private static func body(of frame: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: frame[lengthBytes...])
    }

    private mutating func nextFrame(from bytes: inout UnsafeRawBufferPointer) throws(FrameError) -> Found? {
        if toSkip > 0 {
            let count = min(toSkip, bytes.count)
            toSkip -= count
            bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
        }
        if pending.isEmpty, bytes.count >= Self.lengthBytes {
            let length = Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
            if length <= limit, bytes.count - Self.lengthBytes >= length {
                let frame = UnsafeRawBufferPointer(rebasing: bytes[Self.lengthBytes..<Self.lengthBytes + length])
                bytes = UnsafeRawBufferPointer(rebasing: bytes[(Self.lengthBytes + length)...])
                return .inPlace(frame)
            }
        }
        guard !bytes.isEmpty else { return nil }
        gather(Self.lengthBytes, from: &bytes)
        guard pending.count >= Self.lengthBytes else { return nil }
        let length = pending.withUnsafeBytes { Int(UInt32(bigEndian: $0.loadUnaligned(as: UInt32.self))) }
        guard length <= limit else {
            try refuse(length: length, rest: &bytes)
            return nil
        }
        gather(Self.lengthBytes + length, from: &bytes)
        guard pending.count == Self.lengthBytes + length else { return nil }
        let frame = pending
        pending = []
        return .gathered(frame)
    }

    /// Takes bytes until `count` of the frame are there, or all of them.
    private mutating func gather(_ count: Int, from bytes: inout UnsafeRawBufferPointer) {
        let missing = min(max(0, count - pending.count), bytes.count)
        pending.append(contentsOf: bytes[..<missing])
        bytes = UnsafeRawBufferPointer(rebasing: bytes[missing...])
    }

    /// Throws what is wrong with a frame that is too long as soon as its call is known; returns if it is not yet.
    private mutating func refuse(length: Int, rest bytes: inout UnsafeRawBufferPointer) throws(FrameError) {
        let isFatal = limit <= Self.helloLimit || length / Self.skippableFactor > limit
        let peeked = min(length, Self.callIDBytes)
        gather(Self.lengthBytes + peeked, from: &bytes)
        guard isFatal || pending.count == Self.lengthBytes + peeked else { return }
        let callID = pending.withUnsafeBytes { FrameError.callID(in: Self.body(of: $0)) }
        toSkip = length - (pending.count - Self.lengthBytes)
        pending = []
        throw FrameError(
            kind: .tooLong(length: length, limit: limit), callID: callID, isFatal: isFatal || callID == nil)
    }
}
