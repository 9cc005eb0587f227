import RhythmCore

/// What one turn of the engine works on: copies of the workflows it touches, and what will follow from them once they
/// are stored. Thrown away as a whole if they cannot be.
struct Cycle {
    /// One workflow in this cycle.
    struct Work {
        var workflow: Workflow
        let isNew: Bool
        var touched: Set<AttemptPosition> = []
        var events: [Event] = []
        /// The command changed something that is no transition: a request to remember, a wish to be deleted.
        var isForcedIn = false

        /// It has to be stored now; else only progress changed, which can wait.
        var needsCommit: Bool { isNew || isForcedIn || !events.isEmpty }
    }

    let now: Timestamp
    var works: [WorkflowID: Work] = [:]
    /// Order of first touch, so that everything that follows is deterministic.
    var order: [WorkflowID] = []
    var effects: [Effect] = []
    var replies: [(ReplyHandler, Result<Reply, RhythmError>)] = []
    var progress: [TaskID: Publication.ProgressUpdate] = [:]
    var progressOrder: [TaskID] = []
    /// Reports that were applied, to be applied again if nothing can be stored.
    var reports: [Report] = []
    /// Starts of this cycle by request id.
    var startedRequests: [String: WorkflowID] = [:]

    init(now: Timestamp) { self.now = now }

    mutating func set(_ work: Work) {
        if works.updateValue(work, forKey: work.workflow.id) == nil { order.append(work.workflow.id) }
    }

    /// Takes over what a transition of `workflow` brought.
    mutating func absorb(_ transition: Transition, of workflow: Workflow, isNew: Bool = false, forced: Bool = false) {
        var work = works[workflow.id] ?? Work(workflow: workflow, isNew: isNew)
        work.workflow = workflow
        work.touched.formUnion(transition.touched)
        work.events += transition.events
        work.isForcedIn = work.isForcedIn || forced
        set(work)
        effects += transition.effects
    }

    /// Whether this cycle deletes the workflow.
    func deletes(_ workflow: Workflow) -> Bool { workflow.deletesWhenSettled && workflow.isSettled }

    mutating func note(_ update: Publication.ProgressUpdate) {
        if progress.updateValue(update, forKey: update.taskID) == nil { progressOrder.append(update.taskID) }
    }

    mutating func answer(_ reply: @escaping ReplyHandler, _ result: Result<Reply, RhythmError>) {
        replies.append((reply, result))
    }
}
