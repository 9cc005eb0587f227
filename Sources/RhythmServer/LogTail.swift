import RhythmCore
import RhythmEngine
import RhythmWire

/// A TailLog call: reads a piece at a time, when the peer has room for it, and looks for more while it follows.
final class LogTail: OutgoingStream {
    /// Bytes of one frame.
    private static let pieceBytes = 32 * 1024
    /// How often a log that is being followed is looked at.
    private static let pollInterval = Duration.milliseconds(200)

    var isQueued = false
    private let request: TailLog
    private let attempt: TaskID
    private let logs: any LogSource
    private let call: Call
    private unowned let server: ServerCore
    private var offset: Int64
    private var left: Int64
    private var piece: LogData?
    private var isReading = false

    init(_ request: TailLog, attempt: TaskID, logs: any LogSource, call: Call, server: ServerCore) {
        self.request = request
        self.attempt = attempt
        self.logs = logs
        self.call = call
        self.server = server
        offset = request.offset
        left = request.maxBytes > 0 ? request.maxBytes : .max
    }

    func begin() {
        call.onEnd = { [self] in piece = nil }
        readMore()
    }

    func sendNext() -> Bool {
        guard let data = piece, !call.isEnded else { return false }
        let connection = call.connection
        piece = nil
        connection.send(.logData(data), call: call.id)
        server.statistics.eventsSent += 1
        left -= Int64(data.data.count)
        offset = data.offset + Int64(data.data.count)
        if left <= 0 || (offset >= data.endOffset && (data.isComplete || !request.follow)) {
            connection.complete(call)
        } else if offset < data.endOffset {
            readMore()
        } else {
            server.timers.schedule(after: Self.pollInterval) { [self] in readMore() }
        }
        return false
    }

    private func readMore() {
        guard !isReading, !call.isEnded else { return }
        isReading = true
        let (logs, attempt, offset) = (logs, attempt, offset)
        let limit = Int(min(left, Int64(Self.pieceBytes)))
        server.read { () throws(StoreError) in
            .log(logs.readLog(of: attempt, from: offset, limit: limit))
        } then: { [self] result in
            isReading = false
            guard !call.isEnded, case .log(let chunk) = result else { return }
            take(chunk)
        }
    }

    private func take(_ chunk: LogChunk?) {
        guard let chunk else {
            // The attempt has not begun, or its log is gone.
            if request.follow, isStillExpected {
                server.timers.schedule(after: Self.pollInterval) { [self] in readMore() }
            } else {
                call.connection.complete(call)
            }
            return
        }
        if chunk.bytes.isEmpty, !chunk.isComplete, request.follow {
            offset = max(offset, chunk.offset)
            server.timers.schedule(after: Self.pollInterval) { [self] in readMore() }
            return
        }
        piece = LogData(
            taskID: attempt, offset: chunk.offset, data: chunk.bytes, endOffset: chunk.end,
            isComplete: chunk.isComplete)
        call.connection.readyStreams.add(self)
        server.markDirty(call.connection)
    }

    /// The attempt may still begin.
    private var isStillExpected: Bool {
        guard let workflow = server.engine.active(request.workflowID), let position = workflow.position(of: attempt)
        else { return false }
        return !workflow[position].status.isEnd
    }
}
