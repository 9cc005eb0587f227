import RhythmCore

/// The SQL of a list or of counts, built so that one known index serves it whatever SQLite's planner thinks: there are
/// no statistics in our files, and a page has to cost the same with a hundred workflows and with a million.
///
/// What narrows a filter most drives the search: ids, else labels, else the name, else the application, else nothing;
/// the unary `+` keeps the planner from driving by anything else. The last three use indexes of the form
/// `(..., status, time, id)`: one ordered range for each wanted status (five if any will do), each cut to a page,
/// merged and cut again. So a page reads a few hundred index entries, however many workflows there are. Ids are looked
/// up and sorted.
///
/// Labels are in no such index, and by update time only the index without name, application and creation is ordered:
/// any other would have to be rewritten with every transition. There a probe (``init(probe:most:)``) tells whether the
/// filter means few workflows, which are looked up and sorted, or many, of which an ordered index soon brings a page.
struct ListStatement {
    /// A value for a `?`.
    enum Argument: Hashable {
        case text(String)
        case integer(Int64)
    }

    private(set) var sql = ""
    private(set) var arguments: [Argument] = []

    private enum Driver { case ids, labels, name, app, none }

    /// The columns of a list's row, from `workflows w`.
    static let columns = """
        w.id, w.name, w.app_id, w.labels, w.status, w.control, w.steps_done, w.steps_total, w.pending_step, w.version,
        w.created_at, w.updated_at, w.started_at, w.ended_at
        """

    /// Whether ``init(probe:most:)`` has to be asked before a page of this query.
    static func needsProbe(_ query: ListQuery) -> Bool {
        let filter = query.filter
        switch driver(of: filter) {
        case .ids: return false
        case .labels: return true
        case .name, .app: return query.sort == .updatedAt
        case .none: return query.sort == .updatedAt && (filter.createdFrom != nil || filter.createdBefore != nil)
        }
    }

    /// How many matches the index that the filter drives tells of, at most `most`.
    init(probe filter: WorkflowFilter, most: Int) {
        if let label = Self.driver(of: filter) == .labels ? Self.labels(filter).first : nil {
            sql = "SELECT count(*) FROM (SELECT 1 FROM labels WHERE key = ? AND value = ?"
            arguments = [.text(label.key), .text(label.value)]
        } else {
            sql = "SELECT count(*) FROM (SELECT 1 FROM workflows "
            addIndexed(filter, driver: Self.driver(of: filter))
        }
        sql += " LIMIT ?)"
        arguments.append(.integer(Int64(most)))
    }

    /// The rows of a page, at most `limit`.
    ///
    /// `isFew`: the probe counted few matches, or there is no need to ask.
    init(list query: ListQuery, limit: Int, isFew: Bool = false) {
        let time = query.sort.rawValue
        let direction = query.ascending ? "ASC" : "DESC"
        let order = "ORDER BY \(time) \(direction), id \(direction) LIMIT ?"
        let selection = "SELECT key, \(time), id FROM workflows"
        var driver = Self.driver(of: query.filter)
        if driver == .labels, !isFew { driver = Self.driver(ofColumns: query.filter) }
        switch driver {
        case .ids, .labels:
            sql = "SELECT * FROM (\(selection) WHERE "
            addConditions(query.filter, driver: driver)
            addStatuses(query.filter)
            addCursor(query)
            sql += " \(order))"
            arguments.append(.integer(Int64(limit)))
        case _ where isFew && query.sort == .updatedAt:
            sql = "SELECT * FROM (\(selection) "
            addIndexed(query.filter, driver: driver)
            addCursor(query)
            sql += " \(order))"
            arguments.append(.integer(Int64(limit)))
        case .name, .app, .none:
            for (index, status) in Self.statuses(query.filter).enumerated() {
                sql += "\(index == 0 ? "" : " UNION ALL ")SELECT * FROM (\(selection) "
                sql += "INDEXED BY \(Self.index(driver: driver, sort: query.sort)) WHERE status = ? AND "
                arguments.append(.text(status.rawValue))
                addConditions(query.filter, driver: query.sort == .updatedAt ? .none : driver)
                addCursor(query)
                sql += " \(order))"
                arguments.append(.integer(Int64(limit)))
            }
        }
        sql =
            "SELECT \(Self.columns) FROM (\(sql) \(order)) p CROSS JOIN workflows w ON w.key = p.key "
            + "ORDER BY p.\(time) \(direction), p.id \(direction)"
        arguments.append(.integer(Int64(limit)))
    }

    /// A status and its number, for each status that occurs.
    init(counts filter: WorkflowFilter) {
        let driver = Self.driver(of: filter)
        sql = "SELECT status, count(*) FROM workflows "
        switch driver {
        case .ids, .labels:
            sql += "WHERE "
            addConditions(filter, driver: driver)
            addStatuses(filter)
        case .name, .app, .none:
            addIndexed(filter, driver: driver)
        }
        sql += " GROUP BY status"
    }

    private static func driver(of filter: WorkflowFilter) -> Driver {
        if filter.ids != nil { return .ids }
        return filter.labels.isEmpty ? driver(ofColumns: filter) : .labels
    }

    private static func driver(ofColumns filter: WorkflowFilter) -> Driver {
        if filter.name != nil { return .name }
        return filter.appID == nil ? .none : .app
    }

    /// In a fixed order, so that one set of names makes one text.
    private static func labels(_ filter: WorkflowFilter) -> [(key: String, value: String)] {
        filter.labels.sorted { $0.key < $1.key }
    }

    private static func index(driver: Driver, sort: ListQuery.Sort) -> String {
        switch (driver, sort) {
        case (_, .updatedAt): "workflows_updated"
        case (.name, _): "workflows_name"
        case (.app, _): "workflows_app"
        case (_, .createdAt): "workflows_created"
        }
    }

    /// In a fixed order, so that one set of statuses makes one text.
    private static func statuses(_ filter: WorkflowFilter) -> [WorkflowStatus] {
        WorkflowStatus.allCases.filter { filter.statuses.isEmpty || filter.statuses.contains($0) }
    }

    /// All statuses at once, by the index that is ordered by creation.
    private mutating func addIndexed(_ filter: WorkflowFilter, driver: Driver) {
        let statuses = Self.statuses(filter)
        let places = statuses.map { _ in "?" }.joined(separator: ", ")
        sql += "INDEXED BY \(Self.index(driver: driver, sort: .createdAt)) WHERE status IN (\(places)) AND "
        arguments += statuses.map { .text($0.rawValue) }
        addConditions(filter, driver: driver)
    }

    private mutating func addConditions(_ filter: WorkflowFilter, driver: Driver) {
        var conditions: [String] = []
        if let ids = filter.ids {
            conditions.append("id IN (SELECT value FROM json_each(?))")
            arguments.append(.text(JSONValue.array(ids.map { .string($0.rawValue) }).compactText))
        }
        for (index, label) in Self.labels(filter).enumerated() {
            conditions.append(
                driver == .labels && index == 0
                    ? "key IN (SELECT l.workflow FROM labels l WHERE l.key = ? AND l.value = ?)"
                    : "EXISTS (SELECT 1 FROM labels l WHERE l.key = ? AND l.value = ? AND l.workflow = workflows.key)")
            arguments += [.text(label.key), .text(label.value)]
        }
        if let name = filter.name {
            conditions.append("\(driver == .name ? "" : "+")name = ?")
            arguments.append(.text(name))
        }
        if let appID = filter.appID {
            conditions.append("\(driver == .app ? "" : "+")app_id = ?")
            arguments.append(.text(appID))
        }
        // Where the index is ordered by creation, the range cuts it; elsewhere it only checks.
        if let from = filter.createdFrom {
            conditions.append("created_at >= ?")
            arguments.append(.integer(from.microseconds))
        }
        if let before = filter.createdBefore {
            conditions.append("created_at < ?")
            arguments.append(.integer(before.microseconds))
        }
        sql += conditions.isEmpty ? "1" : conditions.joined(separator: " AND ")
    }

    private mutating func addStatuses(_ filter: WorkflowFilter) {
        guard !filter.statuses.isEmpty else { return }
        let statuses = Self.statuses(filter)
        sql += " AND +status IN (\(statuses.map { _ in "?" }.joined(separator: ", ")))"
        arguments += statuses.map { .text($0.rawValue) }
    }

    private mutating func addCursor(_ query: ListQuery) {
        guard let cursor = query.cursor else { return }
        sql += " AND (\(query.sort.rawValue), id) \(query.ascending ? ">" : "<") (?, ?)"
        arguments += [.integer(cursor.key.microseconds), .text(cursor.id.rawValue)]
    }
}
