import RhythmCore
import RhythmMongo

/// Filters and orders of lists in the database's language.
///
/// A time is ordered by its date, then by its microseconds, then by the id: the date is what the Python library's
/// documents have too. Those have no microseconds, and so come before ours of the same millisecond; those without the
/// date come before all others, and a cursor names them by a time that is before every date.
enum ListSelection {
    /// The documents that a filter means.
    ///
    /// Of the Python library's documents the stored status counts here, which is a cache of its and may be behind.
    static func filter(_ filter: WorkflowFilter) -> BSONDocument {
        var conditions: BSONDocument = [WorkflowDocument.privateMarker: .null]
        if !filter.statuses.isEmpty {
            var words = WorkflowStatus.allCases.filter { filter.statuses.contains($0) }
                .map { BSONValue.string($0.rawValue) }
            if filter.statuses.contains(.pending) { words.append(.null) }
            conditions.append("_status", ["$in": .array(words)])
        }
        if let appID = filter.appID { conditions.append("app_id", text(appID)) }
        if let name = filter.name { conditions.append("name", text(name)) }
        if let ids = filter.ids { conditions.append("_id", ["$in": .array(ids.map { .string($0.rawValue) })]) }
        if !filter.labels.isEmpty {
            let pairs = filter.labels.map { WorkflowDocument.labelPair($0.key, $0.value) }.sorted()
            conditions.append("rhythm.label_pairs", ["$all": .array(pairs.map { .string($0) })])
        }
        var all: [BSONValue] = []
        if let from = filter.createdFrom {
            all.append(.document(side(of: (from, nil), sort: .createdAt, later: true, orEqual: true)))
        }
        if let before = filter.createdBefore {
            all.append(.document(side(of: (before, nil), sort: .createdAt, later: false, orEqual: false)))
        }
        if !all.isEmpty { conditions.append("$and", .array(all)) }
        return conditions
    }

    /// What the Python library did not store reads as empty.
    private static func text(_ text: String) -> BSONValue {
        text.isEmpty ? ["$in": ["", .null]] : .string(text)
    }

    /// Those behind a cursor.
    static func behind(_ cursor: ListCursor, _ query: ListQuery) -> BSONDocument {
        side(of: (cursor.key, cursor.id), sort: query.sort, later: query.ascending, orEqual: false)
    }

    /// The order of a list.
    static func order(_ query: ListQuery) -> BSONDocument {
        let direction: BSONValue = query.ascending ? 1 : -1
        let names = fields(query.sort)
        return BSONDocument([
            .init(names.date, direction), .init(names.exact, direction), .init("_id", direction),
        ])
    }

    private static func fields(_ sort: ListQuery.Sort) -> (date: String, exact: String) {
        switch sort {
        case .createdAt: ("created_at", "rhythm.created_us")
        case .updatedAt: ("updated_at", "rhythm.updated_us")
        }
    }

    /// The documents on one side of a time, and of an id if there is one.
    private static func side(
        of place: (time: Timestamp, id: WorkflowID?), sort: ListQuery.Sort, later: Bool, orEqual: Bool
    ) -> BSONDocument {
        let names = fields(sort)
        let sign = later ? "$gt" : "$lt"
        let nothing: BSONDocument = ["_id": ["$in": []]]
        if place.time < firstDate {
            // Before every date: where documents without one are.
            let absent = BSONDocument([.init(names.date, .null), .init("_id", .document([sign: id(place.id)]))])
            return later
                ? either([absent, BSONDocument([.init(names.date, .document(["$ne": .null]))])])
                : (place.id == nil ? nothing : absent)
        }
        if place.time > lastDate { return later ? nothing : [:] }
        let date = BSONValue.date(place.time)
        let exact = BSONValue.exact(place.time)
        var choices = [
            BSONDocument([.init(names.date, .document([sign: date]))]),
            BSONDocument([.init(names.date, date), .init(names.exact, .document([sign: exact]))]),
        ]
        let start = Timestamp(milliseconds: place.time.wholeMilliseconds)
        // Documents without microseconds stand at the beginning of their millisecond.
        let bare = BSONDocument([.init(names.date, date), .init(names.exact, .null)])
        if start == place.time {
            var equal = [bare]
            if let id = place.id {
                let further = BSONDocument.Element("_id", .document([sign: .string(id.rawValue)]))
                equal = [bare, BSONDocument([.init(names.date, date), .init(names.exact, exact)])]
                    .map { BSONDocument($0.elements + [further]) }
                choices += equal
            } else if orEqual {
                choices += equal
            }
        } else {
            if !later { choices.append(bare) }
            if let id = place.id {
                choices.append(
                    BSONDocument([
                        .init(names.date, date), .init(names.exact, exact),
                        .init("_id", .document([sign: .string(id.rawValue)])),
                    ]))
            }
        }
        if orEqual { choices.append(BSONDocument([.init(names.date, date), .init(names.exact, exact)])) }
        // Those without a date come before all others.
        if !later { choices.append(BSONDocument([.init(names.date, .null)])) }
        return either(choices)
    }

    private static func either(_ choices: [BSONDocument]) -> BSONDocument {
        ["$or": .array(choices.map { .document($0) })]
    }

    private static func id(_ id: WorkflowID?) -> BSONValue { .string(id?.rawValue ?? "") }

    /// Dates before the year 1 and after 9999 are of no use to anybody, and some servers refuse them.
    private static let firstDate = Timestamp(microseconds: -62_135_596_800_000_000)
    private static let lastDate = Timestamp(microseconds: 253_402_300_799_999_999)

    /// The cursor of a document that has no date to be sorted by.
    static let noDate = Timestamp(microseconds: .min)
}
