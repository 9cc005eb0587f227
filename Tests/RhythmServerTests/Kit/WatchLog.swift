import RhythmCore
import RhythmWire
import Testing

/// What one watch was told, checked as it comes: per workflow a snapshot or the version it asked for, then every
/// version once and in order, and progress only while its attempt runs.
final class WatchLog {
    struct Told {
        var lastVersion: Int64?
        var snapshots: [Snapshot] = []
        var gaps: [Int64] = []
        var transitions: [Event] = []
        /// Progress with the version behind which it came.
        var progress: [(after: Int64, update: ProgressUpdate)] = []
        var endedAttempts: Set<TaskID> = []
        var isDeleted = false
        var status: WorkflowStatus?
    }

    let call: UInt64
    private let peer: RawPeer
    private(set) var told: [WorkflowID: Told] = [:]
    private(set) var bookmarks = 0
    /// How many were left out, each time that it was told.
    private(set) var limits: [UInt64] = []
    private(set) var order: [WatchEvent] = []
    /// How the stream ended: nil while it has not, `.some(nil)` for its normal end.
    private(set) var end: RhythmError??

    init(_ peer: RawPeer, _ request: WatchProgress) async throws {
        self.peer = peer
        call = try await peer.begin(.watchProgress(request))
        for target in request.targets { told[target.workflowID, default: Told()].lastVersion = target.afterVersion }
    }

    convenience init(
        _ peer: RawPeer, _ id: WorkflowID, after version: Int64? = nil, untilDone: Bool = false
    ) async throws {
        let target = WatchTarget(workflowID: id, afterVersion: version)
        try await self.init(peer, WatchProgress(targets: [target], untilDone: untilDone))
    }

    subscript(id: WorkflowID) -> Told { told[id] ?? Told() }

    /// Takes one frame of the stream.
    func next(within limit: Duration = patience) async throws {
        switch try await peer.next(of: call, within: limit) {
        case .watchEvent(let event): take(event)
        case .status(let error): end = .some(error)
        case let other: throw RawPeer.Trouble.unexpected(other)
        }
    }

    /// Takes frames until the condition holds.
    func until(_ what: String, _ condition: (WatchLog) -> Bool) async throws {
        let deadline = ContinuousClock.now + patience
        while !condition(self) {
            if let end { throw Impatience(description: "the stream ended (\(String(describing: end))) before \(what)") }
            // Bookmarks may come for ever.
            do { try await next(within: ContinuousClock.now.duration(to: deadline)) } catch RawPeer.Trouble.timeout {
                throw Impatience(description: "not in time: \(what); last told \(order.suffix(3))")
            }
        }
    }

    func untilStatus(_ id: WorkflowID, _ status: WorkflowStatus) async throws {
        try await until("\(id) is \(status)") { $0[id].status == status }
    }

    func untilEnd() async throws {
        let deadline = ContinuousClock.now + patience
        while end == nil { try await next(within: ContinuousClock.now.duration(to: deadline)) }
    }

    private func take(_ event: WatchEvent) {
        order.append(event)
        switch event {
        case .snapshot(let snapshot):
            let id = snapshot.summary.id
            // After a deletion the id may be another workflow's.
            if told[id]?.isDeleted == true { told[id] = nil }
            #expect(told[id]?.lastVersion == nil || told[id]?.gaps.isEmpty == false, "a snapshot that nobody needed")
            told[id, default: Told()].snapshots.append(snapshot)
            told[id]?.lastVersion = snapshot.summary.version
            told[id]?.status = snapshot.summary.status
            let ended = snapshot.steps.filter(\.status.isEnd).compactMap(\.taskID)
            told[id]?.endedAttempts.formUnion(ended)
        case .transition(let event):
            let id = event.workflowID
            let before = told[id]?.lastVersion
            #expect(event.version == (before ?? -1) + 1, "version \(event.version) of \(id) after \(before ?? -1)")
            #expect(told[id]?.isDeleted != true)
            told[id, default: Told()].transitions.append(event)
            told[id]?.lastVersion = event.version
            told[id]?.status = event.status
            if [.succeeded, .failed, .revoked].contains(event.kind), let task = event.taskID {
                told[id]?.endedAttempts.insert(task)
            }
        case .progress(let update):
            let id = update.workflowID
            #expect(told[id]?.endedAttempts.contains(update.taskID) != true, "progress after the end of its attempt")
            let last = told[id]?.progress.last { $0.update.taskID == update.taskID }?.update.progress.done ?? 0
            #expect(update.progress.done >= last, "older progress after newer")
            told[id, default: Told()].progress.append((told[id]?.lastVersion ?? -1, update))
        case .gap(let id, let oldest): told[id, default: Told()].gaps.append(oldest)
        case .deleted(let id): told[id, default: Told()].isDeleted = true
        case .bookmark: bookmarks += 1
        case .limited(_, let leftOut): limits.append(leftOut)
        }
    }
}
