public import RhythmCore
import RhythmWire

/// What a start made.
public struct StartResult: Sendable, Hashable {
    /// The record as it was accepted.
    public var workflow: Workflow
    /// It had been started before by this request id.
    public var replayed: Bool
}

/// What a pause, a resume or a cancel did.
public struct CommandResult: Sendable, Hashable {
    /// What the server says.
    public var receipt: Receipt
    /// It is the answer that an earlier call with this request id got.
    public var replayed: Bool
}

/// What a delete did.
public enum DeleteOutcome: String, Sendable, Hashable, CaseIterable {
    case deleted
    /// It will be deleted as soon as nothing of it runs.
    case pending
}

extension RhythmClient {
    /// Starts a workflow. It is durable when this returns.
    ///
    /// Checked here before anything is sent. Repeated by itself when the connection is lost: the request id, one that
    /// is made for the purpose if none is given, lets the server tell a repetition from a second workflow.
    public func start(
        _ spec: WorkflowSpec, requestID: String? = nil, timeout: Duration? = nil
    ) async throws(RhythmError) -> StartResult {
        try spec.validate()
        let request = StartWorkflow(spec: spec, requestID: requestID ?? RequestID.random())
        guard case .startWorkflow(let reply) = try await call(.startWorkflow(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return StartResult(workflow: reply.workflow, replayed: reply.replayed)
    }

    /// Holds a workflow. After this nothing new is dispatched; see the receipt for what still runs.
    ///
    /// With a request id it is repeated by itself when the connection is lost, and takes effect once.
    /// - Parameters:
    ///   - force: an attempt that was told to stop at least ten seconds ago and has not is waited for no longer; it may
    ///     still run.
    ///   - expectedVersion: only if the workflow has this version; nil for any.
    public func pause(
        _ id: WorkflowID, mode: PauseMode = .now, force: Bool = false, requestID: String? = nil,
        expectedVersion: Int64? = nil, timeout: Duration? = nil
    ) async throws(RhythmError) -> CommandResult {
        let request = PauseWorkflow(
            workflowID: id, mode: mode, requestID: requestID ?? "", expectedVersion: expectedVersion, force: force)
        guard case .pauseWorkflow(let reply) = try await call(.pauseWorkflow(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return CommandResult(reply)
    }

    /// Lets a workflow go on with its pending step, or from `fromStep`.
    /// - Parameters:
    ///   - args: a JSON array; nil for the arguments the step had.
    ///   - force: also if it is running: the running attempt is stopped and run again. One that was told to stop at least
    ///     ten seconds ago and has not is waited for no longer; it may still run.
    public func resume(
        _ id: WorkflowID, args: JSON? = nil, fromStep: String? = nil, force: Bool = false, requestID: String? = nil,
        expectedVersion: Int64? = nil, timeout: Duration? = nil
    ) async throws(RhythmError) -> CommandResult {
        if let args { try WorkflowSpec.check(args: args, field: "args") }
        let request = ResumeWorkflow(
            workflowID: id, requestID: requestID ?? "", expectedVersion: expectedVersion, args: args,
            fromStep: fromStep, force: force)
        guard case .resumeWorkflow(let reply) = try await call(.resumeWorkflow(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return CommandResult(reply)
    }

    /// Holds a workflow for good.
    /// - Parameter force: as with a pause.
    public func cancel(
        _ id: WorkflowID, force: Bool = false, requestID: String? = nil, expectedVersion: Int64? = nil,
        timeout: Duration? = nil
    ) async throws(RhythmError) -> CommandResult {
        let request = CancelWorkflow(
            workflowID: id, requestID: requestID ?? "", expectedVersion: expectedVersion, force: force)
        guard case .cancelWorkflow(let reply) = try await call(.cancelWorkflow(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return CommandResult(reply)
    }

    /// Deletes a workflow with its attempts and logs. Never repeated by itself.
    /// - Parameters:
    ///   - cancelFirst: cancel it if it is active; else deleting an active one is refused.
    ///   - force: delete it at once, even if something of it may still run: what has begun may go on unseen, what has not
    ///     never begins.
    public func delete(
        _ id: WorkflowID, cancelFirst: Bool = false, force: Bool = false, timeout: Duration? = nil
    ) async throws(RhythmError) -> DeleteOutcome {
        let request = DeleteWorkflow(workflowID: id, cancelFirst: cancelFirst, force: force)
        guard case .deleteWorkflow(let reply) = try await call(.deleteWorkflow(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return switch reply {
        case .deleted: .deleted
        case .pending: .pending
        }
    }

    /// Takes over workflows of the original library that got stuck, so that they go on; those that still move are left
    /// alone. Repeating it does no harm. May take some ten seconds, as the workers are asked what they hold.
    public func adopt(_ request: AdoptionRequest, timeout: Duration? = nil) async throws(RhythmError) -> AdoptionReply {
        if let args = request.args { try WorkflowSpec.check(args: args, field: "args") }
        guard case .adoptWorkflows(let reply) = try await call(.adoptWorkflows(request), timeout: timeout) else {
            throw Self.unexpected
        }
        return reply
    }

    /// The server answered something else than it was asked.
    static var unexpected: RhythmError { ClientError.badAnswer("the answer to another question", effect: .unknown) }
}

extension CommandResult {
    init(_ reply: CommandReply) { self.init(receipt: reply.receipt, replayed: reply.replayed) }
}
