package import RhythmCore

/// Asks for what an attempt wrote.
package struct TailLog: Sendable, Hashable {
    package var workflowID: WorkflowID
    /// Nil for the pending step, or the last one.
    package var step: String?
    /// Nil for the latest attempt.
    package var taskID: TaskID?
    /// In bytes; a negative one counts from the end.
    package var offset: Int64
    /// End after this many bytes; 0 for all.
    package var maxBytes: Int64
    /// Wait for more until the attempt has ended.
    package var follow: Bool

    /// Makes a request.
    package init(
        workflowID: WorkflowID, step: String? = nil, taskID: TaskID? = nil, offset: Int64 = 0, maxBytes: Int64 = 0,
        follow: Bool = false
    ) {
        self.workflowID = workflowID
        self.step = step
        self.taskID = taskID
        self.offset = offset
        self.maxBytes = maxBytes
        self.follow = follow
    }
}

/// A piece of what an attempt wrote.
package struct LogData: Sendable, Hashable {
    package var taskID: TaskID
    /// Of the first byte; higher than expected if older bytes were rotated away.
    package var offset: Int64
    package var data: [UInt8]
    /// Behind the last byte written so far.
    package var endOffset: Int64
    /// Nothing more will be written.
    package var isComplete: Bool

    /// Makes a piece.
    package init(taskID: TaskID, offset: Int64, data: [UInt8], endOffset: Int64, isComplete: Bool) {
        self.taskID = taskID
        self.offset = offset
        self.data = data
        self.endOffset = endOffset
        self.isComplete = isComplete
    }
}
