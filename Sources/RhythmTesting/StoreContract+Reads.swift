import Dispatch
import RhythmCore
import RhythmEngine
import Synchronization
import Testing

extension StoreContractRun {
    /// Exactly those that are not settled, whole, as workflows settle and come back.
    func unsettled() throws {
        try fill(workflows: 40 / min(2, fixture.thrift), length: 1...60)
        let settled = model.workflows.values.filter(\.isSettled).count
        #expect(settled > 0 && settled < model.workflows.count, seeded)
        try expectAll()
        for id in model.workflows.keys.sorted() {
            guard var workflow = model.workflows[id] else { continue }
            for _ in 0..<10 { if let change = samples.advance(&workflow) { try commit([change]) } }
        }
        try expectAll()
    }

    func requests() throws {
        let changes = (0..<20).map { _ in samples.start() } + [samples.start(requestID: "Ünïque '%_")]
        try commit(changes)
        for change in changes where !change.workflow.requestID.isEmpty {
            #expect(try store.workflow(forRequest: change.workflow.requestID) == change.workflow.id, seeded)
        }
        #expect(try store.workflow(forRequest: "") == nil, seeded)
        #expect(try store.workflow(forRequest: "Ünïque '%") == nil, seeded)
        #expect(try store.workflow(forRequest: "unknown") == nil, seeded)
    }

    /// After any version, with any limit.
    func events() throws {
        try fill(workflows: 10, length: 20...60)
        let reader = store.reader
        for (id, events) in model.events {
            let last = events.last?.version ?? 0
            for _ in 0..<10 {
                let after = Int64.random(in: -1...(last + 1), using: &samples.random)
                let limit = Int.random(in: 0...Int(last + 1), using: &samples.random)
                let expected = Array(events.filter { $0.version > after }.prefix(limit))
                #expect(try reader.events(of: id, after: after, limit: limit) == expected, seeded)
            }
            #expect(try reader.events(of: id, after: last, limit: 5) == [], seeded)
        }
        #expect(try reader.events(of: "unknown", after: 0, limit: 5) == [], seeded)
        #expect(try store.load("unknown") == nil && reader.load("unknown") == nil, seeded)
    }

    /// Letters, case and what would be wildcards elsewhere mean themselves.
    func prefixes() throws {
        let ids = ["a", "a_b", "aXb", "a.b", "A_b", "a-", "ab:c", "b%", "b", "ä", "z"].map { WorkflowID($0) }
        let appIDs = ["app", "other", "app%"]
        try commit(
            ids.enumerated().map { index, id in
                var spec = samples.spec()
                spec.id = id
                spec.appID = appIDs[index % appIDs.count]
                return samples.start(spec)
            })
        let scopes: [AppScope] = [
            .all, .only([]), .only(["app"]), .only(["app%"]), .only(["app", "other"]), .only(Set(appIDs)), .only(["%"]),
        ]
        for prefix in ["", "a", "a_", "a%", "A", "%", "_", "b%", "b%%", "ä", "z", "zz", "a.", "*", "\\"] {
            let all = ids.filter { $0.rawValue.utf8.starts(with: prefix.utf8) }
                .sorted { $0.rawValue.utf8.lexicographicallyPrecedes($1.rawValue.utf8) }
            for (limit, scope) in [0, 1, 2, 100].flatMap({ limit in scopes.map { (limit, $0) } }) {
                let own = all.filter { id in
                    scope.contains(appIDs[(ids.firstIndex(of: id) ?? 0) % appIDs.count])
                }
                let found = try store.reader.ids(withPrefix: prefix, within: scope, limit: limit)
                #expect(found == Array(own.prefix(limit)), "prefix '\(prefix)', limit \(limit), \(scope)")
            }
        }
    }

    /// Pages of random queries, from the first to the last, against the oracle.
    func lists(sort: ListQuery.Sort) throws {
        try fill(workflows: 250 / fixture.thrift, length: 1...12)
        for _ in 0..<120 / fixture.thrift {
            var query = ListQuery(
                filter: filter(), sort: sort, ascending: samples.random.once(in: 2),
                limit: samples.random.pick([1, 3, 7, 50, 1000]))
            let every = ListQuery(
                filter: query.filter, sort: sort, ascending: query.ascending, limit: ListQuery.maximumLimit)
            var rows: [WorkflowSummary] = []
            repeat {
                let page = try store.reader.list(query)
                let expected = model.list(query)
                #expect(page == expected, "seed \(seed), \(query)")
                if page != expected { return }
                rows += page.rows
                query.cursor = page.next
            } while query.cursor != nil
            #expect(rows == model.list(every).rows, seeded)
        }
    }

    /// An empty store; a cursor between rows, at both ends, and of a row that is gone.
    func listEdges() throws {
        let reader = store.reader
        #expect(try reader.list(ListQuery()) == ListPage(rows: [], next: nil))
        #expect(try reader.counts(WorkflowFilter()) == [:])
        try fill(workflows: 20)
        let times = model.workflows.values.map(\.createdAt)
        let around = (times.min() ?? samples.now).microseconds - 1...(times.max() ?? samples.now).microseconds + 1
        for _ in 0..<100 {
            let key = Timestamp(microseconds: Int64.random(in: around, using: &samples.random))
            let id = WorkflowID(samples.random.pick(["", "0", "7", "f", "zzz"]))
            let query = ListQuery(
                ascending: samples.random.once(in: 2), limit: 3, cursor: ListCursor(key: key, id: id))
            #expect(try reader.list(query) == model.list(query), "seed \(seed), \(query)")
        }
        for edge in [Int64.min, .max] {
            for ascending in [true, false] {
                let cursor = ListCursor(key: Timestamp(microseconds: edge), id: "x")
                let query = ListQuery(ascending: ascending, limit: 1000, cursor: cursor)
                #expect(try reader.list(query) == model.list(query), seeded)
            }
        }
        let none = ListQuery(filter: WorkflowFilter(ids: []))
        #expect(try reader.list(none) == ListPage(rows: [], next: nil), seeded)
    }

    func counts() throws {
        try fill(workflows: 120 / fixture.thrift, length: 1...15)
        for _ in 0..<200 / fixture.thrift {
            let filter = filter()
            #expect(try store.reader.counts(filter) == model.counts(filter), "seed \(seed), \(filter)")
        }
    }

    /// A random filter of which each part means some workflows and not others.
    private func filter() -> WorkflowFilter {
        let workflows = model.workflows.values.sorted { $0.id < $1.id }
        let one = samples.random.pick(workflows)
        var filter = WorkflowFilter()
        if samples.random.once(in: 3) {
            filter.statuses = Set(WorkflowStatus.allCases.filter { _ in samples.random.once(in: 2) })
        } else if samples.random.once(in: 3) {
            filter.statuses = samples.random.pick(StatusGroup.allCases).members
        }
        if samples.random.once(in: 3) { filter.appID = samples.random.pick([one.appID, one.appID, "a%", "none"]) }
        if samples.random.once(in: 4) { filter.name = samples.random.pick([one.name, one.name, "%", ""]) }
        if samples.random.once(in: 5) {
            filter.ids = workflows.filter { _ in samples.random.once(in: 3) }.map(\.id) + [one.id, "unknown"]
        }
        if samples.random.once(in: 4), let label = one.labels.randomElement(using: &samples.random) {
            filter.labels = samples.random.once(in: 3) ? one.labels : [label.key: label.value]
        }
        if samples.random.once(in: 12) { filter.labels["absent"] = "" }
        if samples.random.once(in: 4) { filter.createdFrom = one.createdAt }
        if samples.random.once(in: 4) { filter.createdBefore = samples.random.pick(workflows).createdAt }
        return filter
    }

    /// While a writer changes two workflows in each batch (one, if batches are not stored whole), every read sees all
    /// of one batch, and a record whose parts belong together.
    func readersSeeCommits() throws {
        var pair = (0..<(fixture.storesBatchesWhole ? 2 : 1)).map { _ in samples.start(requestID: "") }
        try commit(pair)
        let ids = pair.map(\.workflow.id)
        let group = DispatchGroup()
        let watch = ReaderWatch(reader: store.reader, ids: ids)
        for _ in 0..<3 { DispatchQueue.global().async(group: group) { watch.run() } }
        for round in 1...300 / fixture.thrift {
            for index in pair.indices {
                var workflow = pair[index].workflow
                workflow.version += 1
                workflow[AttemptPosition(step: 0, attempt: 0)].retries = round
                let event = Event(
                    workflowID: workflow.id, version: workflow.version, at: samples.now, kind: .started,
                    status: workflow.status, stepsDone: 0)
                pair[index] = WorkflowChange(
                    workflow: workflow, isNew: false, touched: [AttemptPosition(step: 0, attempt: 0)],
                    events: [event])
            }
            try commit(pair)
        }
        watch.stop()
        group.wait()
        #expect(watch.problems == [], seeded)
        #expect(watch.reads > 0, seeded)
        try expectAll()
    }
}

/// Threads that read while the test writes.
private final class ReaderWatch: Sendable {
    private let reader: any StoreReader
    private let ids: [WorkflowID]
    private let isDone = Atomic(false)
    private let found = Mutex<(reads: Int, problems: [String])>((0, []))

    init(reader: any StoreReader, ids: [WorkflowID]) {
        self.reader = reader
        self.ids = ids
    }

    var problems: [String] { found.withLock { $0.problems } }
    var reads: Int { found.withLock { $0.reads } }

    func stop() { isDone.store(true, ordering: .releasing) }

    /// Reads until it is stopped, at least once.
    func run() {
        var latest: Int64 = 0
        repeat {
            do {
                let rows = try reader.list(ListQuery(filter: WorkflowFilter(ids: ids))).rows
                let versions = Set(rows.map(\.version))
                if rows.count != ids.count || versions.count != 1 { report("a list shows versions \(versions)") }
                let version = versions.max() ?? 0
                if version < latest { report("version \(version) after \(latest)") }
                latest = version
                guard let id = ids.first, let workflow = try reader.load(id) else {
                    report("a workflow is missing")
                    return
                }
                let retries = Int64(workflow.steps[0].attempts[0].retries)
                if workflow.version != retries + 2 {
                    report("version \(workflow.version) with an attempt of version \(retries + 2)")
                }
                let last = try reader.events(of: id, after: workflow.version - 1, limit: 1).first?.version
                if last != workflow.version { report("no event for version \(workflow.version)") }
            } catch {
                report("\(error)")
            }
            found.withLock { $0.reads += 1 }
        } while !isDone.load(ordering: .acquiring)
    }

    private func report(_ problem: String) { found.withLock { $0.problems.append(problem) } }
}
