import RhythmCore
import RhythmEngine
import RhythmMongo

/// Makes of a document of the Python library, and of the result documents that have to do with it, all that a decision
/// about it rests on.
struct LegacyReading {
    /// What a write has to find as it was read.
    private static let stamped = ["updated_at", "_status", "resume_lock", "steps"]

    private let document: BSONDocument
    private let results: [String: BSONDocument]
    private let address: String

    init(_ document: BSONDocument, results: [String: BSONDocument], at address: String) {
        self.document = document
        self.results = results
        self.address = address
    }

    func record() throws(StoreError) -> LegacyRecord {
        let (completed, found) = withLostRuns()
        let workflow = LegacyWorkflow.read(completed, results: results)
        let attempts = workflow.steps.flatMap(\.attempts)
        let lock = LegacyWorkflow.time(document["resume_lock"])
        let times = attempts.flatMap { [$0.startedAt, $0.endedAt].compactMap(\.self) }
        return LegacyRecord(
            workflow: workflow, history: LegacyHistory.events(of: workflow),
            storedStatus: document["_status"]?.stringValue ?? "", resumeLock: lock,
            changedAt: (times + [workflow.updatedAt, lock].compactMap(\.self)).max() ?? workflow.createdAt,
            foundAttempts: found,
            unknownArgs: Set(
                attempts.filter { !LegacyWorkflow.hasArgs(results[$0.id.rawValue]) && $0.args == .emptyArray }
                    .map(\.id)),
            stamp: try stamp())
    }

    /// A filter that means the document only while it is as it was read.
    private func stamp() throws(StoreError) -> LegacyStamp {
        var filter: BSONDocument = ["_id": document["_id"] ?? .null, ProjectionDocument.marker: ["$exists": false]]
        for key in Self.stamped { filter.append(key, document[key] ?? ["$exists": false]) }
        return LegacyStamp(
            bytes: try translating(address) { () throws(MongoError) in try filter.encoded() })
    }

    /// The document with the task runs that it has lost: tasks that name it in their arguments, and that it does not
    /// name. (The library's workers write whole documents over newer ones.)
    private func withLostRuns() -> (BSONDocument, Set<TaskID>) {
        let id = document["_id"]?.stringValue ?? ""
        let known = Set(LegacyWorkflow.taskIDs(document))
        var lost: [String: [BSONDocument]] = [:]
        for result in results.values {
            guard let task = result["_id"]?.stringValue, !known.contains(task),
                let kwargs = result["kwargs"]?.documentValue, kwargs["workflow_id"]?.stringValue == id,
                let step = kwargs["step"]?.stringValue
            else { continue }
            lost[step, default: []].append(result)
        }
        guard !lost.isEmpty else { return (document, []) }
        var found: Set<TaskID> = []
        let steps = LegacyWorkflow.steps(document).map { step -> BSONValue in
            guard let results = step["name"]?.stringValue.flatMap({ lost[$0] }) else { return .document(step) }
            found.formUnion(results.compactMap { $0["_id"]?.stringValue.map { TaskID($0) } })
            var step = step
            step["task_runs"] = .array(merge(LegacyWorkflow.runs(step), results))
            return .document(step)
        }
        var completed = document
        completed["steps"] = .array(steps)
        return (completed, found)
    }

    /// Known runs stand where they began; of a lost one at most its end is known, which is later than its beginning.
    private func merge(_ runs: [BSONDocument], _ lost: [BSONDocument]) -> [BSONValue] {
        let never = Timestamp(microseconds: .max)
        let lastChange =
            LegacyWorkflow.time(document["updated_at"]) ?? LegacyWorkflow.time(document["created_at"])
            ?? Timestamp(microseconds: 0)
        var placed = runs.map { (at: LegacyWorkflow.time($0["date_start"]) ?? lastChange, run: $0) }
        for result in lost {
            let end = LegacyWorkflow.time(result["date_done"])
            let run: BSONDocument = [
                "date_start": .date(end ?? lastChange), "task_id": result["_id"] ?? .null,
            ]
            placed.append((at: end ?? never, run: run))
        }
        return placed.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
            .map { .document($0.element.run) }
    }
}
