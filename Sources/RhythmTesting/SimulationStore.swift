package import RhythmCore
package import RhythmEngine
import Synchronization

/// The durable part of a simulated store: what is there after a crash.
package final class SimulationDisk: Sendable {
    /// What goes wrong with a commit.
    package enum Fault: Sendable, Hashable {
        /// Nothing is stored, and the caller is told so.
        case refuse(StoreError.Code)
        /// The caller never learns whether it was stored.
        case loseAnswer(stored: Bool)
    }

    package struct Image: Sendable {
        package var workflows: [WorkflowID: Workflow] = [:]
        package var events: [WorkflowID: [Event]] = [:]
        package var requests: [String: WorkflowID] = [:]
    }

    private struct State {
        var image = Image()
        var faults: [Fault] = []
        var isAway = false
        var commits = 0
        var changed: Set<WorkflowID> = []
        var problems: [String] = []
    }

    private let state = Mutex(State())

    package init() {}

    package var image: Image { state.withLock { $0.image } }
    /// How many commits were asked for, with whatever outcome.
    package var commits: Int { state.withLock { $0.commits } }
    /// What the next commits meet, in this order.
    package func fail(_ faults: [Fault]) { state.withLock { $0.faults += faults } }
    /// While it is away, nothing can be read or written.
    package var isAway: Bool {
        get { state.withLock { $0.isAway } }
        set { state.withLock { $0.isAway = newValue } }
    }
    /// Everything works again.
    package func heal() {
        state.withLock {
            $0.isAway = false
            $0.faults = []
        }
    }

    /// The workflows that changed since it was asked last, and what was wrong with the changes.
    package func takeChanges() -> (ids: [WorkflowID], problems: [String]) {
        state.withLock { state in
            defer { (state.changed, state.problems) = ([], []) }
            return (state.changed.sorted(), state.problems)
        }
    }

    func read<Result>(_ body: (Image) -> Result) throws(StoreError) -> Result {
        let result: Result? = state.withLock { $0.isAway ? nil : body($0.image) }
        guard let result else { throw StoreError(.unavailable, "the simulated store is away") }
        return result
    }

    func nextFault() -> Fault? {
        state.withLock { state in
            state.commits += 1
            if state.isAway { return .refuse(.unavailable) }
            return state.faults.isEmpty ? nil : state.faults.removeFirst()
        }
    }

    /// All of the batch, or a conflict and nothing of it.
    func apply(_ batch: CommitBatch) throws(StoreError) {
        let conflict: String? = state.withLock { state in
            var image = state.image
            for id in batch.deletions { image.remove(id) }
            var problems: [String] = []
            for change in batch.changes {
                if let conflict = image.apply(change, &problems) {
                    state.problems.append(conflict)
                    return conflict
                }
            }
            state.image = image
            state.problems += problems
            state.changed.formUnion(batch.changes.map(\.workflow.id))
            state.changed.formUnion(batch.deletions)
            return nil
        }
        if let conflict { throw StoreError(.conflict, conflict) }
    }
}

extension SimulationDisk.Image {
    fileprivate mutating func remove(_ id: WorkflowID) {
        if let requestID = workflows[id]?.requestID { requests[requestID] = nil }
        workflows[id] = nil
        events[id] = nil
    }

    /// Stores a change as a database does: only the attempts that it names.
    /// - Returns: why it cannot be stored.
    fileprivate mutating func apply(_ change: WorkflowChange, _ problems: inout [String]) -> String? {
        let workflow = change.workflow
        let before = workflows[workflow.id]
        let base = (change.events.first?.version ?? workflow.version + 1) - 1
        if change.isNew {
            if before != nil { return "workflow \(workflow.id) is stored already" }
            if !workflow.requestID.isEmpty {
                if requests[workflow.requestID] != nil { return "request \(workflow.requestID) is stored already" }
                requests[workflow.requestID] = workflow.id
            }
        } else {
            guard let before else { return "workflow \(workflow.id) is not stored" }
            if before.version != base { return "workflow \(workflow.id) has version \(before.version), not \(base)" }
        }
        var stored = workflow
        for (index, step) in workflow.steps.enumerated() {
            let old = before?.steps[index].attempts ?? []
            stored.steps[index].attempts = step.attempts.indices.compactMap { number in
                if change.touched.contains(AttemptPosition(step: index, attempt: number)) {
                    return step.attempts[number]
                }
                return number < old.count ? old[number] : nil
            }
        }
        if stored != workflow { problems.append("a change of \(workflow.id) does not name every attempt that changed") }
        workflows[workflow.id] = stored
        events[workflow.id, default: []] += change.events
        return nil
    }
}

/// A simulated store as one server process sees it.
package final class SimulationStore: Store {
    private let disk: SimulationDisk
    private let fuse: SimulationFuse
    package let reader: any StoreReader

    package init(_ disk: SimulationDisk, _ fuse: SimulationFuse = SimulationFuse()) {
        self.disk = disk
        self.fuse = fuse
        reader = SimulationReader(disk: disk)
    }

    package func loadUnsettled() throws(StoreError) -> [Workflow] {
        try disk.read { image in image.workflows.values.filter { !$0.isSettled }.sorted { $0.id < $1.id } }
    }

    package func load(_ id: WorkflowID) throws(StoreError) -> Workflow? { try disk.read { $0.workflows[id] } }

    package func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        try disk.read { $0.requests[requestID] }
    }

    package func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID] {
        let lost = StoreError(.unavailable, "the answer of the simulated store was lost", outcomeUnknown: true)
        // Killed before anything is written.
        guard fuse.pass() else { throw lost }
        switch disk.nextFault() {
        case .refuse(let code):
            throw StoreError(code, "the simulated store refuses")
        case .loseAnswer(let stored):
            if stored { try disk.apply(batch) }
            throw lost
        case nil:
            // Killed in the middle: what was written is not valid without its end, so nothing of it is there.
            guard fuse.pass() else { throw lost }
            try disk.apply(batch)
            // Killed when it was stored, before the caller learned.
            guard fuse.pass() else { throw lost }
        }
        return []
    }
}

/// Reads what is durable.
private struct SimulationReader: StoreReader {
    let disk: SimulationDisk

    func load(_ id: WorkflowID) throws(StoreError) -> Workflow? { try disk.read { $0.workflows[id] } }

    func ids(withPrefix prefix: String, within scope: AppScope, limit: Int) throws(StoreError) -> [WorkflowID] {
        try disk.read { image in
            let found = image.workflows.filter {
                $0.key.rawValue.utf8.starts(with: prefix.utf8) && scope.contains($0.value.appID)
            }
            return Array(found.keys.sorted().prefix(limit))
        }
    }

    func events(of id: WorkflowID, after version: Int64, limit: Int) throws(StoreError) -> [Event] {
        try disk.read { image in Array((image.events[id] ?? []).filter { $0.version > version }.prefix(limit)) }
    }

    func list(_ query: ListQuery) throws(StoreError) -> ListPage {
        func key(_ workflow: Workflow) -> Timestamp {
            query.sort == .createdAt ? workflow.createdAt : workflow.updatedAt
        }
        func comesBefore(_ a: (Timestamp, WorkflowID), _ b: (Timestamp, WorkflowID)) -> Bool {
            query.ascending ? a < b : b < a
        }
        let matches = try disk.read { image in
            image.workflows.values.filter { query.filter.matches($0) }
                .filter { workflow in
                    query.cursor.map { comesBefore(($0.key, $0.id), (key(workflow), workflow.id)) } ?? true
                }
                .sorted { comesBefore((key($0), $0.id), (key($1), $1.id)) }
        }
        let page = matches.prefix(query.limit)
        let next = page.count < matches.count ? page.last.map { ListCursor(key: key($0), id: $0.id) } : nil
        return ListPage(rows: page.map(\.summary), next: next)
    }

    func counts(_ filter: WorkflowFilter) throws(StoreError) -> [WorkflowStatus: Int] {
        try disk.read { image in
            image.workflows.values.filter { filter.matches($0) }.reduce(into: [:]) { $0[$1.status, default: 0] += 1 }
        }
    }
}
