import CRhythmProto
import RhythmCore

extension AdoptionRequest: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__AdoptWorkflows>) throws(FieldError) {
        self.init(
            ids: try texts(c.pointee.n_workflow_ids, c.pointee.workflow_ids, "workflow_ids").map { WorkflowID($0) },
            filter: try nested(c.pointee.filter, "filter"), dryRun: c.pointee.dry_run != 0,
            force: c.pointee.force != 0, args: try optionalJSON(c.pointee.args, "args"))
        if let args, !args.isArray { throw .value("args", "a JSON array") }
        guard c.pointee.optional_quiet_for_case == RHYTHM__ADOPT_WORKFLOWS__OPTIONAL_QUIET_FOR_QUIET_FOR_MS else {
            return
        }
        guard (0...Self.quietMillisecondsMax).contains(c.pointee.quiet_for_ms) else {
            throw .value("quiet_for_ms", "0 to \(Self.quietMillisecondsMax)")
        }
        quietFor = .milliseconds(c.pointee.quiet_for_ms)
    }

    /// Ten years.
    private static var quietMillisecondsMax: Int64 { 3650 * 86_400_000 }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__AdoptWorkflows> {
        let c = arena.make(rhythm__adopt_workflows__init)
        (c.pointee.n_workflow_ids, c.pointee.workflow_ids) = arena.texts(ids.map(\.rawValue))
        c.pointee.filter = filter?.write(in: arena)
        c.pointee.dry_run = flag(dryRun)
        c.pointee.force = flag(force)
        c.pointee.args = arena.text(args?.text)
        if quietFor != Self.defaultQuietFor {
            c.pointee.optional_quiet_for_case = RHYTHM__ADOPT_WORKFLOWS__OPTIONAL_QUIET_FOR_QUIET_FOR_MS
            c.pointee.quiet_for_ms = quietFor.wireMilliseconds
        }
        return c
    }
}

extension AdoptionReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__AdoptReply>) throws(FieldError) {
        self.init(
            outcomes: try list(c.pointee.n_adoptions, c.pointee.adoptions, "adoptions"),
            hasMore: c.pointee.more != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__AdoptReply> {
        let c = arena.make(rhythm__adopt_reply__init)
        (c.pointee.n_adoptions, c.pointee.adoptions) = arena.list(outcomes)
        c.pointee.more = flag(hasMore)
        return c
    }
}

extension AdoptionOutcome: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Adoption>) throws(FieldError) {
        self.init(
            workflowID: WorkflowID(try text(c.pointee.workflow_id, "workflow_id")),
            kind: try Kind(wire: c.pointee.outcome, "outcome"), reason: try text(c.pointee.reason, "reason"),
            defect: try text(c.pointee.defect, "defect"), detail: try text(c.pointee.detail, "detail"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Adoption> {
        let c = arena.make(rhythm__adoption__init)
        c.pointee.workflow_id = arena.text(workflowID.rawValue)
        c.pointee.outcome = kind.wire
        c.pointee.reason = arena.text(reason)
        c.pointee.defect = arena.text(defect)
        c.pointee.detail = arena.text(detail)
        return c
    }
}

extension AdoptionOutcome.Kind: WireNumbered {
    var wire: Rhythm__Adoption__Outcome {
        switch self {
        case .adopted: RHYTHM__ADOPTION__OUTCOME__OUTCOME_ADOPTED
        case .wouldAdopt: RHYTHM__ADOPTION__OUTCOME__OUTCOME_WOULD_ADOPT
        case .notStuck: RHYTHM__ADOPTION__OUTCOME__OUTCOME_NOT_STUCK
        case .refused: RHYTHM__ADOPTION__OUTCOME__OUTCOME_REFUSED
        }
    }
}
