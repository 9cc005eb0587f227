import CProtobufC
import CRhythmProto
import RhythmCore

extension GetStatus: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__GetStatus>) throws(FieldError) {
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id),
            includePreviousAttempts: c.pointee.include_previous_attempts != 0,
            omitResults: c.pointee.omit_results != 0, waitAfterVersion: c.pointee.wait?.pointee.after_version,
            atLeastVersion: try optionalVersion(c.pointee.at_least_version, "at_least_version"),
            current: c.pointee.current != 0, withFollower: c.pointee.with_follower != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__GetStatus> {
        let c = arena.make(rhythm__get_status__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.include_previous_attempts = flag(includePreviousAttempts)
        c.pointee.omit_results = flag(omitResults)
        if let waitAfterVersion {
            let wait = arena.make(rhythm__version_wait__init)
            wait.pointee.after_version = waitAfterVersion
            c.pointee.wait = wait
        }
        c.pointee.at_least_version = atLeastVersion ?? 0
        c.pointee.current = flag(current)
        c.pointee.with_follower = flag(withFollower)
        return c
    }
}

extension GetStatusReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__GetStatusReply>) throws(FieldError) {
        self.init(
            workflow: try required(c.pointee.workflow, "workflow"),
            follower: try nested(c.pointee.follower, "follower"),
            staleness: c.pointee.stale_ms == 0 ? nil : milliseconds(c.pointee.stale_ms))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__GetStatusReply> {
        let c = arena.make(rhythm__get_status_reply__init)
        c.pointee.workflow = workflow.write(in: arena)
        c.pointee.follower = follower?.write(in: arena)
        c.pointee.stale_ms = UInt64(clamping: staleness?.wireMilliseconds ?? 0)
        return c
    }
}

extension TailLog: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__TailLog>) throws(FieldError) {
        guard c.pointee.max_bytes >= 0 else { throw .value("max_bytes", "0 or more") }
        self.init(
            workflowID: try RhythmWire.workflowID(c.pointee.workflow_id),
            step: try optionalText(c.pointee.step, "step"), taskID: try RhythmWire.taskID(c.pointee.task_id),
            offset: c.pointee.offset, maxBytes: c.pointee.max_bytes, follow: c.pointee.follow != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__TailLog> {
        let c = arena.make(rhythm__tail_log__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.step = arena.text(step)
        c.pointee.task_id = arena.text(taskID?.rawValue)
        c.pointee.offset = offset
        c.pointee.max_bytes = maxBytes
        c.pointee.follow = flag(follow)
        return c
    }
}

extension LogData: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__LogData>) throws(FieldError) {
        let data = c.pointee.data
        self.init(
            taskID: TaskID(try text(c.pointee.task_id, "task_id")), offset: c.pointee.offset,
            data: Array(UnsafeBufferPointer(start: data.data, count: data.data == nil ? 0 : data.len)),
            endOffset: c.pointee.end_offset, isComplete: c.pointee.complete != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__LogData> {
        let c = arena.make(rhythm__log_data__init)
        c.pointee.task_id = arena.text(taskID.rawValue)
        c.pointee.offset = offset
        c.pointee.data = arena.bytes(data)
        c.pointee.end_offset = endOffset
        c.pointee.complete = flag(isComplete)
        return c
    }
}

extension ServerInfo: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ServerInfo>) throws(FieldError) {
        self.init(
            serverVersion: try text(c.pointee.server_version, "server_version"),
            uptimeMilliseconds: c.pointee.uptime_ms, activeWorkflows: c.pointee.active_workflows,
            connections: c.pointee.connections, calls: c.pointee.calls, watches: c.pointee.watches,
            health: try Health(wire: c.pointee.health, "health"),
            healthDetail: try text(c.pointee.health_detail, "health_detail"),
            runners: try texts(c.pointee.n_runners, c.pointee.runners, "runners"),
            serverID: try text(c.pointee.server_id, "server_id"), epoch: c.pointee.epoch,
            authenticationFailures: c.pointee.authentication_failures,
            storeID: try text(c.pointee.store_id, "store_id"), isDraining: c.pointee.draining != 0,
            followedWorkflows: c.pointee.followed_workflows)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ServerInfo> {
        let c = arena.make(rhythm__server_info__init)
        c.pointee.server_version = arena.text(serverVersion)
        c.pointee.uptime_ms = uptimeMilliseconds
        c.pointee.active_workflows = activeWorkflows
        c.pointee.connections = connections
        c.pointee.calls = calls
        c.pointee.watches = watches
        c.pointee.health = health.wire
        c.pointee.health_detail = arena.text(healthDetail)
        (c.pointee.n_runners, c.pointee.runners) = arena.texts(runners)
        c.pointee.server_id = arena.text(serverID)
        c.pointee.epoch = epoch
        c.pointee.authentication_failures = authenticationFailures
        c.pointee.store_id = arena.text(storeID)
        c.pointee.draining = flag(isDraining)
        c.pointee.followed_workflows = followedWorkflows
        return c
    }
}
