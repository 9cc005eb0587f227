public import RhythmCore

/// A piece of what an attempt wrote.
public struct LogChunk: Sendable, Hashable {
    /// The attempt.
    public var taskID: TaskID
    /// Of the first byte; higher than expected if older bytes were rotated away.
    public var offset: Int64
    /// What it wrote; not cut at lines, nor at characters.
    public var bytes: [UInt8]
    /// Behind the last byte that was written when this was sent.
    public var endOffset: Int64
    /// Nothing more will be written.
    public var isComplete: Bool

    /// Makes a piece.
    public init(taskID: TaskID, offset: Int64, bytes: [UInt8], endOffset: Int64, isComplete: Bool) {
        self.taskID = taskID
        self.offset = offset
        self.bytes = bytes
        self.endOffset = endOffset
        self.isComplete = isComplete
    }
}
