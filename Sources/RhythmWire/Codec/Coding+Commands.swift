import CRhythmProto
import RhythmCore

extension StartWorkflow: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__StartWorkflow>) throws(FieldError) {
        self.init(
            // Paths begin inside the spec, as those of `WorkflowSpec.validate()` do.
            spec: try required(c.pointee.spec, "spec", path: ""),
            requestID: try text(c.pointee.request_id, "request_id"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__StartWorkflow> {
        let c = arena.make(rhythm__start_workflow__init)
        c.pointee.spec = spec.write(in: arena)
        c.pointee.request_id = arena.text(requestID)
        return c
    }
}

extension StartReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__StartReply>) throws(FieldError) {
        self.init(workflow: try required(c.pointee.workflow, "workflow"), replayed: c.pointee.replayed != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__StartReply> {
        let c = arena.make(rhythm__start_reply__init)
        c.pointee.workflow = workflow.write(in: arena)
        c.pointee.replayed = flag(replayed)
        return c
    }
}

extension PauseWorkflow: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__PauseWorkflow>) throws(FieldError) {
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id),
            mode: try PauseMode(wire: c.pointee.mode, "mode"),
            requestID: try text(c.pointee.request_id, "request_id"),
            expectedVersion: try optionalVersion(c.pointee.expected_version, "expected_version"),
            force: c.pointee.force != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__PauseWorkflow> {
        let c = arena.make(rhythm__pause_workflow__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.mode = mode.wire
        c.pointee.request_id = arena.text(requestID)
        c.pointee.expected_version = expectedVersion ?? 0
        c.pointee.force = flag(force)
        return c
    }
}

extension ResumeWorkflow: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ResumeWorkflow>) throws(FieldError) {
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id),
            requestID: try text(c.pointee.request_id, "request_id"),
            expectedVersion: try optionalVersion(c.pointee.expected_version, "expected_version"),
            args: try optionalJSON(c.pointee.args, "args"),
            fromStep: try optionalText(c.pointee.from_step, "from_step"), force: c.pointee.force != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ResumeWorkflow> {
        let c = arena.make(rhythm__resume_workflow__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.request_id = arena.text(requestID)
        c.pointee.expected_version = expectedVersion ?? 0
        c.pointee.args = arena.text(args?.text)
        c.pointee.from_step = arena.text(fromStep)
        c.pointee.force = flag(force)
        return c
    }
}

extension CancelWorkflow: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__CancelWorkflow>) throws(FieldError) {
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id),
            requestID: try text(c.pointee.request_id, "request_id"),
            expectedVersion: try optionalVersion(c.pointee.expected_version, "expected_version"),
            force: c.pointee.force != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__CancelWorkflow> {
        let c = arena.make(rhythm__cancel_workflow__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.request_id = arena.text(requestID)
        c.pointee.expected_version = expectedVersion ?? 0
        c.pointee.force = flag(force)
        return c
    }
}

extension CommandReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__CommandReply>) throws(FieldError) {
        self.init(
            receipt: Receipt(
                command: try Receipt.Command(wire: c.pointee.command, "command"), accepted: c.pointee.accepted != 0,
                already: c.pointee.already != 0, reason: try text(c.pointee.reason, "reason"),
                message: try text(c.pointee.message, "message"),
                revokedStep: try nested(c.pointee.revoked_step, "revoked_step"),
                restartedStep: try nested(c.pointee.restarted_step, "restarted_step"),
                quiesced: c.pointee.quiesced != 0, status: try WorkflowStatus(wire: c.pointee.status, "status"),
                version: c.pointee.version),
            replayed: c.pointee.replayed != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__CommandReply> {
        let c = arena.make(rhythm__command_reply__init)
        c.pointee.command = receipt.command.wire
        c.pointee.accepted = flag(receipt.accepted)
        c.pointee.already = flag(receipt.already)
        c.pointee.reason = arena.text(receipt.reason)
        c.pointee.message = arena.text(receipt.message)
        c.pointee.revoked_step = receipt.revokedStep?.write(in: arena)
        c.pointee.restarted_step = receipt.restartedStep?.write(in: arena)
        c.pointee.quiesced = flag(receipt.quiesced)
        c.pointee.status = receipt.status.wire
        c.pointee.version = receipt.version
        c.pointee.replayed = flag(replayed)
        return c
    }
}

extension AttemptSummary: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__AttemptSummary>) throws(FieldError) {
        self.init(
            taskID: TaskID(try text(c.pointee.task_id, "task_id")), task: try text(c.pointee.task, "task"),
            step: try text(c.pointee.step, "step"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__AttemptSummary> {
        let c = arena.make(rhythm__attempt_summary__init)
        c.pointee.task_id = arena.text(taskID.rawValue)
        c.pointee.task = arena.text(task)
        c.pointee.step = arena.text(step)
        return c
    }
}

extension DeleteWorkflow: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__DeleteWorkflow>) throws(FieldError) {
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id), cancelFirst: c.pointee.cancel_first != 0,
            force: c.pointee.force != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__DeleteWorkflow> {
        let c = arena.make(rhythm__delete_workflow__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.cancel_first = flag(cancelFirst)
        c.pointee.force = flag(force)
        return c
    }
}

extension DeleteReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__DeleteReply>) throws(FieldError) {
        self = try DeleteReply(wire: c.pointee.outcome, "outcome")
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__DeleteReply> {
        let c = arena.make(rhythm__delete_reply__init)
        c.pointee.outcome = wire
        return c
    }
}
