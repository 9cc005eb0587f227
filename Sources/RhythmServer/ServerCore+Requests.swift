import RhythmAuth
import RhythmCore
import RhythmEngine
import RhythmWire

/// From a request to its answer. Reads of active workflows are answered in place; what has to be durable goes to the
/// engine; what may block on a disk goes to the readers.
extension ServerCore {
    /// Whatever the table does not allow ends here; the rest finds what its scope allows.
    func handle(_ request: Request, of caller: Caller, call: Call, timeoutMilliseconds: UInt32) {
        switch AuthorizationTable.decide(request.name, appID: request.appID, for: caller) {
        case .refused(let error): call.connection.fail(call, error)
        case .allowed(let scope):
            call.scope = scope
            onBehalf(of: call) { carryOut(request, call: call, timeoutMilliseconds: timeoutMilliseconds) }
        }
    }

    private func carryOut(_ request: Request, call: Call, timeoutMilliseconds: UInt32) {
        // Most reads are answered at once and need no timer.
        defer { if !call.isEnded { setDeadline(of: call, request, timeoutMilliseconds) } }
        switch request {
        case .startWorkflow(let start):
            command(.start(start.spec, requestID: start.requestID), call) { reply in
                guard case .started(let workflow, let replayed) = reply else { return nil }
                return .startWorkflow(StartReply(workflow: workflow, replayed: replayed))
            }
        case .pauseWorkflow(let pause):
            let options = CommandOptions(
                requestID: pause.requestID, expectedVersion: pause.expectedVersion, force: pause.force)
            command(.pause(pause.workflowID, pause.mode, options), call) { Self.receipt($0).map { .pauseWorkflow($0) } }
        case .resumeWorkflow(let resume):
            let options = CommandOptions(requestID: resume.requestID, expectedVersion: resume.expectedVersion)
            let how = ResumeRequest(args: resume.args, fromStep: resume.fromStep, force: resume.force)
            command(.resume(resume.workflowID, how, options), call) { Self.receipt($0).map { .resumeWorkflow($0) } }
        case .cancelWorkflow(let cancel):
            let options = CommandOptions(
                requestID: cancel.requestID, expectedVersion: cancel.expectedVersion, force: cancel.force)
            command(.cancel(cancel.workflowID, options), call) { Self.receipt($0).map { .cancelWorkflow($0) } }
        case .deleteWorkflow(let delete):
            command(.delete(delete.workflowID, cancelFirst: delete.cancelFirst, force: delete.force), call) { reply in
                guard case .deleted(let gone) = reply else { return nil }
                return .deleteWorkflow(gone ? .deleted : .pending)
            }
        case .getStatus(let get): getStatus(get, call)
        case .listWorkflows(let list): listWorkflows(list, call)
        case .resolveID(let resolve): resolveID(resolve, call)
        case .watchProgress(let watch):
            if let stale { call.connection.fail(call, stale) } else { hub.open(watch, call: call) }
        case .tailLog(let tail): tailLog(tail, call)
        case .getServerInfo: call.connection.reply(call, .getServerInfo(info))
        case .diagnose: diagnose(call)
        case .getConnections: call.connection.reply(call, .getConnections(connectionList))
        case .getStats: call.connection.reply(call, .getStats(stats))
        case .listServers: listServers(call)
        case .drainServer(let undo): drainServer(undo: undo, call)
        case .adoptWorkflows(let request): adopt(request, call)
        }
    }

    private static func receipt(_ reply: RhythmEngine.Reply) -> CommandReply? {
        guard case .receipt(let receipt, let replayed) = reply else { return nil }
        return CommandReply(receipt: receipt, replayed: replayed)
    }

    /// The end of the deadline ends the waiting; what was begun goes on.
    private func setDeadline(of call: Call, _ request: Request, _ milliseconds: UInt32) {
        let limit: Duration
        if milliseconds > 0 {
            limit = .milliseconds(Int64(milliseconds))
        } else if request.isStream {
            return
        } else {
            limit = configuration.defaultTimeout
        }
        call.deadline = timers.schedule(after: limit) {
            if let answer = call.whenOverdue { return answer() }
            call.connection.fail(
                call,
                RhythmError(
                    .deadlineExceeded, reason: "DEADLINE", "the call was not answered within \(limit)",
                    effect: .unknown))
        }
    }

    private func command(
        _ command: Command, _ call: Call, _ answer: @escaping (RhythmEngine.Reply) -> RhythmWire.Reply?
    ) {
        submit(command, within: call.scope) { result in
            switch result {
            case .success(let reply):
                if let reply = answer(reply) {
                    call.connection.reply(call, reply)
                } else {
                    call.connection.fail(
                        call,
                        RhythmError(
                            .internal, reason: "WRONG_REPLY", "the engine answered something else",
                            effect: .unknown))
                }
            case .failure(let error): call.connection.fail(call, error)
            }
        }
    }

    private func adopt(_ request: AdoptionRequest, _ call: Call) {
        guard !request.ids.isEmpty || request.filter != nil else {
            call.connection.fail(
                call,
                RhythmError(
                    .invalidArgument, reason: "IDS_OR_FILTER", "name workflows to adopt, or give a filter",
                    field: "workflow_ids"))
            return
        }
        guard request.ids.count <= ListQuery.maximumLimit else {
            call.connection.fail(
                call,
                RhythmError(
                    .invalidArgument, reason: "TOO_MANY",
                    "\(request.ids.count) workflows; one call may name \(ListQuery.maximumLimit)",
                    field: "workflow_ids"))
            return
        }
        adopt(request, within: call.scope) { result in
            switch result {
            case .success(let reply): call.connection.reply(call, .adoptWorkflows(reply))
            case .failure(let error): call.connection.fail(call, error)
            }
        }
    }

    private func listWorkflows(_ list: ListWorkflows, _ call: Call) {
        guard (1...ListQuery.maximumLimit).contains(list.query.limit) else {
            call.connection.fail(
                call,
                RhythmError(
                    .invalidArgument, reason: "OUT_OF_RANGE",
                    "\(list.query.limit) is not between 1 and \(ListQuery.maximumLimit)", field: "limit"))
            return
        }
        let (reader, scope) = (engine.reader, call.scope)
        read { () throws(StoreError) in
            .list(
                try reader.list(list.query, within: scope),
                list.withCounts ? try reader.counts(list.query.filter, within: scope) : nil)
        } then: { result in
            switch result {
            case .list(let page, let counts):
                call.connection.reply(call, .listWorkflows(ListReply(page: page, counts: counts)))
            case .failed(let error): call.connection.fail(call, error)
            default: break
            }
        }
    }

    private func resolveID(_ resolve: ResolveID, _ call: Call) {
        let (reader, scope) = (engine.reader, call.scope)
        let limit = min(max(1, resolve.limit), ListQuery.maximumLimit)
        read { () throws(StoreError) in
            .ids(try reader.ids(withPrefix: resolve.prefix, within: scope, limit: limit))
        } then: { result in
            switch result {
            case .ids(let ids): call.connection.reply(call, .resolveID(ResolveReply(workflowIDs: ids)))
            case .failed(let error): call.connection.fail(call, error)
            default: break
            }
        }
    }

    private func tailLog(_ tail: TailLog, _ call: Call) {
        guard let logs = engine.logs else {
            call.connection.fail(
                call, RhythmError(.unimplemented, reason: "NO_LOGS", "the runner of this server keeps no logs"))
            return
        }
        find(tail.workflowID, within: call.scope) { [unowned self] result in
            guard !call.isEnded else { return }
            switch result {
            case .success(let workflow):
                do throws(RhythmError) {
                    let attempt = try workflow.attempt(for: tail)
                    LogTail(tail, attempt: attempt, logs: logs, call: call, server: self).begin()
                } catch {
                    call.connection.fail(call, error)
                }
            case .failure(let error): call.connection.fail(call, error)
            }
        }
    }
}

extension Workflow {
    /// The attempt whose log is asked for.
    fileprivate func attempt(for tail: TailLog) throws(RhythmError) -> TaskID {
        if let task = tail.taskID {
            guard position(of: task) != nil else {
                throw RhythmError(
                    .notFound, reason: "NO_SUCH_ATTEMPT", "workflow \(id) has no attempt '\(task)'", field: "task_id")
            }
            return task
        }
        let index: Int
        if let name = tail.step {
            guard let found = steps.firstIndex(where: { $0.spec.name == name }) else {
                throw RhythmError(
                    .notFound, reason: "NO_SUCH_STEP",
                    "workflow \(id) has no step '\(name)'; it has "
                        + steps.map { "'\($0.spec.name)'" }.joined(separator: ", "), field: "step")
            }
            index = found
        } else {
            // The step people mean: the one that runs, else the last one that ran.
            index = steps.lastIndex { !$0.attempts.isEmpty } ?? 0
        }
        guard let last = steps[index].attempts.last else {
            throw RhythmError(
                .failedPrecondition, reason: "NOT_RUN_YET", "step '\(steps[index].spec.name)' has not run yet",
                field: "step")
        }
        return last.id
    }
}
