public import RhythmCore

/// A workflow of another orchestrator that becomes ours, and how it goes on.
public struct Adoption: Sendable {
    /// As it was read and judged.
    public var record: LegacyRecord
    /// How it goes on.
    public var plan: AdoptionPlan
    /// Why, for its history.
    public var detail: String

    /// Makes an adoption.
    public init(record: LegacyRecord, plan: AdoptionPlan, detail: String) {
        self.record = record
        self.plan = plan
        self.detail = detail
    }
}

/// The answer to an adoption, for when the cycle is stored.
struct AdoptionAnswer {
    let workflow: WorkflowID
    let reply: @Sendable (Result<Workflow, RhythmError>) -> Void
    var result: Result<Workflow, RhythmError>

    static func changed(_ id: WorkflowID) -> RhythmError {
        RhythmError(
            .aborted, reason: "CHANGED", "workflow \(id) was changed while it was looked at; nothing was done",
            retryAfter: .seconds(1))
    }
}

extension Engine {
    /// The record is stored as ours only if it is still what was read; from then on it is a workflow like any other:
    /// attempts of it that live are followed as after a restart, not sent again.
    func apply(
        _ adoption: Adoption, _ reply: @escaping @Sendable (Result<Workflow, RhythmError>) -> Void,
        _ cycle: inout Cycle
    ) {
        var workflow = adoption.record.workflow
        let id = workflow.id
        guard cycle.works[id] == nil, active[id] == nil, doubtful[id] == nil else {
            return reply(.failure(AdoptionAnswer.changed(id)))
        }
        var transition = newTransition(cycle, mayLeave: false)
        workflow.adopt(adoption.plan, detail: adoption.detail, in: &transition)
        var work = Cycle.Work(workflow: workflow, isNew: false)
        work.touched = transition.touched
        work.events = adoption.record.history + transition.events
        work.effects = transition.effects
        work.adopts = adoption.record.stamp
        work.isForcedIn = true
        cycle.set(work)
        cycle.readAnew.insert(id)
        cycle.adoptions.append(AdoptionAnswer(workflow: id, reply: reply, result: .success(workflow)))
    }
}
