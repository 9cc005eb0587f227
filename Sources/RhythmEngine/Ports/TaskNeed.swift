public import RhythmCore

/// What workflows ask of a runner: a task in a queue.
public struct TaskNeed: Sendable, Hashable {
    /// The task's name.
    public var task: String
    /// The queue, if the steps name one.
    public var queue: String?
    /// Some workflow stands at such a step; else it is for later.
    public var isDue: Bool
    /// How many workflows have such a step before them.
    public var workflows: Int
    /// One of them.
    public var example: WorkflowID

    /// Makes a need.
    public init(task: String, queue: String? = nil, isDue: Bool, workflows: Int = 1, example: WorkflowID) {
        self.task = task
        self.queue = queue
        self.isDue = isDue
        self.workflows = workflows
        self.example = example
    }

    /// What is still before these workflows, each task and queue once, in order of queue and task.
    package static func all(of workflows: [Workflow]) -> [TaskNeed] {
        struct Place: Hashable {
            var task: String
            var queue: String?
        }
        var needs: [Place: TaskNeed] = [:]
        for workflow in workflows {
            var counted: Set<Place> = []
            let pending = workflow.pendingIndex
            for (index, step) in workflow.steps.enumerated().dropFirst(pending) {
                let place = Place(task: step.spec.task, queue: step.spec.queue)
                var need =
                    needs[place]
                    ?? TaskNeed(
                        task: place.task, queue: place.queue, isDue: false, workflows: 0, example: workflow.id)
                if index == pending, !need.isDue {
                    need.isDue = true
                    need.example = workflow.id
                }
                if counted.insert(place).inserted { need.workflows += 1 }
                needs[place] = need
            }
        }
        return needs.values.sorted { ($0.queue ?? "", $0.task) < ($1.queue ?? "", $1.task) }
    }
}
