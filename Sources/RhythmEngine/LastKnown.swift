import DequeModule
import RhythmCore

/// What was last known of workflows that others took over while the store could not be asked, for those who would rather
/// be told something old than nothing. Bounded: what was let go of first goes first.
struct LastKnown {
    /// All together, in bytes.
    static let usualLimit = 64 << 20

    private let limit: Int
    private var workflows: [WorkflowID: (workflow: Workflow, size: Int, number: Int)] = [:]
    /// In the order in which they came; numbers that a workflow no longer has are outdated.
    private var order = Deque<(id: WorkflowID, number: Int)>()
    private(set) var bytes = 0
    private var lastNumber = 0

    init(limit: Int = LastKnown.usualLimit) { self.limit = limit }

    var count: Int { workflows.count }

    subscript(id: WorkflowID) -> Workflow? { workflows[id]?.workflow }

    mutating func keep(_ workflow: Workflow) {
        forget(workflow.id)
        let size = workflow.roughSize
        guard size <= limit else { return }
        lastNumber += 1
        workflows[workflow.id] = (workflow, size, lastNumber)
        order.append((workflow.id, lastNumber))
        bytes += size
        while bytes > limit, let first = order.popFirst() {
            if workflows[first.id]?.number == first.number { forget(first.id) }
        }
    }

    mutating func forget(_ id: WorkflowID) {
        guard let gone = workflows.removeValue(forKey: id) else { return }
        bytes -= gone.size
        if workflows.isEmpty { order.removeAll() }
    }

    mutating func forgetAll() {
        if !workflows.isEmpty { self = Self(limit: limit) }
    }
}

extension Workflow {
    /// About how many bytes of memory it takes: its texts, and what holds them.
    var roughSize: Int {
        var size = 512 + [name, appID, description, requestID, args.text, kwargs.text].sum
        for (key, value) in labels { size += 64 + [key, value].sum }
        for step in steps {
            let spec = step.spec
            size += 256 + [spec.name, spec.task, spec.queue ?? "", spec.kwargs.text].sum
            for attempt in step.attempts {
                size += 512 + [attempt.args.text, attempt.kwargs.text, attempt.result?.text ?? ""].sum
                if let failure = attempt.failure { size += [failure.message, failure.traceback].sum }
            }
        }
        return size
    }
}

extension [String] {
    fileprivate var sum: Int { reduce(0) { $0 + $1.utf8.count } }
}
