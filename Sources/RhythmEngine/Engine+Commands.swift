import RhythmCore

extension Engine {
    func apply(_ command: Command, _ scope: AppScope, _ reply: @escaping ReplyHandler, _ cycle: inout Cycle) {
        var workflow = command.workflow
        let result: Result<Reply, RhythmError>
        do throws(RhythmError) {
            switch command {
            case .start(let spec, let requestID):
                let reply = try start(spec, requestID, scope, &cycle)
                if case .started(let started, _) = reply { workflow = started.id }
                result = .success(reply)
            case .pause(let id, let mode, let options):
                result = .success(
                    try change(id, .pause, options, scope, &cycle) { workflow, transition throws(RhythmError) in
                        workflow.pause(mode, force: options.force, in: &transition)
                    })
            case .resume(let id, let request, let options):
                result = .success(
                    try change(id, .resume, options, scope, &cycle) { workflow, transition throws(RhythmError) in
                        try workflow.resume(
                            args: request.args, from: request.fromStep, force: request.force, in: &transition)
                    })
            case .cancel(let id, let options):
                result = .success(
                    try change(id, .cancel, options, scope, &cycle) { workflow, transition throws(RhythmError) in
                        workflow.cancel(force: options.force, in: &transition)
                    })
            case .delete(let id, let cancelFirst, let force):
                var (workflow, transition) = try open(id, scope, &cycle)
                let gone = try workflow.requestDeletion(cancelFirst: cancelFirst, force: force, in: &transition)
                cycle.absorb(transition, of: workflow, forced: true)
                result = .success(.deleted(gone))
            }
        } catch {
            result = .failure(error)
        }
        cycle.replies.append(.init(command: command, workflow: workflow, scope: scope, reply: reply, result: result))
    }

    private func start(
        _ spec: WorkflowSpec, _ requestID: String, _ scope: AppScope, _ cycle: inout Cycle
    ) throws(RhythmError) -> Reply {
        try spec.validate()
        if !requestID.isEmpty, let earlier = try workflow(forRequest: requestID, &cycle) {
            var asked = earlier.spec
            if spec.id == nil { asked.id = nil }
            guard asked == spec else {
                // Request ids are shared by all applications; of a foreign one no more is told than that.
                let what = scope.contains(earlier.appID) ? "workflow \(earlier.id)" : "a workflow"
                throw RhythmError(
                    .alreadyExists, reason: "REQUEST_ID_REUSED",
                    "request id '\(requestID)' started \(what) with another body; use a new request id",
                    field: "request_id")
            }
            return .started(earlier, replayed: true)
        }
        if let id = spec.id, try find(id, &cycle) != nil || store.isTaken(id) {
            throw RhythmError(
                .alreadyExists, reason: "ID_IN_USE", "there is a workflow '\(id)' already; choose another id",
                field: "id")
        }
        var transition = newTransition(cycle)
        let workflow = Workflow.start(
            id: spec.id ?? WorkflowID(makeID()), spec: spec, requestID: requestID, in: &transition)
        cycle.absorb(transition, of: workflow, isNew: true)
        if !requestID.isEmpty { cycle.startedRequests[requestID] = workflow.id }
        return .started(workflow, replayed: false)
    }

    private func change(
        _ id: WorkflowID, _ kind: Receipt.Command, _ options: CommandOptions, _ scope: AppScope, _ cycle: inout Cycle,
        _ command: (inout Workflow, inout Transition) throws(RhythmError) -> Receipt
    ) throws(RhythmError) -> Reply {
        var (workflow, transition) = try open(id, scope, &cycle)
        if !options.requestID.isEmpty, let earlier = workflow.requests.first(where: { $0.id == options.requestID }) {
            guard earlier.receipt.command == kind else {
                throw RhythmError(
                    .alreadyExists, reason: "REQUEST_ID_REUSED",
                    "request id '\(options.requestID)' was that of a \(earlier.receipt.command.rawValue); use a new one",
                    field: "request_id")
            }
            return .receipt(earlier.receipt, replayed: true)
        }
        if let expected = options.expectedVersion, expected != workflow.version {
            throw RhythmError(
                .aborted, reason: "VERSION_MISMATCH",
                "workflow \(id) has version \(workflow.version), not \(expected); look again", field: "expected_version"
            )
        }
        let receipt = try command(&workflow, &transition)
        let remembers = !options.requestID.isEmpty && receipt.accepted
        if remembers {
            workflow.requests.append(AppliedRequest(id: options.requestID, receipt: receipt))
            workflow.requests.removeFirst(max(0, workflow.requests.count - AppliedRequest.kept))
        }
        if remembers || !transition.isEmpty { cycle.absorb(transition, of: workflow, forced: remembers) }
        return .receipt(receipt, replayed: false)
    }

    private func open(
        _ id: WorkflowID, _ scope: AppScope, _ cycle: inout Cycle
    ) throws(RhythmError) -> (Workflow, Transition) {
        // What an earlier command of this cycle deletes is gone for the later ones. What is out of scope is not there:
        // the error tells no difference.
        guard let workflow = try find(id, &cycle), scope.contains(workflow.appID), !cycle.deletes(workflow) else {
            throw RhythmError(
                .notFound, reason: "NO_SUCH_WORKFLOW", "there is no workflow '\(id)'", field: "workflow_id")
        }
        return (workflow, newTransition(cycle))
    }

    /// What this server has in memory; nil if it has to be read.
    func known(_ id: WorkflowID, _ cycle: Cycle) -> Workflow? {
        cycle.works[id]?.workflow ?? (doubtful[id] == nil ? active[id] : nil)
    }

    /// The workflow as a command has to see it: as it is in this cycle, in memory, or in the store. What other servers
    /// may change is read anew, so that no answer rests on what was true a moment ago.
    func find(_ id: WorkflowID, _ cycle: inout Cycle) throws(RhythmError) -> Workflow? {
        if let work = cycle.works[id] { return work.workflow }
        if doubtful[id] != nil {
            throw RhythmError(
                storeTrouble ?? StoreError(.unavailable, "workflow \(id) has yet to be read again after a failure"))
        }
        let known = active[id]
        if let known, shared == nil { return known }
        if isHeldOff { throw RhythmError(awayError) }
        do throws(StoreError) {
            let stored = try store.load(id)
            storeReads()
            guard let shared else { return stored }
            if let known {
                // The same version, but with what was reported since it was stored.
                if known.version == stored?.version, shared.isWriter(of: id) { return known }
                try replace(known, by: stored)
            }
            if stored != nil { cycle.readAnew.insert(id) }
            return stored
        } catch {
            if !error.concernsOneRecord { storeFailed(error, reading: true) }
            throw RhythmError(error)
        }
    }

    private func workflow(forRequest requestID: String, _ cycle: inout Cycle) throws(RhythmError) -> Workflow? {
        if let id = cycle.startedRequests[requestID] { return try find(id, &cycle) }
        let id: WorkflowID?
        if isHeldOff { throw RhythmError(awayError) }
        do throws(StoreError) {
            id = try store.workflow(forRequest: requestID)
        } catch {
            storeFailed(error, reading: true)
            throw RhythmError(error)
        }
        guard let id else { return nil }
        return try find(id, &cycle)
    }

    func newTransition(_ cycle: Cycle, mayLeave: Bool = true) -> Transition {
        let makeID = makeID
        return Transition(now: cycle.now, keepsFromRunners: mayLeave && leavesAttempts) { TaskID(makeID()) }
    }
}
