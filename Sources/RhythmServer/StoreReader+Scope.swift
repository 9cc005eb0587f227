import RhythmCore
import RhythmEngine

/// Lists and counts within a scope, for every store alike: one query an application, merged. Each is as cheap as the
/// query of somebody who filters by one application, and a token names few.
extension StoreReader {
    /// A page of the workflows in `scope`, as if there were no others.
    func list(_ query: ListQuery, within scope: AppScope) throws(StoreError) -> ListPage {
        guard case .only(let appIDs) = scope.narrowed(to: query.filter.appID) else { return try list(query) }
        var rows: [WorkflowSummary] = []
        var hasMore = false
        for appID in appIDs.sorted() {
            var own = query
            own.filter.appID = appID
            let page = try list(own)
            rows += page.rows
            hasMore = hasMore || page.next != nil
        }
        func key(_ row: WorkflowSummary) -> Timestamp { query.sort == .createdAt ? row.createdAt : row.updatedAt }
        // The order of the stores: ids by their bytes.
        rows.sort { first, second in
            let (a, b) = query.ascending ? (first, second) : (second, first)
            if key(a) != key(b) { return key(a) < key(b) }
            return a.id.rawValue.utf8.lexicographicallyPrecedes(b.id.rawValue.utf8)
        }
        hasMore = hasMore || rows.count > query.limit
        rows = Array(rows.prefix(query.limit))
        return ListPage(rows: rows, next: hasMore ? rows.last.map { ListCursor(key: key($0), id: $0.id) } : nil)
    }

    /// How many of the workflows in `scope` that a filter means have each status.
    func counts(_ filter: WorkflowFilter, within scope: AppScope) throws(StoreError) -> [WorkflowStatus: Int] {
        guard case .only(let appIDs) = scope.narrowed(to: filter.appID) else { return try counts(filter) }
        var sum: [WorkflowStatus: Int] = [:]
        for appID in appIDs.sorted() {
            var own = filter
            own.appID = appID
            sum.merge(try counts(own)) { $0 + $1 }
        }
        return sum
    }

    /// The transitions of a workflow in `scope`; none of one outside.
    ///
    /// An id can be another application's since the caller was last found to be in scope: what is read counts only if
    /// the record that is there afterwards is in scope.
    func events(
        of id: WorkflowID, after version: Int64, limit: Int, within scope: AppScope
    ) throws(StoreError) -> [Event] {
        let events = try events(of: id, after: version, limit: limit)
        if scope == .all { return events }
        guard let workflow = try load(id), scope.contains(workflow.appID) else { return [] }
        return events
    }
}

extension AppScope {
    /// What is left of it for somebody who asks for one application.
    fileprivate func narrowed(to appID: String?) -> AppScope {
        guard case .only(let own) = self, let appID else { return self }
        return .only(own.contains(appID) ? [appID] : [])
    }
}
