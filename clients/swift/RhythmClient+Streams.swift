public import RhythmCore
import RhythmWire

extension RhythmClient {
    /// How a watch behaves.
    public struct WatchOptions: Sendable, Hashable {
        /// End when all its workflows are done. A paused workflow counts as done, although it may be resumed.
        public var untilDone: Bool
        /// Leave progress out.
        public var withoutProgress: Bool
        /// At most one progress update per step in this time; nil for the server's default.
        public var progressInterval: Duration?

        /// By default a watch goes on for ever and tells progress as often as the server likes.
        public init(untilDone: Bool = false, withoutProgress: Bool = false, progressInterval: Duration? = nil) {
            self.untilDone = untilDone
            self.withoutProgress = withoutProgress
            self.progressInterval = progressInterval
        }
    }

    /// Watches some workflows: a snapshot of each, then every transition once, in version order, with progress in
    /// between, over as many connections as it takes.
    /// - Parameter after: versions that are known already; such workflows begin without a snapshot, with the
    ///   transitions that come after.
    public func watch(
        _ ids: [WorkflowID], after: [WorkflowID: Int64] = [:], options: WatchOptions = WatchOptions()
    ) -> WatchUpdates {
        let targets = ids.map { WatchTarget(workflowID: $0, afterVersion: after[$0]) }
        return stream(WatchProgress(targets: targets, filter: nil, options))
    }

    /// Watches the workflows that a filter means, those that start later included.
    ///
    /// It goes on over lost connections: every transition of a workflow that it has seen comes once, up to the one that
    /// ends it. What was done, was resumed and is active again when the connection is back begins with a snapshot. A
    /// workflow that started and ended in between is not told of. The same happens when its reader is far behind.
    public func watch(_ filter: WorkflowFilter, options: WatchOptions = WatchOptions()) -> WatchUpdates {
        stream(WatchProgress(targets: [], filter: filter, options))
    }

    /// Reads what an attempt wrote to standard output and error.
    /// - Parameters:
    ///   - step: nil for the pending step, or the last one.
    ///   - taskID: nil for the step's latest attempt.
    ///   - offset: in bytes; a negative one counts from the end.
    ///   - maxBytes: end after so many; 0 for all.
    ///   - follow: wait for more until the attempt has ended.
    public func tailLog(
        _ id: WorkflowID, step: String? = nil, taskID: TaskID? = nil, offset: Int64 = 0, maxBytes: Int64 = 0,
        follow: Bool = false
    ) -> LogChunks {
        stream(
            TailLog(
                workflowID: id, step: step, taskID: taskID, offset: offset, maxBytes: maxBytes, follow: follow))
    }
}

extension WatchProgress {
    init(targets: [WatchTarget], filter: WorkflowFilter?, _ options: RhythmClient.WatchOptions) {
        self.init(
            targets: targets, filter: filter, untilDone: options.untilDone, withoutProgress: options.withoutProgress,
            minProgressIntervalMilliseconds: UInt32(clamping: options.progressInterval?.wholeMilliseconds ?? 0),
            tellLimit: filter != nil)
    }
}
