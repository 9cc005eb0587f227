import RhythmCore

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
