public import RhythmCore

/// What runs attempts: the engine's second port.
///
/// The engine says what is to be done only after it is stored, and says it again after a crash; so everything here is
/// idempotent by task id. The runner reports what happens to each attempt, as soon as it knows, as often as it likes,
/// from any thread; the core sorts out duplicates and late comers. What a runner must keep:
///
/// - Every dispatched attempt is reported to have ended some day (`succeeded`, `failed` or `revoked`), unless the
///   runner is stopped before; until ``Effect/settle(_:)`` comes back the end is reported again after a restart.
/// - An attempt that was dispatched twice, by the same engine or by the next, runs once. One whose end is known is
///   not run again: its end is reported again. (A runner whose attempts die with the process, such as closures, runs
///   it anew after a restart: nothing of the old one is left.)
/// - `failed` and `revoked` are reported only when nothing of the attempt runs any more; that is what keeps two
///   attempts of a step from running at once.
/// - A revoke that comes before the dispatch, or for an id the runner has never seen, is answered with `revoked`, and
///   that id never runs.
/// - A revoke may lose against a success; then `succeeded` is reported.
/// - Within a queue the higher priority goes first, and among equals the one dispatched first.
///
/// None of the functions may block: they are called on the engine's lane.
public protocol TaskRunner: AnyObject, Sendable {
    /// Begins: called once, before anything else.
    ///
    /// - Parameters:
    ///   - outstanding: what the engine's records say is to be done now: a dispatch for every live attempt, a revoke
    ///     for every one that is to stop. Anything else that the runner still holds from earlier is of no use to
    ///     anybody: it is to be ended and forgotten.
    ///   - report: takes reports; safe to call from any thread, also from within this function.
    func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void)

    /// Called once, before ``start(outstanding:report:)``: from then on the runner asks before it begins an attempt, and
    /// waits and asks again while the answer is no. Then it is not known whether the attempt is still this server's to
    /// run. Attempts that run go on.
    ///
    /// - Parameter mayBegin: nil means no. Else a number that grows each time the answer changes from no to yes, from 0
    ///   on. What became of attempts meanwhile was told to ``perform(_:)`` before: a runner that sees a new number takes
    ///   that in first. Any thread; never waits.
    func ask(_ mayBegin: @escaping @Sendable () -> Int?)

    /// Called once, before ``start(outstanding:report:)``: what the runner dates itself, it dates by this clock. The
    /// machine's may be set at any time, or differ from those of other servers.
    ///
    /// - Parameter now: any thread; never waits.
    func keepTime(_ now: @escaping @Sendable () -> Timestamp)

    /// Does what a commit made necessary.
    func perform(_ effects: [Effect])

    /// Deletes what is kept of these attempts (logs). They are settled.
    func purge(_ tasks: [TaskID])

    /// Reports nothing from now on. Attempts that outlive the process go on; they are found again by the next start.
    func stop()

    /// After a stop: waits for what is still to be tidied up, for some time at most. What is not done by then does no
    /// harm.
    func finish(within patience: Duration) async

    /// Where the logs of attempts are; nil if this runner keeps none.
    var logs: (any LogSource)? { get }

    /// Why it can begin no attempts for now, a sentence without its full stop; nil if it can, as far as it knows. Any
    /// thread; never waits.
    var trouble: String? { get }

    /// Looks at what it runs attempts with, and says what is not as it should be.
    ///
    /// - Parameters:
    ///   - needs: what the workflows that are not done ask of it.
    ///   - answer: called once, from any thread, within a few seconds whatever is broken. Findings never hold
    ///     credentials. Not called if the runner is stopped.
    func examine(_ needs: [TaskNeed], answer: @escaping @Sendable ([Finding]) -> Void)
}

extension TaskRunner {
    /// Nobody else could run its attempts.
    public func ask(_ mayBegin: @escaping @Sendable () -> Int?) {}

    /// It dates nothing itself.
    public func keepTime(_ now: @escaping @Sendable () -> Timestamp) {}

    /// Nothing is in its way.
    public var trouble: String? { nil }

    /// Nothing is left to do.
    public func finish(within patience: Duration) async {}

    /// There is nothing to say.
    public func examine(_ needs: [TaskNeed], answer: @escaping @Sendable ([Finding]) -> Void) { answer([]) }
}

/// What a runner saw of one attempt.
public struct Report: Sendable, Hashable {
    /// The workflow of the attempt, as its dispatch named it.
    public var workflowID: WorkflowID
    /// The attempt.
    public var taskID: TaskID
    /// What was seen.
    public var observation: Observation

    /// Makes a report.
    public init(workflowID: WorkflowID, taskID: TaskID, _ observation: Observation) {
        self.workflowID = workflowID
        self.taskID = taskID
        self.observation = observation
    }
}

/// Reads what attempts wrote to their standard output and error. Any thread; may block on a disk.
public protocol LogSource: Sendable {
    /// Bytes of an attempt's log.
    ///
    /// - Parameters:
    ///   - offset: where to begin, in bytes since the attempt began; a negative one counts from the end. What was
    ///     rotated away is skipped.
    ///   - limit: how many bytes at most.
    /// - Returns: nil if nothing is known of this attempt's log.
    func readLog(of task: TaskID, from offset: Int64, limit: Int) -> LogChunk?
}

/// A piece of an attempt's log.
public struct LogChunk: Sendable, Hashable {
    /// The offset of its first byte. Larger than what was asked for if older bytes were rotated away.
    public var offset: Int64
    /// The bytes, as the task wrote them.
    public var bytes: [UInt8]
    /// The offset behind the last byte written so far.
    public var end: Int64
    /// Nothing more will be written.
    public var isComplete: Bool

    /// Makes a piece.
    public init(offset: Int64, bytes: [UInt8], end: Int64, isComplete: Bool) {
        self.offset = offset
        self.bytes = bytes
        self.end = end
        self.isComplete = isComplete
    }
}
