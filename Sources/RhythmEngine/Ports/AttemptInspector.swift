public import RhythmCore

/// A runner whose workers are elsewhere and can be asked what they hold, also of attempts that are none of ours.
public protocol AttemptInspector: TaskRunner {
    /// Asks all workers what they hold, and looks at queues.
    ///
    /// - Parameters:
    ///   - subjects: what is asked about.
    ///   - answer: called once, on any thread, within some ten seconds.
    func inspect(_ subjects: [WorkflowID: Inspection.Subject], answer: @escaping @Sendable (Inspection) -> Void)
}

/// What workers hold and what waits in queues.
public struct Inspection: Sendable {
    /// What the record of a workflow tells of where something of it may be.
    public struct Subject: Sendable, Hashable {
        /// Who has begun the last attempt that the record knows.
        public enum Begun: Sendable, Hashable {
            /// The record knows no attempt.
            case nothing
            case by(String)
            /// Some worker; nobody stored which.
            case bySomebody
        }

        /// Where messages of it may be, or come from; nil is the default queue.
        public var queues: Set<String?>
        /// Workers that were seen to have an attempt of it that may still run.
        public var workers: Set<String>
        /// Who has begun the last attempt.
        public var begun: Begun

        /// Makes a subject.
        public init(queues: Set<String?>, workers: Set<String> = [], begun: Begun) {
            self.queues = queues
            self.workers = workers
            self.begun = begun
        }
    }

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

    /// A worker that should have answered and did not, and may have something of a workflow.
    public struct Silent: Sendable, Hashable {
        /// Who does not answer, for people: `worker w1@host`.
        public var who: String
        /// It may be at an attempt that the record knows. If not, it can only have taken a message that has not begun.
        public var mayRun: Bool

        /// Makes one.
        public init(who: String, mayRun: Bool) {
            self.who = who
            self.mayRun = mayRun
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
    /// Whose silence leaves open what is with a workflow, by name; workflows that were not asked about are absent.
    public var silent: [WorkflowID: [Silent]]
    /// By name, as they were asked for.
    public var queues: [String?: Queue]
    /// Why nobody could be asked; nil if somebody could, or if there is nobody.
    public var trouble: String?

    /// Makes an answer.
    public init(
        held: [Holding] = [], silent: [WorkflowID: [Silent]] = [:], queues: [String?: Queue] = [:],
        trouble: String? = nil
    ) {
        self.held = held
        self.silent = silent
        self.queues = queues
        self.trouble = trouble
    }
}
