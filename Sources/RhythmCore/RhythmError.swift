/// What went wrong with a request: the same value inside the server, on the wire and in the client library.
public struct RhythmError: Error, Sendable, Hashable, CustomStringConvertible {
    /// gRPC's status codes, number for number
    /// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
    public enum Code: Int32, Sendable, Hashable, CaseIterable {
        case ok = 0
        case cancelled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case `internal` = 13
        case unavailable = 14
        case dataLoss = 15
        case unauthenticated = 16

        /// The name in gRPC's spelling, such as `INVALID_ARGUMENT`.
        public var name: String {
            switch self {
            case .ok: "OK"
            case .cancelled: "CANCELLED"
            case .unknown: "UNKNOWN"
            case .invalidArgument: "INVALID_ARGUMENT"
            case .deadlineExceeded: "DEADLINE_EXCEEDED"
            case .notFound: "NOT_FOUND"
            case .alreadyExists: "ALREADY_EXISTS"
            case .permissionDenied: "PERMISSION_DENIED"
            case .resourceExhausted: "RESOURCE_EXHAUSTED"
            case .failedPrecondition: "FAILED_PRECONDITION"
            case .aborted: "ABORTED"
            case .outOfRange: "OUT_OF_RANGE"
            case .unimplemented: "UNIMPLEMENTED"
            case .internal: "INTERNAL"
            case .unavailable: "UNAVAILABLE"
            case .dataLoss: "DATA_LOSS"
            case .unauthenticated: "UNAUTHENTICATED"
            }
        }
    }

    /// Whether the request changed anything before it failed.
    public enum Effect: Int32, Sendable, Hashable, CaseIterable {
        /// Nothing happened; sending it again is safe.
        case none = 0
        /// It took effect although the answer is an error.
        case applied = 1
        /// Nobody can say; repeat it with the same request id, or look.
        case unknown = 2
    }

    /// The code to act on by program.
    public var code: Code
    /// A stable upper-case word for the exact case, such as `EMPTY_NAME`; never translated, never renamed.
    public var reason: String
    /// One sentence for a person: what is wrong, the value, and what would be right.
    public var message: String
    /// The path of the field at fault, such as `steps[2].name`; empty if none.
    public var field: String
    /// Whether it took effect.
    public var effect: Effect
    /// How long to wait before trying again; nil if waiting does not help or nothing is known.
    public var retryAfter: Duration?

    /// Makes an error; by default one that changed nothing.
    public init(
        _ code: Code, reason: String, _ message: String, field: String = "", effect: Effect = .none,
        retryAfter: Duration? = nil
    ) {
        self.code = code
        self.reason = reason
        self.message = message
        self.field = field
        self.effect = effect
        self.retryAfter = retryAfter
    }

    /// The message with code and reason, for logs.
    public var description: String {
        "\(code.name) (\(reason)): \(field.isEmpty ? "" : field + ": ")\(message)"
    }
}
