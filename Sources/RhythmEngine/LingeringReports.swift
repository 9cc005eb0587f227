import RhythmCore

/// Reports that a step has begun, and what follows on them: they wait a moment for its end, so that a short step begins
/// and ends with one commit instead of two. Whatever else happens to the workflow meanwhile takes them along first, so
/// their order stays. They are lost in a crash like any report that was on its way; runners tell them again.
struct LingeringReports {
    /// How long one may wait; zero for not at all.
    let patience: Duration
    private var reports: [WorkflowID: (reports: [Report], due: Timestamp)] = [:]
    /// Workflows in the order in which their first report came; some may be gone already.
    private var order: [(due: Timestamp, id: WorkflowID)] = []
    private var passed = 0

    init(patience: Duration) { self.patience = patience }

    /// When the first one has waited long enough; may be too early.
    var due: Timestamp? { passed < order.count ? order[passed].due : nil }

    /// Keeps a report if it may wait.
    ///
    /// - Returns: whether it does.
    mutating func keep(_ report: Report, now: Timestamp) -> Bool {
        guard patience > .zero, !report.observation.isEnd else { return false }
        if reports[report.workflowID]?.reports.append(report) != nil { return true }
        guard case .started = report.observation else { return false }
        let due = now + patience
        reports[report.workflowID] = ([report], due)
        order.append((due, report.workflowID))
        return true
    }

    func holds(_ id: WorkflowID) -> Bool { reports[id] != nil }

    /// Takes those of one workflow.
    mutating func take(_ id: WorkflowID) -> [Report] { reports.removeValue(forKey: id)?.reports ?? [] }

    /// Takes those that have waited long enough.
    mutating func takeDue(now: Timestamp) -> [Report] {
        var taken: [Report] = []
        while let due, due <= now {
            let id = order[passed].id
            passed += 1
            // A later one of the same workflow has its own place in the order.
            if let first = reports[id]?.due, first <= now { taken += take(id) }
        }
        if passed == order.count || passed > 1024 {
            order.removeFirst(passed)
            passed = 0
        }
        return taken
    }
}
