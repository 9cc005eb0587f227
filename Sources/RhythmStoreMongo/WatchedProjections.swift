import RhythmCore
import RhythmMongo

/// What projections are expected to say: of workflows that are on their way, and for a while of those that have settled.
struct WatchedProjections {
    struct Expected {
        var revision: Int64
        var status: WorkflowStatus
        var updatedAt: Timestamp
        var isSettled: Bool
        /// It was seen as it should be. What was only written a database that ended since may have lost.
        var isSure: Bool
        var since: ContinuousClock.Instant
    }

    /// What one of them says.
    enum Finding: Equatable {
        case asExpected
        /// Another server wrote it later.
        case newer
        /// It is behind, or was never written: nobody's fault.
        case behind
        /// Somebody else has deleted it.
        case deleted
        /// Somebody else has changed it; with the status that it shows.
        case changed(status: String)
    }

    /// How long those that have settled are watched, and how many of them.
    private static let settledTime = Duration.seconds(600)
    private static let settledKept = 2_000
    /// What a database had not written to its journal when it ended is not older than this.
    private static let unsafeTime = Duration.seconds(60)

    private(set) var expected: [WorkflowID: Expected] = [:]
    /// In the order in which they are looked at; some may be forgotten.
    private var turn: [WorkflowID] = []
    private var settled = 0

    var isEmpty: Bool { expected.isEmpty }

    /// Written so short a time ago that a database which ended may have lost it.
    var recent: [WorkflowID] {
        let now = ContinuousClock.now
        return expected.filter { now - $0.value.since < Self.unsafeTime }.map(\.key)
    }

    /// It was written, or may have been.
    mutating func expect(_ work: Afterwork.Work) {
        let workflow = work.workflow
        let old = expected.updateValue(
            Expected(
                revision: work.revision, status: workflow.status, updatedAt: workflow.updatedAt,
                isSettled: workflow.isSettled, isSure: false, since: .now), forKey: workflow.id)
        if old == nil { turn.append(workflow.id) }
        settled += (workflow.isSettled ? 1 : 0) - (old?.isSettled == true ? 1 : 0)
    }

    mutating func forget(_ id: WorkflowID) {
        if expected.removeValue(forKey: id)?.isSettled == true { settled -= 1 }
    }

    /// The next ones to be looked at, each once at most.
    mutating func next(_ limit: Int) -> [WorkflowID: Expected] {
        let now = ContinuousClock.now
        var found: [WorkflowID: Expected] = [:]
        var seen = 0
        var kept: [WorkflowID] = []
        while found.count < limit, seen < turn.count {
            let id = turn[seen]
            seen += 1
            guard let expected = expected[id], found[id] == nil else { continue }
            if expected.isSettled, settled > Self.settledKept || now - expected.since > Self.settledTime {
                forget(id)
                continue
            }
            found[id] = expected
            kept.append(id)
        }
        turn.removeFirst(seen)
        turn += kept
        return found
    }

    mutating func sawAsExpected(_ id: WorkflowID) { expected[id]?.isSure = true }

    /// What a document, or that there is none, means.
    static func judge(_ document: BSONDocument?, _ expected: Expected) -> Finding {
        guard let document else { return expected.isSure ? .deleted : .behind }
        let at = document["rhythm"]?.documentValue?["at"]?.int64Value
        let status = document["_status"]?.stringValue ?? ""
        if let at, at > expected.revision { return .newer }
        if at == expected.revision, status == expected.status.rawValue,
            document["updated_at"]?.dateMilliseconds == expected.updatedAt.wholeMilliseconds,
            document["resume_lock"]?.dateMilliseconds != nil
        {
            return .asExpected
        }
        return expected.isSure || at == expected.revision || at == nil ? .changed(status: status) : .behind
    }

    /// What ``judge(_:_:)`` looks at.
    static let fields: BSONDocument = ["_status": 1, "updated_at": 1, "resume_lock": 1, "rhythm": 1]
}
