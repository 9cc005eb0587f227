/// An attempt in the answer to a command.
public struct AttemptSummary: Sendable, Hashable {
    /// The attempt.
    public var taskID: TaskID
    /// The task it runs.
    public var task: String
    /// The name of its step.
    public var step: String

    /// Makes a summary.
    public init(taskID: TaskID, task: String, step: String) {
        self.taskID = taskID
        self.task = task
        self.step = step
    }
}

/// Whether a pause lets the running step finish.
public enum PauseMode: String, Sendable, Hashable, CaseIterable {
    /// The running attempt is revoked; resume restarts it.
    case now
    /// The running step finishes; the next one is held.
    case afterStep = "after_step"
}

/// What a command did. It tells what is true now, not what was hoped for.
public struct Receipt: Sendable, Hashable {
    /// Which command it answers.
    public enum Command: String, Sendable, Hashable, CaseIterable {
        case pause, resume, cancel
    }

    /// Which command it answers.
    public var command: Command
    /// Whether the workflow is now in the state that was asked for: paused (or about to be, after the running step),
    /// resumed, cancelled.
    public var accepted: Bool
    /// Whether that was so before; then nothing changed.
    public var already: Bool
    /// Why it was refused: a stable upper-case word; empty if it was not.
    public var reason: String
    /// The same for people; of one that was accepted, what has to be known about it.
    public var message: String
    /// The attempt that was asked to stop.
    public var revokedStep: AttemptSummary?
    /// The step that runs, or will run, again. Its task id is empty while the attempt it replaces is being stopped.
    public var restartedStep: AttemptSummary?
    /// Whether nothing of the workflow runs any more.
    public var quiesced: Bool
    /// The status after the command.
    public var status: WorkflowStatus
    /// The version after the command.
    public var version: Int64

    /// Makes a receipt.
    public init(
        command: Command, accepted: Bool, already: Bool = false, reason: String = "", message: String = "",
        revokedStep: AttemptSummary? = nil, restartedStep: AttemptSummary? = nil, quiesced: Bool,
        status: WorkflowStatus, version: Int64
    ) {
        self.command = command
        self.accepted = accepted
        self.already = already
        self.reason = reason
        self.message = message
        self.revokedStep = revokedStep
        self.restartedStep = restartedStep
        self.quiesced = quiesced
        self.status = status
        self.version = version
    }
}

/// A command that came with a request id, and its answer, so that repeating it changes nothing (invariant I8).
public struct AppliedRequest: Sendable, Hashable {
    /// The id the client chose.
    public var id: String
    /// What it was told.
    public var receipt: Receipt

    /// How many of them a workflow keeps.
    public static let kept = 16

    /// Makes an entry.
    public init(id: String, receipt: Receipt) {
        self.id = id
        self.receipt = receipt
    }
}
