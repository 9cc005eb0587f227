import Dispatch
import Glibc
import RhythmCore
import RhythmMongo
import Synchronization

/// The workers' result backend: reads their documents, and keeps the few documents that the runner needs beside them.
///
/// The driver blocks, so everything happens on queues of its own; what comes of it goes to the desk's inbox.
final class ResultBackend: Sendable {
    /// What a read brought.
    enum Reading: Sendable {
        case found([TaskID: ResultDocument])
        case failed(String)
    }

    /// Ids that were revoked and may still lie in a queue: workers that start later are told (``ControlCall/hello``).
    static let revokedCollection = "rhythm_revoked"
    /// How many of them workers keep themselves.
    static let revokedMax = 50_000
    private static let revokedSeconds: Int64 = 30 * 86_400
    /// Private documents of attempts that ended long ago are swept after this time.
    private static let sweepMilliseconds: Int64 = 86_400_000
    /// Spare ones that nobody has used.
    private static let spareSweepMilliseconds: Int64 = 30 * sweepMilliseconds

    private let pool: MongoPool
    private let collectionName: MongoCollectionName
    /// The collection of the results.
    var collection: String { collectionName.value }
    private let serverID: String
    private let usesChangeStream: Bool
    private let bareTasks: TaskNames
    private let inbox: DeskInbox
    private let reads = DispatchQueue(label: "rhythm.celery.reads")
    private let writes = DispatchQueue(label: "rhythm.celery.writes")
    private let changes = DispatchQueue(label: "rhythm.celery.changes")
    private let isStopped = Atomic(false)
    /// Signalled for good once nothing is left to do after a stop.
    private let isOver = DispatchSemaphore(value: 0)

    init(
        _ pool: MongoPool, _ configuration: CeleryConfiguration, collection: MongoCollectionName, inbox: DeskInbox
    ) {
        self.pool = pool
        collectionName = collection
        serverID = configuration.serverID
        usesChangeStream = configuration.usesChangeStream
        bareTasks = configuration.bareTasks
        self.inbox = inbox
    }

    /// The database, for messages.
    var description: String { pool.description }
    /// Where documents are looked for, for messages.
    var place: String { "\(pool.database).\(collection) of \(pool.description)" }
    /// Its name.
    var database: String { pool.database }

    /// The results are in another collection. A change stream of the old one ends by itself.
    func move(to collection: String) { collectionName.change(to: collection) }

    // MARK: Reading

    /// Reads documents; ids without one are absent from the answer.
    func read(_ ids: [TaskID], answer: @escaping @Sendable (Reading) -> DeskInbox.Input) {
        reads.async { [self] in
            guard !isStopped.load(ordering: .relaxed) else { return }
            do throws(MongoError) {
                let documents = try pool.find(
                    collection, filter: ["_id": ["$in": .array(ids.map { .string($0.rawValue) })]])
                var found: [TaskID: ResultDocument] = [:]
                for document in documents {
                    if let result = ResultDocument(document) { found[result.id] = result }
                }
                inbox.put(answer(.found(found)))
            } catch {
                inbox.put(answer(.failed("\(error)")))
            }
        }
    }

    /// Looks at how the database does, for an examination.
    func examine(begun: Duration) {
        reads.async { [self] in
            guard !isStopped.load(ordering: .relaxed) else { return }
            let before = ContinuousClock.now
            do throws(MongoError) {
                let server = try pool.hello()
                let recent = try pool.find(
                    collection, filter: ["status": "SUCCESS"], projection: ["args": 1, "name": 1],
                    sort: ["date_done": -1], limit: 20)
                let state = DatabaseState.Seen(
                    time: ContinuousClock.now - before, isWritable: server.isWritable,
                    hasChangeStreams: server.hasChangeStreams, results: recent.count,
                    bareResults: recent.count { $0["args"] == nil }, libraryWorkflows: try libraryWorkflows())
                inbox.put(.examinedDatabase(.answers(state), begun: begun))
            } catch {
                inbox.put(.examinedDatabase(.fails("\(error)"), begun: begun))
            }
        }
    }

    /// How many workflows of the library that are not done have a step of a task that is sent bare, by the task.
    private func libraryWorkflows() throws(MongoError) -> [String: Int] {
        if bareTasks.isEmpty { return [:] }
        let open = try pool.find(
            PrivateDocument.collection,
            filter: [
                "rhythm": ["$exists": false], PrivateDocument.marker: ["$exists": false],
                "_status": ["$ne": "SUCCESS"],
            ], projection: ["steps.task": 1], limit: 1000)
        var found: [String: Int] = [:]
        for document in open {
            let steps = document["steps"]?.arrayValue ?? []
            let tasks = Set(steps.compactMap { $0.documentValue?["task"]?.stringValue })
            for task in tasks where bareTasks.contains(task) { found[task, default: 0] += 1 }
        }
        return found
    }

    // MARK: Private documents

    /// Stores private documents; those that are there already stay as they are.
    func prepare(_ documents: [BSONDocument], answer: @escaping @Sendable (String?) -> DeskInbox.Input) {
        writes.async { [self] in
            let trouble = attempt { () throws(MongoError) in
                let writes = documents.map { MongoWrite.insert($0) }
                let result = try pool.bulkWrite(PrivateDocument.collection, writes, ordered: false)
                if let refusal = result.refusals.first(where: { $0.error.kind != .duplicateKey }) {
                    throw refusal.error
                }
            }
            inbox.put(answer(trouble))
        }
    }

    /// Deletes private documents that nobody needs any more.
    func remove(privateDocuments ids: [String]) {
        writes.async { [self] in
            _ = attempt { () throws(MongoError) in try delete(privateDocuments: ids) }
        }
    }

    private func delete(privateDocuments ids: [String]) throws(MongoError) {
        let ids = ids.map { BSONValue.string($0) }
        try pool.delete(PrivateDocument.collection, filter: ["_id": ["$in": .array(ids)]], many: true)
    }

    /// Deletes private documents that a crash has left behind: those whose attempt has a result, after a day, and spare
    /// ones (``SpareDocuments``) that no attempt has begun with, after thirty. A message that waits in a queue for longer
    /// than that may find its document gone.
    func sweep(now: Timestamp) {
        writes.async { [self] in
            _ = attempt { () throws(MongoError) in
                let now = now.microseconds / 1000
                // Page by page: those that stay for now may be many.
                var last = ""
                while let next = try sweepPage(after: last, now: now) { last = next }
            }
        }
    }

    /// - Returns: the id of the page's last document; nil if it was the last page.
    private func sweepPage(after last: String, now: Int64) throws(MongoError) -> String? {
        let old = try pool.find(
            PrivateDocument.collection,
            filter: [
                "_id": ["$gt": .string(last)], PrivateDocument.marker: ["$exists": true],
                "created_at": ["$lt": .date(milliseconds: now - Self.sweepMilliseconds)],
            ], projection: ["created_at": 1, "steps": 1], sort: ["_id": 1], limit: 1000)
        var surplus: [BSONValue] = []
        var used: [(document: BSONValue, task: BSONValue)] = []
        for document in old {
            guard let id = document["_id"], let name = id.stringValue else { continue }
            if let task = PrivateDocument.begun(by: document) ?? PrivateDocument.task(of: name) {
                used.append((id, .string(task.rawValue)))
            } else if let created = document["created_at"]?.dateMilliseconds,
                created < now - Self.spareSweepMilliseconds
            {
                surplus.append(id)
            }
        }
        if !used.isEmpty {
            let ended = Set(
                try pool.find(
                    collection,
                    filter: [
                        "_id": ["$in": .array(used.map(\.task))],
                        "status": ["$in": ["SUCCESS", "FAILURE", "REVOKED"]],
                    ], projection: ["_id": 1]
                ).compactMap { $0["_id"]?.stringValue })
            surplus += used.filter { ended.contains($0.task.stringValue ?? "") }.map(\.document)
        }
        if !surplus.isEmpty {
            try pool.delete(PrivateDocument.collection, filter: ["_id": ["$in": .array(surplus)]], many: true)
        }
        return old.count < 1000 ? nil : old.last?["_id"]?.stringValue
    }

    // MARK: Revoked ids

    /// Keeps ids for workers that start later, also after a restart of this server.
    func keep(revoked ids: [TaskID], now: Timestamp) {
        writes.async { [self] in
            _ = attempt { () throws(MongoError) in
                let writes = ids.map {
                    MongoWrite.update(
                        filter: ["_id": .string($0.rawValue)],
                        update: ["$set": ["at": .date(milliseconds: now.microseconds / 1000)]], upsert: true)
                }
                _ = try pool.bulkWrite(Self.revokedCollection, writes, ordered: false)
            }
        }
    }

    /// Reads the ids that were kept; they come as ``DeskInbox/Input/revoked(_:)``.
    func loadRevoked() {
        writes.async { [self] in
            _ = attempt { () throws(MongoError) in
                let documents = try pool.find(
                    Self.revokedCollection, projection: ["_id": 1], sort: ["at": -1], limit: Self.revokedMax)
                inbox.put(.revoked(documents.compactMap { $0["_id"]?.stringValue.map { TaskID($0) } }))
                // The database forgets them after a while; the index is made anew only if it is not there.
                try pool.writeCommand([
                    "createIndexes": .string(Self.revokedCollection),
                    "indexes": [["key": ["at": 1], "name": "at", "expireAfterSeconds": .int64(Self.revokedSeconds)]],
                ])
            }
        }
    }

    private func attempt(_ body: () throws(MongoError) -> Void) -> String? {
        guard !isStopped.load(ordering: .relaxed) else { return "the runner is stopped" }
        do throws(MongoError) {
            try body()
            return nil
        } catch {
            return "\(error)"
        }
    }

    // MARK: Changes

    /// Tells of every document that changes, where the database can do that. Once; a thread of its own.
    func watch() {
        guard usesChangeStream else { return }
        changes.async { [self] in
            while !isStopped.load(ordering: .relaxed) {
                do throws(MongoError) {
                    try follow()
                } catch {
                    if error.kind == .notSupported || error.kind == .unauthorized { return }
                    for _ in 0..<20 where !isStopped.load(ordering: .relaxed) { usleep(50_000) }
                }
            }
        }
    }

    private func follow() throws(MongoError) {
        let followed = collection
        let stream = try pool.watch(
            followed,
            [
                ["$match": ["operationType": ["$in": ["insert", "replace", "update"]]]],
                ["$project": ["documentKey": 1]],
            ], wait: .milliseconds(500))
        inbox.put(.feedBegan)
        while !isStopped.load(ordering: .relaxed), collection == followed {
            guard let change = try stream.next(timeout: .milliseconds(500)) else { continue }
            if let id = change["documentKey"]?.documentValue?["_id"]?.stringValue { inbox.put(.changed([TaskID(id)])) }
        }
    }

    // MARK: The end

    /// Nothing is read or written from now on but that these private documents are deleted; what is under way ends by
    /// itself.
    func stop(removing ids: [String]) {
        isStopped.store(true, ordering: .relaxed)
        writes.async { [self] in
            do throws(MongoError) {
                if !ids.isEmpty { try delete(privateDocuments: ids) }
            } catch {
                // They are swept some day.
            }
            isOver.signal()
        }
    }

    /// Waits until all is done that ``stop(removing:)`` has left to do, or for some time.
    func finish(within patience: Duration) async {
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            DispatchQueue.global().async { [isOver] in
                let deadline = DispatchTime.now() + .microseconds(Int(patience.wholeMicroseconds))
                if isOver.wait(timeout: deadline) == .success { isOver.signal() }
                done.resume()
            }
        }
    }
}
