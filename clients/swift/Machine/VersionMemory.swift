import RhythmCore
import RhythmWire

/// What this client has seen of workflows, so that another server never shows it something older.
///
/// Remembers the latest few thousand workflows: in two halves, of which the older one is forgotten when the newer one is
/// full. What is forgotten is read as any server knows it, which is seldom more than a moment behind.
struct VersionMemory {
    private enum Seen {
        case version(Int64)
        /// It was deleted by this client.
        case deleted
    }

    private static let half = 2048

    private var recent: [WorkflowID: Seen] = [:]
    private var older: [WorkflowID: Seen] = [:]

    /// The workflow has this version, or had it.
    mutating func saw(_ id: WorkflowID, _ version: Int64) {
        // After a deletion by this client it is another workflow of the same id.
        if case .version(let known)? = recent[id] ?? older[id], known >= version { return }
        keep(id, .version(version))
    }

    mutating func deleted(_ id: WorkflowID) { keep(id, .deleted) }

    /// What was seen does not hold any more.
    ///
    /// - Returns: whether anything was.
    @discardableResult
    mutating func forget(_ id: WorkflowID) -> Bool {
        let known = recent.removeValue(forKey: id) != nil
        return older.removeValue(forKey: id) != nil || known
    }

    /// The request with what a server must know to answer it.
    func demand(in get: GetStatus) -> GetStatus {
        guard get.atLeastVersion == nil, !get.current, let seen = recent[get.workflowID] ?? older[get.workflowID] else {
            return get
        }
        var get = get
        switch seen {
        case .version(let version): get.atLeastVersion = version
        case .deleted: get.current = true
        }
        return get
    }

    private mutating func keep(_ id: WorkflowID, _ seen: Seen) {
        recent[id] = seen
        guard recent.count >= Self.half else { return }
        older = recent
        recent = [:]
    }
}
