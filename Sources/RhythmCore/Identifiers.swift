/// Names one workflow: a lower-case UUIDv4 unless the client chose another (see ``WorkflowSpec/validate()``).
public struct WorkflowID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible,
    ExpressibleByStringLiteral
{
    /// The id as it is stored and sent.
    public let rawValue: String
    /// Takes the text as it is; rules are checked where a workflow is started.
    public init(rawValue: String) { self.rawValue = rawValue }
    /// Takes the text as it is.
    public init(_ rawValue: String) { self.rawValue = rawValue }
    /// For tests and constants.
    public init(stringLiteral value: String) { self.rawValue = value }
    /// The id itself.
    public var description: String { rawValue }
    /// Orders by the text.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// Names one attempt of one step (`task_id` on the wire): chosen by the engine and persisted before anything is sent.
public struct TaskID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible,
    ExpressibleByStringLiteral
{
    /// The id as it is stored and sent.
    public let rawValue: String
    /// Takes the text as it is.
    public init(rawValue: String) { self.rawValue = rawValue }
    /// Takes the text as it is.
    public init(_ rawValue: String) { self.rawValue = rawValue }
    /// For tests and constants.
    public init(stringLiteral value: String) { self.rawValue = value }
    /// The id itself.
    public var description: String { rawValue }
    /// Orders by the text.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}
