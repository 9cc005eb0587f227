import CRhythmProto
import RhythmCore

extension WorkflowSummary: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__WorkflowSummary>) throws(FieldError) {
        self.init(
            id: try workflowID(c.pointee.workflow_id), name: try text(c.pointee.name, "name"),
            appID: try text(c.pointee.app_id, "app_id"),
            labels: try RhythmWire.labels(c.pointee.n_labels, c.pointee.labels),
            status: try WorkflowStatus(wire: c.pointee.status, "status"), isPaused: c.pointee.paused != 0,
            isCancelled: c.pointee.cancelled != 0, stepsDone: Int(c.pointee.steps_done),
            totalSteps: Int(c.pointee.total_steps), pendingStep: try text(c.pointee.pending_step, "pending_step"),
            version: c.pointee.version, createdAt: Timestamp(microseconds: c.pointee.created_at),
            updatedAt: Timestamp(microseconds: c.pointee.updated_at), startedAt: optionalTime(c.pointee.started_at),
            endedAt: optionalTime(c.pointee.ended_at))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__WorkflowSummary> {
        let c = arena.make(rhythm__workflow_summary__init)
        c.pointee.workflow_id = arena.text(id.rawValue)
        c.pointee.name = arena.text(name)
        c.pointee.app_id = arena.text(appID)
        (c.pointee.n_labels, c.pointee.labels) = arena.labels(labels)
        c.pointee.status = status.wire
        c.pointee.paused = flag(isPaused)
        c.pointee.cancelled = flag(isCancelled)
        c.pointee.steps_done = UInt32(clamping: stepsDone)
        c.pointee.total_steps = UInt32(clamping: totalSteps)
        c.pointee.pending_step = arena.text(pendingStep)
        c.pointee.version = version
        c.pointee.created_at = createdAt.microseconds
        c.pointee.updated_at = updatedAt.microseconds
        c.pointee.started_at = startedAt.wire
        c.pointee.ended_at = endedAt.wire
        return c
    }
}

extension WorkflowFilter: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__WorkflowFilter>) throws(FieldError) {
        self.init(
            appID: try optionalText(c.pointee.app_id, "app_id"), name: try optionalText(c.pointee.name, "name"),
            labels: try RhythmWire.labels(c.pointee.n_labels, c.pointee.labels),
            createdFrom: optionalTime(c.pointee.created_from), createdBefore: optionalTime(c.pointee.created_before))
        if let elements = c.pointee.statuses {
            for index in 0..<c.pointee.n_statuses {
                statuses.insert(try WorkflowStatus(wire: elements[index], "statuses[\(index)]"))
            }
        }
        if let given = c.pointee.workflow_ids {
            ids = try texts(given.pointee.n_workflow_ids, given.pointee.workflow_ids, "workflow_ids")
                .map { WorkflowID($0) }
        }
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__WorkflowFilter> {
        let c = arena.make(rhythm__workflow_filter__init)
        let sorted = statuses.sorted { $0.wire.rawValue < $1.wire.rawValue }
        (c.pointee.n_statuses, c.pointee.statuses) = arena.array(sorted) { $0.wire }
        c.pointee.app_id = arena.text(appID)
        c.pointee.name = arena.text(name)
        if let ids {
            let list = arena.make(rhythm__workflow_ids__init)
            (list.pointee.n_workflow_ids, list.pointee.workflow_ids) = arena.texts(ids.map(\.rawValue))
            c.pointee.workflow_ids = list
        }
        (c.pointee.n_labels, c.pointee.labels) = arena.labels(labels)
        c.pointee.created_from = createdFrom.wire
        c.pointee.created_before = createdBefore.wire
        return c
    }
}

extension ListWorkflows: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ListWorkflows>) throws(FieldError) {
        var query = ListQuery()
        query.filter = try nested(c.pointee.filter, "filter") ?? WorkflowFilter()
        query.sort = try ListQuery.Sort(wire: c.pointee.sort, "sort")
        query.ascending = c.pointee.ascending != 0
        if c.pointee.limit > 0 { query.limit = Int(c.pointee.limit) }
        query.cursor = try cursor(c.pointee.cursor, "cursor")
        self.init(query: query, withCounts: c.pointee.with_counts != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ListWorkflows> {
        let c = arena.make(rhythm__list_workflows__init)
        c.pointee.filter = query.filter.write(in: arena)
        c.pointee.sort = query.sort.wire
        c.pointee.ascending = flag(query.ascending)
        c.pointee.limit = UInt32(clamping: query.limit)
        c.pointee.cursor = arena.text(query.cursor?.token)
        c.pointee.with_counts = flag(withCounts)
        return c
    }
}

extension ListReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ListReply>) throws(FieldError) {
        self.init(
            page: ListPage(
                rows: try list(c.pointee.n_workflows, c.pointee.workflows, "workflows"),
                next: try cursor(c.pointee.next_cursor, "next_cursor")))
        guard let given = c.pointee.counts else { return }
        var counts: [WorkflowStatus: Int] = [:]
        for index in 0..<given.pointee.n_counts {
            guard let count = given.pointee.counts[index] else { continue }
            let status = try WorkflowStatus(wire: count.pointee.status, "counts[\(index)].status")
            counts[status] = Int(clamping: count.pointee.count)
        }
        self.counts = counts
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ListReply> {
        let c = arena.make(rhythm__list_reply__init)
        (c.pointee.n_workflows, c.pointee.workflows) = arena.list(page.rows)
        c.pointee.next_cursor = arena.text(page.next?.token)
        guard let counts else { return c }
        let message = arena.make(rhythm__status_counts__init)
        let sorted = counts.sorted { $0.key.wire.rawValue < $1.key.wire.rawValue }
        (message.pointee.n_counts, message.pointee.counts) = arena.list(sorted) { status, number in
            let count = arena.make(rhythm__status_count__init)
            count.pointee.status = status.wire
            count.pointee.count = UInt64(clamping: number)
            return count
        }
        c.pointee.counts = message
        return c
    }
}

private func cursor(_ bytes: CBytes, _ field: String) throws(FieldError) -> ListCursor? {
    guard let token = try optionalText(bytes, field) else { return nil }
    guard let cursor = ListCursor(token: token) else { throw .value(field, "the next_cursor of an earlier page") }
    return cursor
}

extension ResolveID: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ResolveID>) throws(FieldError) {
        self.init(
            prefix: try text(c.pointee.prefix, "prefix"),
            limit: c.pointee.limit == 0 ? Self.defaultLimit : Int(c.pointee.limit))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ResolveID> {
        let c = arena.make(rhythm__resolve_id__init)
        c.pointee.prefix = arena.text(prefix)
        c.pointee.limit = UInt32(clamping: limit)
        return c
    }
}

extension ResolveReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ResolveReply>) throws(FieldError) {
        self.init(
            workflowIDs: try texts(c.pointee.n_workflow_ids, c.pointee.workflow_ids, "workflow_ids")
                .map { WorkflowID($0) })
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ResolveReply> {
        let c = arena.make(rhythm__resolve_reply__init)
        (c.pointee.n_workflow_ids, c.pointee.workflow_ids) = arena.texts(workflowIDs.map(\.rawValue))
        return c
    }
}
