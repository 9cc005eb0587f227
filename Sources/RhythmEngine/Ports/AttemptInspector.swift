public import RhythmCore

/// A runner whose workers are elsewhere and can be asked what they hold, also of attempts that are none of ours.
public protocol AttemptInspector: TaskRunner {
    /// Asks all workers what they hold, and looks at queues.
    ///
    /// - Parameters:
    ///   - queues: by name; nil is the default queue.
    ///   - answer: called once, on any thread, within some ten seconds.
    func inspect(queues: Set<String?>, answer: @escaping @Sendable (Inspection) -> Void)
}

/// What workers hold and what waits in queues.
public struct Inspection: Sendable {
    /// An attempt that a worker has taken.
    public struct Holding: Sendable, Hashable {
        /// Who has it.
        public var worker: String
        /// The attempt.
        public var taskID: TaskID
        /// The workflow and the step that its arguments name; empty if they name none.
        public var workflowID: WorkflowID
        public var step: String

        /// Makes a holding.
        public init(worker: String, taskID: TaskID, workflowID: WorkflowID, step: String) {
            self.worker = worker
            self.taskID = taskID
            self.workflowID = workflowID
            self.step = step
        }
    }

    /// What a queue holds.
    public enum Queue: Sendable, Hashable {
        /// There is no such queue, so nothing waits in it.
        case missing
        /// Messages that no worker has taken.
        case waiting(Int)
        /// Nobody knows.
        case unknown(String)
    }

    /// Everything that workers hold.
    public var held: [Holding]
    /// Workers that should have answered and did not.
    public var silent: [String]
    /// By name, as they were asked for.
    public var queues: [String?: Queue]
    /// Why nobody could be asked; nil if somebody could, or if there is nobody.
    public var trouble: String?

    /// Makes an answer.
    public init(
        held: [Holding] = [], silent: [String] = [], queues: [String?: Queue] = [:], trouble: String? = nil
    ) {
        self.held = held
        self.silent = silent
        self.queues = queues
        self.trouble = trouble
    }
}
