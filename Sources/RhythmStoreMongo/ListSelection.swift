import RhythmCore
import RhythmMongo

/// Filters and orders of lists in the database's language, for records and for their rows, which share these fields.
enum ListSelection {
    /// The documents that a filter means.
    static func filter(_ filter: WorkflowFilter) -> BSONDocument {
        var conditions = BSONDocument()
        if !filter.statuses.isEmpty {
            let words = WorkflowStatus.allCases.filter { filter.statuses.contains($0) }
            conditions.append("status", ["$in": .array(words.map { .string($0.rawValue) })])
        }
        if let appID = filter.appID { conditions.append("app_id", .string(appID)) }
        if let name = filter.name { conditions.append("name", .string(name)) }
        if let ids = filter.ids { conditions.append("_id", ["$in": .array(ids.map { .string($0.rawValue) })]) }
        if !filter.labels.isEmpty {
            let pairs = filter.labels.map { WorkflowDocument.labelPair($0.key, $0.value) }.sorted()
            conditions.append("pairs", ["$all": .array(pairs.map { .string($0) })])
        }
        var created = BSONDocument()
        if let from = filter.createdFrom { created.append("$gte", .exact(from)) }
        if let before = filter.createdBefore { created.append("$lt", .exact(before)) }
        if !created.isEmpty { conditions.append("created_us", .document(created)) }
        return conditions
    }

    /// Those of a query behind its cursor, which also meet further conditions.
    static func filter(_ query: ListQuery, further: BSONDocument) -> BSONDocument {
        var conditions = BSONDocument(further.elements + filter(query.filter).elements)
        guard let cursor = query.cursor else { return conditions }
        let sign = query.ascending ? "$gt" : "$lt"
        let field = field(query.sort)
        let behind: [BSONValue] = [
            .document(BSONDocument([.init(field, .document([sign: .exact(cursor.key)]))])),
            .document(
                BSONDocument([
                    .init(field, .exact(cursor.key)), .init("_id", .document([sign: .string(cursor.id.rawValue)])),
                ])),
        ]
        conditions.append("$or", .array(behind))
        return conditions
    }

    /// The order of a list.
    static func order(_ query: ListQuery) -> BSONDocument {
        let direction: BSONValue = query.ascending ? 1 : -1
        return BSONDocument([.init(field(query.sort), direction), .init("_id", direction)])
    }

    private static func field(_ sort: ListQuery.Sort) -> String {
        switch sort {
        case .createdAt: "created_us"
        case .updatedAt: "updated_us"
        }
    }
}
