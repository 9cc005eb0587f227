import CRhythmProto
import RhythmCore

extension Workflow: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Workflow>) throws(FieldError) {
        let steps: [Step] = try list(c.pointee.n_steps, c.pointee.steps, "steps")
        let spec = WorkflowSpec(
            name: try text(c.pointee.name, "name"),
            appID: try text(c.pointee.app_id, "app_id"),
            description: try text(c.pointee.description, "description"),
            labels: try RhythmWire.labels(c.pointee.n_labels, c.pointee.labels),
            args: try jsonArray(c.pointee.args, "args"),
            kwargs: try jsonObject(c.pointee.kwargs, "kwargs"),
            steps: [])
        self.init(
            id: try workflowID(c.pointee.workflow_id), spec: spec,
            createdAt: Timestamp(microseconds: c.pointee.created_at),
            requestID: try text(c.pointee.request_id, "request_id"))
        self.steps = steps
        control = try Control(from: c)
        deletesWhenSettled = c.pointee.deleting != 0
        version = c.pointee.version
        updatedAt = Timestamp(microseconds: c.pointee.updated_at)
        startedAt = optionalTime(c.pointee.started_at)
        endedAt = optionalTime(c.pointee.ended_at)
        // The status is for clients without these rules; here it follows from the record.
        _ = try WorkflowStatus(wire: c.pointee.status, "status")
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Workflow> {
        let c = arena.make(rhythm__workflow__init)
        c.pointee.workflow_id = arena.text(id.rawValue)
        c.pointee.name = arena.text(name)
        c.pointee.app_id = arena.text(appID)
        c.pointee.description = arena.text(description)
        (c.pointee.n_labels, c.pointee.labels) = arena.labels(labels)
        c.pointee.args = arena.text(args.text)
        c.pointee.kwargs = arena.text(kwargs.text)
        (c.pointee.n_steps, c.pointee.steps) = arena.list(steps)
        c.pointee.status = status.wire
        c.pointee.steps_done = UInt32(clamping: pendingIndex)
        c.pointee.total_steps = UInt32(clamping: steps.count)
        c.pointee.version = version
        c.pointee.created_at = createdAt.microseconds
        c.pointee.updated_at = updatedAt.microseconds
        c.pointee.started_at = startedAt.wire
        c.pointee.ended_at = endedAt.wire
        control.write(to: c, in: arena)
        c.pointee.deleting = flag(deletesWhenSettled)
        c.pointee.request_id = arena.text(requestID)
        return c
    }
}

extension Control {
    fileprivate init(from c: UnsafeMutablePointer<Rhythm__Workflow>) throws(FieldError) {
        switch c.pointee.control {
        case RHYTHM__CONTROL__CONTROL_RUNNING: self = .running
        case RHYTHM__CONTROL__CONTROL_PAUSING: self = .pausing
        case RHYTHM__CONTROL__CONTROL_PAUSED: self = .paused
        case RHYTHM__CONTROL__CONTROL_CANCELLED: self = .cancelled
        case RHYTHM__CONTROL__CONTROL_RESUMING:
            let isGiven = c.pointee.optional_resume_from_case == RHYTHM__WORKFLOW__OPTIONAL_RESUME_FROM_RESUME_FROM
            self = .resuming(
                ResumePlan(
                    from: isGiven ? Int(c.pointee.resume_from) : nil,
                    args: try optionalJSON(c.pointee.resume_args, "resume_args")))
        default: throw .value("control", "one of the enum's values, not \(c.pointee.control.rawValue)")
        }
    }

    fileprivate func write(to c: UnsafeMutablePointer<Rhythm__Workflow>, in arena: Arena) {
        switch self {
        case .running: c.pointee.control = RHYTHM__CONTROL__CONTROL_RUNNING
        case .pausing: c.pointee.control = RHYTHM__CONTROL__CONTROL_PAUSING
        case .paused: c.pointee.control = RHYTHM__CONTROL__CONTROL_PAUSED
        case .cancelled: c.pointee.control = RHYTHM__CONTROL__CONTROL_CANCELLED
        case .resuming(let plan):
            c.pointee.control = RHYTHM__CONTROL__CONTROL_RESUMING
            if let from = plan.from {
                c.pointee.optional_resume_from_case = RHYTHM__WORKFLOW__OPTIONAL_RESUME_FROM_RESUME_FROM
                c.pointee.resume_from = UInt32(clamping: from)
            }
            c.pointee.resume_args = arena.text(plan.args?.text)
        }
    }
}

extension Step: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Step>) throws(FieldError) {
        self.init(
            spec: try required(c.pointee.spec, "spec"),
            attempts: try list(c.pointee.n_attempts, c.pointee.attempts, "attempts"))
        _ = try TaskStatus(wire: c.pointee.status, "status")
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Step> {
        let c = arena.make(rhythm__step__init)
        c.pointee.spec = spec.write(in: arena)
        c.pointee.status = status.wire
        (c.pointee.n_attempts, c.pointee.attempts) = arena.list(attempts)
        return c
    }
}
