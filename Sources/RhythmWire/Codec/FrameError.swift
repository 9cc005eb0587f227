package import RhythmCore

/// Why a frame could not be read.
///
/// The frames before it are not affected. Whether the connection can go on depends on ``isFatal``.
package struct FrameError: Error, Sendable, Hashable {
    /// What is wrong.
    package enum Kind: Sendable, Hashable {
        /// The length is above the limit.
        case tooLong(length: Int, limit: Int)
        /// The bytes are no protobuf message of this protocol.
        case malformed
        /// Reading it would take more memory than a frame of this size deserves.
        case overBudget(bytes: Int)
        /// The body is of a kind that this version does not know, or there is none. `number` is its field, if there is one;
        /// `near` names the calls that are known with the numbers around it.
        case unknownBody(number: UInt32?, near: [String])
        /// A string that is not UTF-8 or holds a NUL character.
        case badText(field: String)
        /// A string that is not JSON text, and why.
        case badJSON(field: String, expected: String)
        /// A number outside of what the field allows, a missing message, and the like.
        case badValue(field: String, expected: String)
    }

    /// What is wrong.
    package let kind: Kind
    /// The call it belongs to as far as the bytes tell; nil if they do not.
    package let callID: UInt64?
    /// The frames after it cannot be found any more, or its sender speaks another protocol: close the connection.
    package let isFatal: Bool

    /// Makes an error.
    package init(kind: Kind, callID: UInt64?, isFatal: Bool) {
        self.kind = kind
        self.callID = callID
        self.isFatal = isFatal
    }

    /// Whether a status with ``callID`` reaches the one who has to know.
    package var isAnswerable: Bool { (callID ?? 0) != 0 }
}

extension FrameError {
    /// What is wrong with the content of a frame whose end is known: fatal if nobody can be told.
    init(kind: Kind, callID: UInt64?) {
        self.init(kind: kind, callID: callID, isFatal: (callID ?? 0) == 0)
    }

    /// A frame about the connection that this version does not know is to be ignored, so it is not fatal.
    static func unknownBody(_ callID: UInt64, number: UInt32? = nil, near: [String] = []) -> FrameError {
        FrameError(kind: .unknownBody(number: number, near: near), callID: callID, isFatal: false)
    }

    /// The call id in the bytes of a frame that could not be read, as far as they make sense; nil if there is none.
    static func callID(in bytes: UnsafeRawBufferPointer) -> UInt64? {
        var offset = 0
        while offset < bytes.count {
            guard let tag = varint(in: bytes, at: &offset) else { return nil }
            switch tag & 7 {
            case 0:
                guard let value = varint(in: bytes, at: &offset) else { return nil }
                if tag == UInt64(callIDTag) { return value }
            case 1: offset += 8
            case 2:
                guard let length = varint(in: bytes, at: &offset), length <= UInt64(bytes.count - offset) else {
                    return nil
                }
                offset += Int(length)
            case 5: offset += 4
            default: return nil
            }
        }
        return nil
    }

    private static func varint(in bytes: UnsafeRawBufferPointer, at offset: inout Int) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard offset < bytes.count else { return nil }
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }

    /// The error as whoever sent the frame is told.
    package var rhythmError: RhythmError {
        switch kind {
        case .tooLong(let length, let limit):
            RhythmError(
                .resourceExhausted, reason: "FRAME_TOO_LONG",
                "the frame has \(length) bytes; at most \(limit) are allowed")
        case .malformed:
            RhythmError(.invalidArgument, reason: "MALFORMED_FRAME", "the frame is no message of this protocol")
        case .overBudget(let bytes):
            RhythmError(
                .resourceExhausted, reason: "FRAME_OVER_BUDGET",
                "reading the frame would take more than \(bytes) bytes of memory; send fewer elements")
        case .unknownBody(let number?, let near):
            RhythmError(
                .unimplemented, reason: "UNKNOWN_CALL",
                "this version knows no call with the field number \(number)"
                    + (near.isEmpty ? "" : "; near it are \(near.joined(separator: ", "))"))
        case .unknownBody(nil, _):
            RhythmError(.unimplemented, reason: "UNKNOWN_CALL", "the frame asks for nothing")
        case .badText(let field):
            RhythmError(.invalidArgument, reason: "BAD_TEXT", "must be UTF-8 without NUL characters", field: field)
        case .badJSON(let field, let expected):
            RhythmError(.invalidArgument, reason: "BAD_JSON", expected, field: field)
        case .badValue(let field, let expected):
            RhythmError(.invalidArgument, reason: "BAD_VALUE", "expected \(expected)", field: field)
        }
    }
}
