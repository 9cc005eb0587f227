import RhythmCore

/// Private documents that are stored already, for steps that have not come yet.
///
/// One write of several documents takes a database as long as one of a single document, so the documents of the steps
/// that follow are stored with an attempt's own, and no later step waits for such a write. Each is given to one attempt
/// at most. Nobody but this server's memory knows which are free: after a restart, and on the server that takes over,
/// there are none. A value.
struct SpareDocuments {
    /// A spare is not given away when it is older than this: it may be swept (``ResultBackend/sweep(now:)``).
    static let freshness: Duration = .seconds(86_400)

    private struct Stock {
        /// By the steps' names.
        var documents: [String: String]
        let stored: Duration
        /// The last attempt of the workflow.
        var user: TaskID
        /// When they are given up; nil while an attempt of the workflow is alive.
        var due: Duration?
    }

    private var stocks: [WorkflowID: Stock] = [:]
    /// Workflows that have no attempt, in the order of time.
    private var idle: [(due: Duration, workflow: WorkflowID)] = []

    /// There is at least one for a workflow.
    func has(_ workflow: WorkflowID) -> Bool { stocks[workflow] != nil }

    /// Takes what was stored with an attempt's document.
    mutating func add(of dispatch: Dispatch, now: Duration) {
        let documents = PrivateDocument.spareIDs(of: dispatch).map { ($0.step.name, $0.id) }
        guard !documents.isEmpty else { return }
        stocks[dispatch.workflowID] = Stock(
            documents: Dictionary(documents) { first, _ in first }, stored: now, user: dispatch.taskID)
    }

    /// Gives an attempt the document of its step, if there is one.
    mutating func take(for dispatch: Dispatch, now: Duration) -> String? {
        guard var stock = stocks[dispatch.workflowID], now - stock.stored < Self.freshness else { return nil }
        let document = stock.documents.removeValue(forKey: dispatch.step)
        stock.user = dispatch.taskID
        stock.due = nil
        stocks[dispatch.workflowID] = stock.documents.isEmpty ? nil : stock
        return document
    }

    /// An attempt is over: if none of its workflow follows by `due`, its spares are given up.
    mutating func end(_ task: TaskID, of workflow: WorkflowID, due: Duration) {
        guard stocks[workflow]?.user == task else { return }
        stocks[workflow]?.due = due
        idle.append((due, workflow))
    }

    /// The spares that nobody will need.
    mutating func giveUp(now: Duration) -> [String] {
        var given: [String] = []
        let due = idle.prefix { $0.due <= now }
        for (due, workflow) in due where stocks[workflow]?.due == due {
            given += stocks.removeValue(forKey: workflow)?.documents.values.sorted() ?? []
        }
        idle.removeFirst(due.count)
        return given
    }

    /// All of them: the server stops.
    mutating func giveUpAll() -> [String] {
        defer { self = SpareDocuments() }
        return stocks.values.flatMap(\.documents.values)
    }
}
