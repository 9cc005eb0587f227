package import RhythmCore
package import RhythmEngine
import RhythmMongo

/// Reads beside the writers, theirs of other servers included: from any thread, each call from the primary.
///
/// A workflow is in one of three places, and a list looks into all of them: records that are open, rows of those that
/// are not (``RowDocument``), and documents that the Python library wrote, whose attempts are in another collection.
package final class MongoReader: StoreReader {
    let pool: MongoPool
    let results: MongoPool
    let collections: MongoCollections
    let afterwork: Afterwork

    /// Told between the reads of a list, by tests in which somebody writes then.
    private let betweenReads: @Sendable () throws(StoreError) -> Void

    init(
        pool: MongoPool, results: MongoPool, collections: MongoCollections, afterwork: Afterwork,
        betweenReads: @escaping @Sendable () throws(StoreError) -> Void = {}
    ) {
        self.betweenReads = betweenReads
        self.afterwork = afterwork
        self.pool = pool
        self.results = results
        self.collections = collections
    }

    package func load(_ id: WorkflowID) throws(StoreError) -> Workflow? {
        if let document = try record(of: id) { return try WorkflowDocument.read(document).workflow }
        guard let document = try find(collections.library, ["_id": .string(id.rawValue)], limit: 1).first else {
            return nil
        }
        guard ProjectionDocument.isLegacy(document) else {
            if document[ProjectionDocument.marker]?.documentValue?["schema"]?.int64Value == FirstForm.schema {
                throw StoreError(
                    .corrupt, "workflow \(id) could not be converted to the form of this version, see the server's log")
            }
            return nil
        }
        return LegacyWorkflow.read(document, results: try resultDocuments(of: [document], projection: nil))
    }

    package func ids(
        withPrefix prefix: String, within scope: AppScope, limit: Int
    ) throws(StoreError) -> [WorkflowID] {
        // The database takes 0 for no limit.
        guard limit > 0 else { return [] }
        // A range, not a pattern, so that no character of the prefix has a meaning. Nothing in an id sorts after the
        // end.
        var range: BSONDocument = ["_id": ["$gte": .string(prefix), "$lt": .string(prefix + "\u{10FFFF}")]]
        if case .only(let own) = scope {
            range.append("app_id", ["$in": .array(own.sorted().map { .string($0) })])
        }
        func ids(_ collection: String, _ further: BSONDocument) throws(StoreError) -> [WorkflowID] {
            let found = try find(
                collection, BSONDocument(range.elements + further.elements), projection: ["_id": 1], sort: ["_id": 1],
                limit: min(limit, Int(Int32.max)))
            return found.compactMap { $0["_id"]?.stringValue.map { WorkflowID($0) } }
        }
        let ours = try ids(collections.workflows, ["open": ["$ne": WorkflowDocument.Openness.draft.bson]])
        let theirs = try ids(collections.library, ProjectionDocument.isLegacy)
        var all = merge([ours, theirs], by: <)
        // Somebody else may have taken the mark off one of ours.
        for index in all.indices.dropLast().reversed() where all[index] == all[index + 1] { all.remove(at: index) }
        return Array(all.prefix(limit))
    }

    package func events(of id: WorkflowID, after version: Int64, limit: Int) throws(StoreError) -> [Event] {
        let found = try find(["_id": .string(id.rawValue)], projection: ["events": 1, "open": 1], limit: 1)
        guard let document = found.first, !Self.isDraft(document) else {
            guard limit > 0, let legacy = try legacyDocuments([id]).first else { return [] }
            let workflow = LegacyWorkflow.read(
                legacy, results: try resultDocuments(of: [legacy], projection: nil))
            return Array(LegacyHistory.events(of: workflow).filter { $0.version > version }.prefix(limit))
        }
        return try WorkflowDocument.events(document, of: id, after: version, limit: limit)
    }

    package func list(_ query: ListQuery) throws(StoreError) -> ListPage {
        let limit = min(max(1, query.limit), ListQuery.maximumLimit)
        func records(_ further: BSONDocument) throws(StoreError) -> [ListEntry] {
            try entries(
                try find(
                    ListSelection.filter(query, further: further), projection: WorkflowDocument.summaryFields,
                    sort: ListSelection.order(query), limit: limit + 1), query)
        }
        // In this order: a workflow that settles meanwhile is found twice, not never.
        var open = try records(["open": WorkflowDocument.isOpen])
        try betweenReads()
        let superseded = try openWithRow()
        // And one that came back from its end meanwhile, whose row does not count any more, is read again.
        let known = Set(open.map { BSONValue.string($0.row.id.rawValue) })
        let resumed = superseded.filter { !known.contains($0) }
        if !resumed.isEmpty {
            open = merge([open, try records(["$and": [["_id": ["$in": .array(resumed)]]]])]) {
                query.ascending ? $0.place < $1.place : $1.place < $0.place
            }
        }
        let rows = try entries(
            try find(
                collections.lists, ListSelection.filter(query, further: Self.noneOf(superseded)),
                projection: WorkflowDocument.summaryFields, sort: ListSelection.order(query), limit: limit + 1), query)
        let legacy = try legacyEntries(query, limit: limit + 1)
        var seen: Set<WorkflowID> = []
        let all = merge([open, rows, legacy]) { query.ascending ? $0.place < $1.place : $1.place < $0.place }
            .filter { seen.insert($0.row.id).inserted }
        let page = all.prefix(limit)
        guard page.count < all.count, let last = page.last else { return ListPage(rows: page.map(\.row), next: nil) }
        return ListPage(rows: page.map(\.row), next: last.place)
    }

    package func counts(_ filter: WorkflowFilter) throws(StoreError) -> [WorkflowStatus: Int] {
        let match = ListSelection.filter(filter)
        let open = try find(
            BSONDocument([.init("open", WorkflowDocument.isOpen)] + match.elements),
            projection: ["status": 1, "open": 1])
        var counts: [WorkflowStatus: Int] = [:]
        var superseded: Set<BSONValue> = []
        for document in open {
            guard let status = document["status"]?.stringValue.flatMap({ WorkflowStatus(rawValue: $0) }) else {
                continue
            }
            counts[status, default: 0] += 1
            // It may get a row before rows are counted.
            if document["open"]?.int64Value == WorkflowDocument.Openness.behindRow.rawValue, let id = document["_id"] {
                superseded.insert(id)
            }
        }
        try betweenReads()
        let known = Set(open.compactMap { $0["_id"] })
        let resumed = Set(try openWithRow()).subtracting(known)
        if !resumed.isEmpty {
            let again = try find(
                ["$and": [.document(match), ["_id": ["$in": .array(Array(resumed))]]]], projection: ["status": 1])
            for status in again.compactMap({ $0["status"]?.stringValue.flatMap { WorkflowStatus(rawValue: $0) } }) {
                counts[status, default: 0] += 1
            }
            superseded.formUnion(resumed)
        }
        for (status, count) in try count(
            collections.lists, BSONDocument(match.elements + Self.noneOf(Array(superseded)).elements))
        {
            counts[status, default: 0] += count
        }
        for (status, count) in try legacyCounts(filter) { counts[status, default: 0] += count }
        return counts
    }

    private func count(_ collection: String, _ match: BSONDocument) throws(StoreError) -> [WorkflowStatus: Int] {
        let groups = try translating(pool.description) { () throws(MongoError) in
            try pool.aggregate(
                collection,
                [["$match": .document(match)], ["$group": ["_id": "$status", "count": ["$sum": 1]]]])
        }
        var counts: [WorkflowStatus: Int] = [:]
        for group in groups {
            guard let status = group["_id"]?.stringValue.flatMap({ WorkflowStatus(rawValue: $0) }) else { continue }
            counts[status, default: 0] += group["count"]?.int64Value.map { Int($0) } ?? 0
        }
        return counts
    }

    /// Workflows whose row does not count, if there is one.
    private func openWithRow() throws(StoreError) -> [BSONValue] {
        try find(["open": WorkflowDocument.Openness.behindRow.bson], projection: ["_id": 1]).compactMap { $0["_id"] }
    }

    private static func noneOf(_ ids: [BSONValue]) -> BSONDocument {
        ids.isEmpty ? [:] : ["$nor": [["_id": ["$in": .array(ids)]]]]
    }

    private func entries(_ documents: [BSONDocument], _ query: ListQuery) throws(StoreError) -> [ListEntry] {
        var entries: [ListEntry] = []
        entries.reserveCapacity(documents.count)
        for document in documents {
            let row = try WorkflowDocument.summary(document)
            let key = query.sort == .createdAt ? row.createdAt : row.updatedAt
            entries.append(ListEntry(row: row, place: ListCursor(key: key, id: row.id)))
        }
        return entries
    }
}

/// A row of a list and where it stands in the list's order.
struct ListEntry {
    var row: WorkflowSummary
    var place: ListCursor
}

extension ListCursor {
    static func < (lhs: Self, rhs: Self) -> Bool { (lhs.key, lhs.id) < (rhs.key, rhs.id) }
}

/// One order of what is in order already.
func merge<Element>(_ lists: [[Element]], by isBefore: (Element, Element) -> Bool) -> [Element] {
    // Few lists: sorting what is sorted in parts costs next to nothing.
    lists.count { !$0.isEmpty } < 2 ? Array(lists.joined()) : lists.joined().sorted(by: isBefore)
}

extension MongoReader {
    /// The record of a workflow; nil if there is none, or only a draft.
    func record(of id: WorkflowID) throws(StoreError) -> BSONDocument? {
        guard let found = try document(of: id), !Self.isDraft(found) else { return nil }
        return found
    }

    /// The same, drafts included.
    func document(of id: WorkflowID) throws(StoreError) -> BSONDocument? {
        try find(["_id": .string(id.rawValue)], limit: 1).first
    }

    private static func isDraft(_ document: BSONDocument) -> Bool {
        document["open"]?.int64Value == WorkflowDocument.Openness.draft.rawValue
    }

    /// Records.
    func find(
        _ filter: BSONDocument, projection: BSONDocument? = nil, sort: BSONDocument? = nil, limit: Int = 0
    ) throws(StoreError) -> [BSONDocument] {
        try find(collections.workflows, filter, projection: projection, sort: sort, limit: limit)
    }

    func find(
        _ collection: String, _ filter: BSONDocument, projection: BSONDocument? = nil, sort: BSONDocument? = nil,
        limit: Int = 0
    ) throws(StoreError) -> [BSONDocument] {
        try translating(pool.description) { () throws(MongoError) in
            try pool.find(collection, filter: filter, projection: projection, sort: sort, limit: limit)
        }
    }
}
