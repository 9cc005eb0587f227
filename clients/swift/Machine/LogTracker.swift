import RhythmCore
package import RhythmWire

/// How far a log has been read, so that reading goes on over a new connection where it stopped.
package struct LogTracker: Sendable {
    private let original: TailLog
    private var taskID: TaskID?
    private var next: Int64?
    private var taken: Int64 = 0
    /// Whether the server ever sent anything.
    package var hasStarted: Bool { next != nil }

    package init(_ request: TailLog) { original = request }

    /// What to ask for now; nil if everything that was asked for has come.
    package var request: TailLog? {
        guard let next else { return original }
        var request = original
        request.taskID = taskID
        request.offset = next
        if original.maxBytes > 0 {
            guard taken < original.maxBytes else { return nil }
            request.maxBytes = original.maxBytes - taken
        }
        return request
    }

    /// Takes what the server sent; nil if all of it was seen before.
    package mutating func take(_ piece: LogData) -> LogChunk? {
        var bytes = piece.data
        var offset = piece.offset
        if let next, offset < next {
            let known = Int(min(Int64(bytes.count), next - offset))
            bytes.removeFirst(known)
            offset += Int64(known)
            if bytes.isEmpty, !piece.isComplete { return nil }
        }
        taskID = piece.taskID
        next = max(next ?? 0, offset + Int64(bytes.count))
        taken += Int64(bytes.count)
        return LogChunk(
            taskID: piece.taskID, offset: offset, bytes: bytes, endOffset: piece.endOffset,
            isComplete: piece.isComplete)
    }
}
