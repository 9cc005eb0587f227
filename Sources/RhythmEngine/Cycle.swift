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
        var effects: [Effect] = []
        /// It becomes ours with this commit.
        var adopts: LegacyStamp?
        /// An attempt is due that this server cannot begin: another one is to go on with it.
        var isLeft = false
        /// The command changed something that is no transition: a request to remember, a wish to be deleted.
        var isForcedIn = false

        /// Something became known of an attempt that is worth showing at once, though it is no transition.
        var isNoted = false

        /// It has to be stored now; else only progress changed, which can wait.
        var needsCommit: Bool { isNew || isForcedIn || !events.isEmpty }
    }

    let now: Timestamp
    var works: [WorkflowID: Work] = [:]
    /// Order of first touch, so that everything that follows is deterministic.
    var order: [WorkflowID] = []
    /// What is to be done for attempts of workflows that this cycle does not change.
    var effects: [Effect] = []
    var replies: [Answer] = []
    var adoptions: [AdoptionAnswer] = []
    var progress: [TaskID: Publication.ProgressUpdate] = [:]
    var progressOrder: [TaskID] = []
    /// Reports that were applied, to be applied again if nothing can be stored.
    var reports: [Report] = []
    /// Workflows that others may have changed, and that were read for this cycle: their attempts are to be followed
    /// from now on, whoever did before.
    var readAnew: Set<WorkflowID> = []
    /// Starts of this cycle by request id.
    var startedRequests: [String: WorkflowID] = [:]

    init(now: Timestamp) { self.now = now }

    /// The answer to a command, for when the cycle is stored.
    struct Answer {
        let command: Command
        /// The workflow that the command changed or looked at; nil if it came to none.
        let workflow: WorkflowID?
        /// Whose workflows it may find.
        let scope: AppScope
        let reply: ReplyHandler
        var result: Result<Reply, RhythmError>
    }

    mutating func set(_ work: Work) {
        if works.updateValue(work, forKey: work.workflow.id) == nil { order.append(work.workflow.id) }
    }

    /// Takes over what a transition of `workflow` brought.
    mutating func absorb(_ transition: Transition, of workflow: Workflow, isNew: Bool = false, forced: Bool = false) {
        var work = works[workflow.id] ?? Work(workflow: workflow, isNew: isNew)
        work.workflow = workflow
        work.touched.formUnion(transition.touched)
        work.events += transition.events
        work.isLeft = work.isLeft || transition.leavesAttempt
        work.isForcedIn = work.isForcedIn || forced || transition.leavesAttempt
        work.effects += transition.effects
        set(work)
    }

    /// Takes out everything about workflows that another server has changed meanwhile, or that cannot be stored.
    ///
    /// - Parameter error: Why they cannot be stored; nil if somebody else was faster.
    /// - Returns: what is to be tried again once they were read again.
    mutating func remove(_ ids: Set<WorkflowID>, because error: StoreError? = nil) -> [Input] {
        var inputs: [Input] = reports.filter { ids.contains($0.workflowID) }.map { .report($0) }
        reports.removeAll { ids.contains($0.workflowID) }
        for answer in replies where answer.workflow.map(ids.contains) == true {
            inputs.append(.command(answer.command, within: answer.scope, reply: answer.reply))
        }
        replies.removeAll { $0.workflow.map(ids.contains) == true }
        for index in adoptions.indices where ids.contains(adoptions[index].workflow) {
            let changed = AdoptionAnswer.changed(adoptions[index].workflow)
            adoptions[index].result = .failure(error.map { RhythmError($0) } ?? changed)
        }
        for id in ids { works[id] = nil }
        order.removeAll { ids.contains($0) }
        let lost = progress.values.filter { ids.contains($0.workflowID) }.map(\.taskID)
        for task in lost { progress[task] = nil }
        return inputs
    }

    /// Whether this cycle deletes the workflow.
    func deletes(_ workflow: Workflow) -> Bool { workflow.deletesWhenSettled && workflow.isSettled }

    /// The report changed only what is shown of an attempt.
    mutating func note(_ report: Report) {
        switch report.observation {
        case .queued, .waiting: works[report.workflowID]?.isNoted = true
        default: break
        }
    }

    mutating func note(_ update: Publication.ProgressUpdate) {
        if progress.updateValue(update, forKey: update.taskID) == nil { progressOrder.append(update.taskID) }
    }

}
