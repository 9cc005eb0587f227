import CProtobufC
import CRhythmProto

extension ClientFrame {
    /// Appends the frame, its length in front.
    ///
    /// - Throws: `tooLong` if the frame is longer than `limit`; then nothing was appended.
    package func append(to output: inout [UInt8], limit: Int = .max) throws(FrameError) {
        try Arena.with { arena in
            let c = write(in: arena)
            return c.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
                appendFrame(base, callID: 0, to: &output, limit: limit, reportedCallID: callID)
            }
        }.get()
    }
}

extension ServerFrame {
    /// Appends the frame, its length in front.
    ///
    /// - Throws: `tooLong` if the frame is longer than `limit`; then nothing was appended.
    package func append(to output: inout [UInt8], limit: Int = .max) throws(FrameError) {
        try Arena.with { arena in
            let c = body.write(in: arena)
            return c.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
                appendFrame(base, callID: callID, to: &output, limit: limit, reportedCallID: callID)
            }
        }.get()
    }
}

/// What the server says, encoded once, to be sent under any number of call ids.
///
/// A protobuf message is the concatenation of its fields, in any order. So the bytes of a frame are those of its call
/// id followed by those of its body, and the body of an event can be shared by all its watchers: per watcher there
/// remain a length, a call id of 2 to 11 bytes, and a copy into the connection's output.
package struct EncodedBody: Sendable, Hashable {
    /// The frame without its length and without its call id.
    package let bytes: [UInt8]

    /// Encodes a body.
    package init(_ body: ServerBody) {
        bytes = Arena.with { arena in
            body.write(in: arena).withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
                let size = protobuf_c_message_get_packed_size(base)
                return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                    count = protobuf_c_message_pack(base, buffer.baseAddress)
                }
            }
        }
    }

    /// How long the frame is that ``append(callID:to:)`` makes, without its length.
    package func frameLength(callID: UInt64) -> Int { callIDBytes(callID) + bytes.count }

    /// Appends the frame for one call, its length in front.
    package func append(callID: UInt64, to output: inout [UInt8]) {
        appendHead(length: frameLength(callID: callID), callID: callID, to: &output)
        output.append(contentsOf: bytes)
    }
}

/// Appends length, call id (unless it is 0) and what protobuf-c makes of the struct.
private func appendFrame(
    _ message: UnsafeMutablePointer<ProtobufCMessage>, callID: UInt64, to output: inout [UInt8], limit: Int,
    reportedCallID: UInt64
) -> Result<Void, FrameError> {
    let size = protobuf_c_message_get_packed_size(message)
    let length = callIDBytes(callID) + size
    guard length <= min(limit, Int(UInt32.max)) else {
        return .failure(
            FrameError(kind: .tooLong(length: length, limit: limit), callID: reportedCallID, isFatal: false))
    }
    appendHead(length: length, callID: callID, to: &output)
    guard size > 0 else { return .success(()) }
    output.append(addingCapacity: size) { span in
        span.withUnsafeMutableBufferPointer { buffer, count in
            // SAFETY: the buffer has room for `size` bytes, and pack writes that many: the struct is the same.
            count = protobuf_c_message_pack(message, buffer.baseAddress)
        }
    }
    return .success(())
}

/// The first field of both frames: `uint64 call_id = 1`.
let callIDTag: UInt8 = 1 << 3

private func callIDBytes(_ callID: UInt64) -> Int {
    callID == 0 ? 0 : 1 + max(1, (70 - callID.leadingZeroBitCount) / 7)
}

private func appendHead(length: Int, callID: UInt64, to output: inout [UInt8]) {
    output.append(addingCapacity: 4 + callIDBytes(callID)) { span in
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: length).bigEndian) { for byte in $0 { span.append(byte) } }
        guard callID != 0 else { return }
        span.append(callIDTag)
        var rest = callID
        while rest >= 0x80 {
            span.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        span.append(UInt8(truncatingIfNeeded: rest))
    }
}
