import RhythmCore
import RhythmTesting

/// What a workflow's events must never tell, whatever happens around them.
struct ChaosHistory {
    /// Somebody had it started over: steps that have succeeded may run again after that.
    let mayRepeat: Bool

    func contradictions(in events: [Event]) -> [String] {
        var found: [String] = []
        var live: TaskID?
        var isHeld = false
        var startsOver = false
        var succeeded: Set<String> = []
        for event in events {
            switch event.kind {
            case .dispatched:
                // Not before: what ran when it was started over may have succeeded since.
                if startsOver { succeeded = [] }
                startsOver = false
                let id = event.taskID?.rawValue ?? "?"
                if let live { found.append("\(id) was dispatched while \(live) had no end") }
                if isHeld { found.append("\(id) was dispatched although the workflow is held") }
                if succeeded.contains(event.step) { found.append("\(id) repeats \(event.step), which has succeeded") }
                live = event.taskID
            case .succeeded, .failed, .revoked:
                if event.kind == .succeeded, !succeeded.insert(event.step).inserted {
                    found.append("\(event.step) has succeeded twice")
                }
                if live == event.taskID { live = nil }
            case .paused, .cancelled: isHeld = true
            case .resumed:
                isHeld = false
                startsOver = mayRepeat
            case .created, .started, .retrying, .retryScheduled, .revoking, .pausing, .lateReport: break
            }
        }
        return found
    }
}

/// What the tasks themselves noted down.
struct ChaosRuns {
    private let byTask: [TaskID: [RunnerMarks.Time]]

    init(_ times: [RunnerMarks.Time]) { byTask = Dictionary(grouping: times, by: \.taskID) }

    var taskIDs: Set<TaskID> { Set(byTask.keys) }

    var count: Int { byTask.values.map { $0.count(where: \.isBegin) }.reduce(0, +) }

    func begins(of id: TaskID) -> [RunnerMarks.Time] { byTask[id, default: []].filter(\.isBegin) }

    /// The runs of each attempt that ran more than once.
    var repeated: [[RunnerMarks.Time]] { byTask.keys.map { begins(of: $0) }.filter { $0.count > 1 } }

    /// Two attempts of one workflow were at work at the same time. What Celery repeats by itself is left out.
    func overlaps(of workflow: Workflow) -> [String] {
        let ids = workflow.steps.flatMap { $0.attempts.map(\.id) }.filter { begins(of: $0).count == 1 }
        let spans = ids.compactMap { id -> (id: TaskID, from: Double, to: Double)? in
            guard let times = byTask[id], let begin = times.first(where: \.isBegin),
                let end = times.first(where: { !$0.isBegin })
            else { return nil }
            return (id, begin.at, end.at)
        }
        var found: [String] = []
        for id in ids {
            guard let begin = begins(of: id).first?.at else { continue }
            for other in spans where other.id != id && (other.from..<other.to).contains(begin) {
                found.append("\(id) began while \(other.id) was at work")
            }
        }
        return found
    }
}
