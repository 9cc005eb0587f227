import RhythmClient
import RhythmCore

/// What a watch of one workflow was told, and whether the protocol's promises were kept.
struct WatchLog {
    /// The last thing that was said of its status.
    struct Last {
        var status: WorkflowStatus
    }

    private(set) var last: Last?
    private(set) var lastVersion: Int64?
    private(set) var progress = 0
    private(set) var problems: [String] = []
    private var isGapped = false

    mutating func add(_ update: WatchUpdate) {
        switch update {
        case .snapshot(let snapshot):
            if lastVersion != nil, !isGapped { problems.append("a snapshot in between") }
            isGapped = false
            lastVersion = snapshot.summary.version
            last = Last(status: snapshot.summary.status)
        case .transition(let event):
            if event.version != (lastVersion ?? event.version) + 1 {
                problems.append("version \(event.version) after \(String(describing: lastVersion))")
            }
            lastVersion = event.version
            last = Last(status: event.status)
        case .progress: progress += 1
        case .gap:
            isGapped = true
            problems.append("a gap")
        case .deleted: problems.append("deleted")
        case .limited(_, let leftOut): problems.append("limited: \(leftOut)")
        case .interrupted(let error): problems.append("interrupted: \(error)")
        }
    }
}
