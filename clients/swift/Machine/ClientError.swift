package import RhythmCore

/// The errors that the client makes itself.
package enum ClientError {
    /// No connection could be made.
    package static func unreachable(_ endpoint: String, why: String, effect: RhythmError.Effect) -> RhythmError {
        RhythmError(
            .unavailable, reason: "UNREACHABLE",
            "cannot reach rhythmd at \(endpoint): \(why)",
            effect: effect)
    }

    /// The same of several servers, with what came of each.
    static func unreachable(_ reasons: String, effect: RhythmError.Effect) -> RhythmError {
        RhythmError(
            .unavailable, reason: "UNREACHABLE", "cannot reach any of the servers: \(reasons)", effect: effect)
    }

    /// One side does not accept the certificate of the other.
    static func tls(_ endpoint: String, why: String) -> RhythmError {
        RhythmError(.unauthenticated, reason: "CERTIFICATE", "no TLS with rhythmd at \(endpoint): \(why)")
    }

    static let otherStoreReason = "OTHER_STORE"

    /// Servers of different stores are no servers to choose from.
    static func otherStore(_ endpoint: String) -> RhythmError {
        RhythmError(
            .failedPrecondition, reason: otherStoreReason,
            "\(endpoint) has another store than the server before it; only servers that share one can be named together"
        )
    }

    /// The connection broke before the answer came.
    static func lost(_ endpoint: String, why: String, effect: RhythmError.Effect) -> RhythmError {
        RhythmError(
            .unavailable, reason: "CONNECTION_LOST",
            "lost the connection to rhythmd at \(endpoint) before the answer came: \(why)", effect: effect)
    }

    static func deadline(_ call: Call, at now: Moment) -> RhythmError {
        RhythmError(
            .deadlineExceeded, reason: "DEADLINE_EXCEEDED",
            "no answer within \(now.since(call.openedAt).wholeMilliseconds) ms", effect: call.effect)
    }

    static func cancelled(_ call: Call) -> RhythmError {
        RhythmError(.cancelled, reason: "CANCELLED_BY_CALLER", "the call was cancelled", effect: call.effect)
    }

    static func closed(_ call: Call) -> RhythmError {
        RhythmError(.cancelled, reason: "CLIENT_CLOSED", "the client was closed", effect: call.effect)
    }

    static func protocolVersion(_ version: UInt32) -> RhythmError {
        RhythmError(
            .failedPrecondition, reason: "PROTOCOL_VERSION",
            "the server speaks version \(version) of the protocol, which this client does not know; update the client")
    }

    static func tooLarge(bytes: Int, limit: Int) -> RhythmError {
        RhythmError(
            .resourceExhausted, reason: "FRAME_TOO_LARGE",
            "the request has \(bytes) bytes; the server takes at most \(limit)")
    }

    /// The server's answer makes no sense to this client.
    package static func badAnswer(_ why: String, effect: RhythmError.Effect) -> RhythmError {
        RhythmError(.internal, reason: "BAD_ANSWER", "the server's answer could not be read: \(why)", effect: effect)
    }
}
