import RhythmCore
import RhythmWire

/// What one watch was told: enough to see that nothing is missing.
struct WatchTally {
    /// Something that many watches are told, by what tells it apart from others.
    struct Update {
        enum Event: Hashable {
            case transition(Int64), progress(Double)
        }

        struct Key: Hashable {
            let subject: Int
            let event: Event
        }

        let key: Key
        /// Microseconds from when it happened until it was read.
        let latency: Int64
    }

    /// The number of the workflow that it is of.
    let subject: Int
    /// Whether all of it is looked at.
    let isChecked: Bool
    private(set) var transitions = 0
    private(set) var progress = 0
    private(set) var lastVersion: Int64 = 0
    private(set) var lastProgress = 0.0
    private(set) var hasBegun = false

    init(subject: Int = 0, isChecked: Bool) {
        self.subject = subject
        self.isChecked = isChecked
    }

    mutating func count(_ event: FrameHead.Event) {
        switch event {
        case .transition:
            transitions += 1
            lastVersion += 1
        case .progress: progress += 1
        case .other: break
        }
    }

    /// - Throws: ``BenchError`` if a version is missing or comes twice.
    mutating func take(_ event: WatchEvent, receivedAt now: Int64) throws -> Update? {
        switch event {
        case .snapshot(let snapshot):
            hasBegun = true
            lastVersion = snapshot.summary.version
            return nil
        case .transition(let event):
            guard event.version == lastVersion + 1 else {
                throw BenchError("version \(event.version) after \(lastVersion)")
            }
            count(.transition)
            return Update(
                key: .init(subject: subject, event: .transition(event.version)), latency: now - event.at.microseconds)
        case .progress(let update):
            count(.progress)
            lastProgress = update.progress.done
            return Update(
                key: .init(subject: subject, event: .progress(lastProgress)), latency: now - Int64(lastProgress))
        case .gap(_, let oldest): throw BenchError("a gap up to \(oldest)")
        case .limited(let most, _): throw BenchError("the server shows a watch no more than \(most) workflows")
        case .deleted, .bookmark: return nil
        }
    }
}
