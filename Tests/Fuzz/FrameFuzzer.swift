import RhythmWire

/// Hostile bytes into the frame decoder of a server and of a client. Whatever they are, cut as the first bytes say or in
/// one piece, the same frames must come out and the same errors.
///
/// An input: a limit for the frames (1 byte, in units of 64), how long the pieces are (1 byte), then the bytes themselves.
@c(LLVMFuzzerTestOneInput)
public func fuzzFrames(_ input: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let input, count > 2 else { return 0 }
    let limit = max(1, Int(input[0]) * 64)
    let piece = Int(input[1]) + 1
    let bytes = UnsafeRawBufferPointer(start: input + 2, count: count - 2)
    let whole = outcomes(of: bytes, limit: limit, piece: count) { (decoder, rest) throws(FrameError) in
        try decoder.nextClientFrame(from: &rest).map { Seen(client: $0) }
    }
    let cut = outcomes(of: bytes, limit: limit, piece: piece) { (decoder, rest) throws(FrameError) in
        try decoder.nextClientFrame(from: &rest).map { Seen(client: $0) }
    }
    precondition(whole == cut, "cutting changes what is read")
    _ = outcomes(of: bytes, limit: limit, piece: piece) { (decoder, rest) throws(FrameError) in
        try decoder.nextServerFrame(from: &rest).map { Seen(server: $0) }
    }
    return 0
}

/// A frame by its bytes, because a number that is not a number is not equal to itself; or why there is none.
private enum Seen: Equatable {
    case frame([UInt8])
    case refused(FrameError)
    /// How much of the call is known then depends on what has come by then.
    case over

    init(client frame: ClientFrame) {
        self = .frame(encoded { (bytes) throws(FrameError) in try frame.append(to: &bytes) })
    }
    init(server frame: ServerFrame) {
        self = .frame(encoded { (bytes) throws(FrameError) in try frame.append(to: &bytes) })
    }
}

/// What was read can be written.
private func encoded(_ append: (inout [UInt8]) throws(FrameError) -> Void) -> [UInt8] {
    var bytes: [UInt8] = []
    do throws(FrameError) { try append(&bytes) } catch { preconditionFailure("cannot be written: \(error)") }
    return bytes
}

private func outcomes(
    of bytes: UnsafeRawBufferPointer, limit: Int, piece: Int,
    _ next: (inout FrameDecoder, inout UnsafeRawBufferPointer) throws(FrameError) -> Seen?
) -> [Seen] {
    var decoder = FrameDecoder(limit: limit)
    var seen: [Seen] = []
    var offset = 0
    while offset < bytes.count {
        let end = min(bytes.count, offset + piece)
        var rest = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
        offset = end
        var isDone = false
        while !isDone {
            do throws(FrameError) {
                if let frame = try next(&decoder, &rest) { seen.append(frame) } else { isDone = true }
            } catch {
                if error.isFatal { return seen + [.over] }
                seen.append(.refused(error))
            }
        }
    }
    return seen
}
