import RhythmCore
import RhythmEngine
import RhythmStoreSQLite

/// Fills a store with workflows of five steps, by the core's own rules and through the store's own commits.
enum StoredWorkflows {
    private static let batch = 1000
    private static let steps = 5

    /// The active ones lie evenly among the others; their fourth step runs.
    static func build(in folder: String, count: Int, active: Int) throws {
        let store = try SQLiteStore(path: folder + "/bench.sqlite")
        let spec = EngineBed.spec(steps: steps, task: "held")
        let every = active > 0 ? count / active : count + 1
        for first in stride(from: 0, to: count, by: batch) {
            let numbers = first..<min(count, first + batch)
            let changes = numbers.map { number in
                change(
                    spec, at: Timestamp(microseconds: 1_700_000_000_000_000 + Int64(number)), ends: number % every > 0)
            }
            try store.commit(CommitBatch(changes: changes))
        }
    }

    private static func change(_ spec: WorkflowSpec, at time: Timestamp, ends: Bool) -> WorkflowChange {
        var transition = Transition(now: time) { TaskID(RandomUUID.make()) }
        var workflow = Workflow.start(id: WorkflowID(RandomUUID.make()), spec: spec, in: &transition)
        for index in 0..<(ends ? steps : steps - 1) {
            guard let task = workflow.steps[index].current?.id else { break }
            workflow.observe(.started(at: time, worker: "bench"), of: task, in: &transition)
            if !ends, index == steps - 2 { break }
            workflow.observe(.succeeded(result: nil, at: time), of: task, in: &transition)
        }
        return WorkflowChange(workflow: workflow, isNew: true, touched: transition.touched, events: transition.events)
    }
}
