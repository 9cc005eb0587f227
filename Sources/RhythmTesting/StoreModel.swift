import RhythmCore
import RhythmEngine

/// What a store must hold, kept in dictionaries: the oracle of the contract.
struct StoreModel {
    private(set) var workflows: [WorkflowID: Workflow] = [:]
    private(set) var events: [WorkflowID: [Event]] = [:]

    mutating func apply(_ batch: CommitBatch) {
        for change in batch.changes {
            workflows[change.workflow.id] = change.workflow
            events[change.workflow.id, default: []] += change.events
        }
        for id in batch.deletions {
            workflows[id] = nil
            events[id] = nil
        }
    }

    func list(_ query: ListQuery) -> ListPage {
        func key(_ workflow: Workflow) -> Timestamp {
            query.sort == .createdAt ? workflow.createdAt : workflow.updatedAt
        }
        func isBefore(_ a: (Timestamp, WorkflowID), _ b: (Timestamp, WorkflowID)) -> Bool {
            query.ascending ? a < b : b < a
        }
        let matches = workflows.values.filter { query.filter.matches($0) }
            .filter { workflow in
                guard let cursor = query.cursor else { return true }
                return isBefore((cursor.key, cursor.id), (key(workflow), workflow.id))
            }
            .sorted { isBefore((key($0), $0.id), (key($1), $1.id)) }
        let page = matches.prefix(query.limit)
        let next = page.count < matches.count ? page.last.map { ListCursor(key: key($0), id: $0.id) } : nil
        return ListPage(rows: page.map(\.summary), next: next)
    }

    func counts(_ filter: WorkflowFilter) -> [WorkflowStatus: Int] {
        workflows.values.filter { filter.matches($0) }.reduce(into: [:]) { $0[$1.status, default: 0] += 1 }
    }
}
