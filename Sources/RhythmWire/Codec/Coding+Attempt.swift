import CRhythmProto
import RhythmCore

extension Attempt: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Attempt>) throws(FieldError) {
        self.init(
            restoring: TaskID(try requiredText(c.pointee.task_id, "task_id")), number: Int(c.pointee.number),
            retry: Int(c.pointee.retry), args: try jsonArray(c.pointee.args, "args"),
            kwargs: try jsonObject(c.pointee.kwargs, "kwargs"),
            createdAt: Timestamp(microseconds: c.pointee.created_at))
        status = try TaskStatus(wire: c.pointee.status, "status")
        notBefore = optionalTime(c.pointee.not_before)
        dispatchedAt = optionalTime(c.pointee.dispatched_at)
        startedAt = optionalTime(c.pointee.date_start)
        endedAt = optionalTime(c.pointee.date_done)
        result = try optionalJSON(c.pointee.result, "result")
        failure = try nested(c.pointee.failure, "failure")
        worker = try optionalText(c.pointee.worker, "worker")
        queue = try optionalText(c.pointee.queue, "queue")
        retries = Int(c.pointee.retries)
        progress = try nested(c.pointee.progress, "progress")
        revocation = try nested(c.pointee.revocation, "revocation")
        superseded = c.pointee.superseded != 0
        lateReport = try nested(c.pointee.late_report, "late_report")
        queuedAt = optionalTime(c.pointee.queued_at)
        waiting = try optionalText(c.pointee.waiting, "waiting")
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Attempt> {
        let c = arena.make(rhythm__attempt__init)
        c.pointee.task_id = arena.text(id.rawValue)
        c.pointee.number = UInt32(clamping: number)
        c.pointee.retry = UInt32(clamping: retry)
        c.pointee.status = status.wire
        c.pointee.args = arena.text(args.text)
        c.pointee.kwargs = arena.text(kwargs.text)
        c.pointee.created_at = createdAt.microseconds
        c.pointee.not_before = notBefore.wire
        c.pointee.dispatched_at = dispatchedAt.wire
        c.pointee.date_start = startedAt.wire
        c.pointee.date_done = endedAt.wire
        c.pointee.result = arena.text(result?.text)
        c.pointee.failure = failure?.write(in: arena)
        c.pointee.worker = arena.text(worker)
        c.pointee.queue = arena.text(queue)
        c.pointee.retries = UInt32(clamping: retries)
        c.pointee.progress = progress?.write(in: arena)
        c.pointee.revocation = revocation?.write(in: arena)
        c.pointee.superseded = flag(superseded)
        c.pointee.late_report = lateReport?.write(in: arena)
        c.pointee.queued_at = queuedAt.wire
        c.pointee.waiting = arena.text(waiting)
        return c
    }
}

extension Failure: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Failure>) throws(FieldError) {
        self.init(
            type: try text(c.pointee.exc_type, "exc_type"),
            message: try text(c.pointee.exc_message, "exc_message"),
            module: try text(c.pointee.exc_module, "exc_module"),
            traceback: try text(c.pointee.traceback, "traceback"),
            isRetriable: c.pointee.retriable != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Failure> {
        let c = arena.make(rhythm__failure__init)
        c.pointee.exc_type = arena.text(type)
        c.pointee.exc_message = arena.text(message)
        c.pointee.exc_module = arena.text(module)
        c.pointee.traceback = arena.text(traceback)
        c.pointee.retriable = flag(isRetriable)
        return c
    }
}

extension Revocation: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Revocation>) throws(FieldError) {
        self.init(
            reason: try Reason(wire: c.pointee.reason, "reason"),
            requestedAt: Timestamp(microseconds: c.pointee.requested_at))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Revocation> {
        let c = arena.make(rhythm__revocation__init)
        c.pointee.reason = reason.wire
        c.pointee.requested_at = requestedAt.microseconds
        return c
    }
}

extension LateReport: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__LateReport>) throws(FieldError) {
        self.init(
            status: try TaskStatus(wire: c.pointee.status, "status"), at: Timestamp(microseconds: c.pointee.at),
            detail: try text(c.pointee.detail, "detail"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__LateReport> {
        let c = arena.make(rhythm__late_report__init)
        c.pointee.status = status.wire
        c.pointee.at = at.microseconds
        c.pointee.detail = arena.text(detail)
        return c
    }
}
