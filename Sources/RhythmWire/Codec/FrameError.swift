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
        /// The body is of a kind that this version does not know, or there is none.
        case unknownBody
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

    /// Whether a status with ``callID`` reaches the one who has to know.
    package var isAnswerable: Bool { (callID ?? 0) != 0 }
}
