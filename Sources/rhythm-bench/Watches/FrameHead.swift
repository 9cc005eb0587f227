/// The first bytes of a frame from the server: whose it is, and which kind of event of a watch, if it is one.
struct FrameHead {
    enum Event {
        case transition, progress, other
    }

    private(set) var callID: UInt64 = 0
    private(set) var event = Event.other

    /// - Parameter frame: with its length.
    init(_ frame: UnsafeRawBufferPointer) {
        var offset = 4
        func varint() -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while offset < frame.count, shift < 64 {
                let byte = frame[offset]
                offset += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { break }
                shift += 7
            }
            return value
        }
        // call_id = 1, watch_event = 28, and in it the member of its oneof: transition = 2, progress = 3.
        guard offset < frame.count, frame[offset] == 1 << 3 else { return }
        offset += 1
        callID = varint()
        guard varint() == 28 << 3 | 2 else { return }
        _ = varint()
        switch offset < frame.count ? frame[offset] : 0 {
        case 2 << 3 | 2: event = .transition
        case 3 << 3 | 2: event = .progress
        default: break
        }
    }
}
