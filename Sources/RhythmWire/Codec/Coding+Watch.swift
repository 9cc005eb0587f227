import CRhythmProto
import RhythmCore

extension WatchProgress: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__WatchProgress>) throws(FieldError) {
        self.init(
            targets: try list(c.pointee.n_targets, c.pointee.targets, "targets"),
            filter: try nested(c.pointee.filter, "filter"), untilDone: c.pointee.until_done != 0,
            withoutProgress: c.pointee.without_progress != 0,
            minProgressIntervalMilliseconds: c.pointee.min_progress_interval_ms,
            tellLimit: c.pointee.tell_limit != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__WatchProgress> {
        let c = arena.make(rhythm__watch_progress__init)
        (c.pointee.n_targets, c.pointee.targets) = arena.list(targets)
        c.pointee.filter = filter?.write(in: arena)
        c.pointee.until_done = flag(untilDone)
        c.pointee.without_progress = flag(withoutProgress)
        c.pointee.min_progress_interval_ms = minProgressIntervalMilliseconds
        c.pointee.tell_limit = flag(tellLimit)
        return c
    }
}

extension WatchTarget: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__WatchTarget>) throws(FieldError) {
        self.init(workflowID: try RhythmWire.workflowID(c.pointee.workflow_id))
        if c.pointee.optional_after_version_case == RHYTHM__WATCH_TARGET__OPTIONAL_AFTER_VERSION_AFTER_VERSION {
            guard c.pointee.after_version >= 0 else { throw .value("after_version", "0 or more") }
            afterVersion = c.pointee.after_version
        }
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__WatchTarget> {
        let c = arena.make(rhythm__watch_target__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        if let afterVersion {
            c.pointee.optional_after_version_case = RHYTHM__WATCH_TARGET__OPTIONAL_AFTER_VERSION_AFTER_VERSION
            c.pointee.after_version = afterVersion
        }
        return c
    }
}

extension WatchEvent: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__WatchEvent>) throws(FieldError) {
        switch c.pointee.event_case {
        case RHYTHM__WATCH_EVENT__EVENT_SNAPSHOT: self = .snapshot(try required(c.pointee.snapshot, "snapshot"))
        case RHYTHM__WATCH_EVENT__EVENT_TRANSITION:
            self = .transition(try required(c.pointee.transition, "transition"))
        case RHYTHM__WATCH_EVENT__EVENT_PROGRESS: self = .progress(try required(c.pointee.progress, "progress"))
        case RHYTHM__WATCH_EVENT__EVENT_GAP:
            guard let gap = c.pointee.gap else { throw .value("gap", "a message") }
            self = .gap(
                try workflowID(gap.pointee.workflow_id, "gap.workflow_id"), oldestVersion: gap.pointee.oldest_version)
        case RHYTHM__WATCH_EVENT__EVENT_DELETED:
            guard let deleted = c.pointee.deleted else { throw .value("deleted", "a message") }
            self = .deleted(try workflowID(deleted.pointee.workflow_id, "deleted.workflow_id"))
        case RHYTHM__WATCH_EVENT__EVENT_BOOKMARK:
            guard let bookmark = c.pointee.bookmark else { throw .value("bookmark", "a message") }
            self = .bookmark(at: Timestamp(microseconds: bookmark.pointee.at))
        case RHYTHM__WATCH_EVENT__EVENT_LIMITED:
            guard let limited = c.pointee.limited else { throw .value("limited", "a message") }
            self = .limited(maxWorkflows: limited.pointee.max_workflows, leftOut: limited.pointee.left_out)
        default: throw .value("event", "an event that this version knows")
        }
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__WatchEvent> {
        let c = arena.make(rhythm__watch_event__init)
        switch self {
        case .snapshot(let snapshot):
            c.pointee.event_case = RHYTHM__WATCH_EVENT__EVENT_SNAPSHOT
            c.pointee.snapshot = snapshot.write(in: arena)
        case .transition(let event):
            c.pointee.event_case = RHYTHM__WATCH_EVENT__EVENT_TRANSITION
            c.pointee.transition = event.write(in: arena)
        case .progress(let update):
            c.pointee.event_case = RHYTHM__WATCH_EVENT__EVENT_PROGRESS
            c.pointee.progress = update.write(in: arena)
        case .gap(let id, let oldestVersion):
            let gap = arena.make(rhythm__gap__init)
            gap.pointee.workflow_id = arena.text(id.rawValue)
            gap.pointee.oldest_version = oldestVersion
            c.pointee.event_case = RHYTHM__WATCH_EVENT__EVENT_GAP
            c.pointee.gap = gap
        case .deleted(let id):
            let deleted = arena.make(rhythm__deleted__init)
            deleted.pointee.workflow_id = arena.text(id.rawValue)
            c.pointee.event_case = RHYTHM__WATCH_EVENT__EVENT_DELETED
            c.pointee.deleted = deleted
        case .bookmark(let at):
            let bookmark = arena.make(rhythm__bookmark__init)
            bookmark.pointee.at = at.microseconds
            c.pointee.event_case = RHYTHM__WATCH_EVENT__EVENT_BOOKMARK
            c.pointee.bookmark = bookmark
        case .limited(let maxWorkflows, let leftOut):
            let limited = arena.make(rhythm__limited__init)
            limited.pointee.max_workflows = maxWorkflows
            limited.pointee.left_out = leftOut
            c.pointee.event_case = RHYTHM__WATCH_EVENT__EVENT_LIMITED
            c.pointee.limited = limited
        }
        return c
    }
}

extension Snapshot: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Snapshot>) throws(FieldError) {
        self.init(
            summary: try required(c.pointee.summary, "summary"),
            steps: try list(c.pointee.n_steps, c.pointee.steps, "steps"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Snapshot> {
        let c = arena.make(rhythm__snapshot__init)
        c.pointee.summary = summary.write(in: arena)
        (c.pointee.n_steps, c.pointee.steps) = arena.list(steps)
        return c
    }
}

extension StepState: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__StepState>) throws(FieldError) {
        self.init(
            name: try text(c.pointee.name, "name"), task: try text(c.pointee.task, "task"),
            status: try TaskStatus(wire: c.pointee.status, "status"),
            taskID: try RhythmWire.taskID(c.pointee.task_id), attempt: Int(c.pointee.attempt),
            startedAt: optionalTime(c.pointee.date_start), endedAt: optionalTime(c.pointee.date_done),
            progress: try nested(c.pointee.progress, "progress"),
            failureType: try text(c.pointee.exc_type, "exc_type"),
            failureMessage: try text(c.pointee.exc_message, "exc_message"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__StepState> {
        let c = arena.make(rhythm__step_state__init)
        c.pointee.name = arena.text(name)
        c.pointee.task = arena.text(task)
        c.pointee.status = status.wire
        c.pointee.task_id = arena.text(taskID?.rawValue)
        c.pointee.attempt = UInt32(clamping: attempt)
        c.pointee.date_start = startedAt.wire
        c.pointee.date_done = endedAt.wire
        c.pointee.progress = progress?.write(in: arena)
        c.pointee.exc_type = arena.text(failureType)
        c.pointee.exc_message = arena.text(failureMessage)
        return c
    }
}

extension Event: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Transition>) throws(FieldError) {
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id), version: c.pointee.version,
            at: Timestamp(microseconds: c.pointee.at), kind: try Kind(wire: c.pointee.kind, "kind"),
            status: try WorkflowStatus(wire: c.pointee.status, "status"), stepsDone: Int(c.pointee.steps_done),
            step: try text(c.pointee.step, "step"), taskID: try RhythmWire.taskID(c.pointee.task_id),
            attempt: Int(c.pointee.attempt), detail: try text(c.pointee.detail, "detail"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Transition> {
        let c = arena.make(rhythm__transition__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.version = version
        c.pointee.at = at.microseconds
        c.pointee.kind = kind.wire
        c.pointee.status = status.wire
        c.pointee.steps_done = UInt32(clamping: stepsDone)
        c.pointee.step = arena.text(step)
        c.pointee.task_id = arena.text(taskID?.rawValue)
        c.pointee.attempt = UInt32(clamping: attempt)
        c.pointee.detail = arena.text(detail)
        return c
    }
}

extension ProgressUpdate: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ProgressUpdate>) throws(FieldError) {
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id), step: try text(c.pointee.step, "step"),
            taskID: TaskID(try requiredText(c.pointee.task_id, "task_id")),
            progress: try required(c.pointee.progress, "progress"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ProgressUpdate> {
        let c = arena.make(rhythm__progress_update__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.step = arena.text(step)
        c.pointee.task_id = arena.text(taskID.rawValue)
        c.pointee.progress = progress.write(in: arena)
        return c
    }
}
