import RhythmCore
import RhythmMongo

/// Filters and orders of lists in the database's language, for documents of the Python library.
///
/// Their times are dates of whole milliseconds, and some have none: those come before all others, and a cursor names
/// them by a time that is before every date.
enum LegacySelection {
    /// Words of the stored status that the library does not store before they are true.
    static let certain: Set<WorkflowStatus> = [.success, .failure]

    /// The documents that a filter may mean.
    ///
    /// The stored status is a cache of the library's, which is behind where nobody lived to write it, and which documents
    /// of before October 2023 do not have. So those whose word is not ``certain`` are in, whatever it is: their real
    /// status is for the reader to find out.
    static func filter(_ filter: WorkflowFilter) -> BSONDocument {
        var conditions = ProjectionDocument.isLegacy
        if !filter.statuses.isEmpty {
            let known = words(certain)
            let wanted = words(certain.intersection(filter.statuses))
            conditions.append(
                "$or", [["_status": ["$in": .array(wanted)]], ["_status": ["$nin": .array(known)]]])
        }
        if let appID = filter.appID { conditions.append("app_id", text(appID)) }
        if let name = filter.name { conditions.append("name", text(name)) }
        if let ids = filter.ids { conditions.append("_id", ["$in": .array(ids.map { .string($0.rawValue) })]) }
        var all: [BSONValue] = []
        if let from = filter.createdFrom {
            all.append(.document(side(of: from, nil, sort: .createdAt, later: true, orEqual: true)))
        }
        if let before = filter.createdBefore {
            all.append(.document(side(of: before, nil, sort: .createdAt, later: false, orEqual: false)))
        }
        if !all.isEmpty { conditions.append("$and", .array(all)) }
        return conditions
    }

    static func words(_ statuses: Set<WorkflowStatus>) -> [BSONValue] {
        WorkflowStatus.allCases.filter { statuses.contains($0) }.map { .string($0.rawValue) }
    }

    /// What the Python library did not store reads as empty.
    private static func text(_ text: String) -> BSONValue {
        text.isEmpty ? ["$in": ["", .null]] : .string(text)
    }

    /// Those behind a cursor.
    static func behind(_ cursor: ListCursor, _ query: ListQuery) -> BSONDocument {
        side(of: cursor.key, cursor.id, sort: query.sort, later: query.ascending, orEqual: false)
    }

    /// The order of a list.
    static func order(_ query: ListQuery) -> BSONDocument {
        let direction: BSONValue = query.ascending ? 1 : -1
        return BSONDocument([.init(query.sort.rawValue, direction), .init("_id", direction)])
    }

    /// The documents on one side of a time, and of an id if there is one.
    private static func side(
        of time: Timestamp, _ id: WorkflowID?, sort: ListQuery.Sort, later: Bool, orEqual: Bool
    ) -> BSONDocument {
        let name = sort.rawValue
        let sign = later ? "$gt" : "$lt"
        let nothing: BSONDocument = ["_id": ["$in": []]]
        func beyond(_ value: BSONValue, _ id: WorkflowID) -> BSONDocument {
            BSONDocument([.init(name, value), .init("_id", .document([sign: .string(id.rawValue)]))])
        }
        if time < firstDate {
            // Before every date: where documents without one are.
            let absent = id.map { beyond(.null, $0) }
            guard later else { return absent ?? nothing }
            return either([absent, BSONDocument([.init(name, .document(["$ne": .null]))])].compactMap(\.self))
        }
        if time > lastDate { return later ? nothing : [:] }
        let date = BSONValue.date(time)
        var choices = [BSONDocument([.init(name, .document([sign: date]))])]
        // Those of the same millisecond stand at its beginning.
        let isStart = Timestamp(milliseconds: time.wholeMilliseconds) == time
        if !isStart {
            if !later { choices.append(BSONDocument([.init(name, date)])) }
        } else if let id {
            choices.append(beyond(date, id))
        } else if orEqual {
            choices.append(BSONDocument([.init(name, date)]))
        }
        // Those without a date come before all others.
        if !later { choices.append(BSONDocument([.init(name, .null)])) }
        return either(choices)
    }

    private static func either(_ choices: [BSONDocument]) -> BSONDocument {
        ["$or": .array(choices.map { .document($0) })]
    }

    /// Dates before the year 1 and after 9999 are of no use to anybody, and some servers refuse them.
    private static let firstDate = Timestamp(microseconds: -62_135_596_800_000_000)
    private static let lastDate = Timestamp(microseconds: 253_402_300_799_999_999)

    /// The cursor of a document that has no date to be sorted by.
    static let noDate = Timestamp(microseconds: .min)
}
