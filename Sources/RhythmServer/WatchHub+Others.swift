import RhythmCore
import RhythmEngine
import RhythmWire

/// What the hub shows of workflows that other servers change: it hears of a version, and reads the rest from the store.
extension WatchHub {
    /// A read of a workflow that another server has changed.
    struct ForeignRead {
        /// The highest version that was heard of.
        var wanted: Int64
        /// News may have been lost since it began.
        var isStale = false
        /// How often it gave nothing, or something older than what was heard of.
        var failures = 0
    }

    /// The first wait before a read is tried again, and the longest.
    private static let firstWait = Duration.milliseconds(100)
    private static let longestWait = Duration.seconds(2)
    /// A version that was not in the store after so many tries (some ten seconds) will not come.
    private static let mostTriesForVersion = 9

    /// Another server has changed a workflow; what it is now is in the store.
    ///
    /// - Parameter version: what it is known to have; `.max` if it may have any.
    func noticed(_ id: WorkflowID, version: Int64) {
        guard topics[id].map({ $0.version < version }) ?? !filterWatches.isEmpty else { return }
        guard var read = foreignReads[id] else {
            return readForeign(id, ForeignRead(wanted: version == .max ? 0 : version))
        }
        // What is under way may have begun before.
        if version == .max { read.isStale = true } else { read.wanted = max(read.wanted, version) }
        foreignReads[id] = read
    }

    private func readForeign(_ id: WorkflowID, _ begun: ForeignRead) {
        foreignReads[id] = begun
        let reader = server.engine.reader
        // Who joins with what is read now gets it as a snapshot.
        let known = topics[id]?.version ?? .max
        server.read { () throws(StoreError) in
            guard let workflow = try reader.load(id) else { return .workflow(nil) }
            // More than a topic keeps need not be read: who lacks them reads them for himself.
            let after = max(known, workflow.version - Int64(Topic.keptEvents))
            return .foreign(workflow, try reader.events(of: id, after: after, limit: Topic.keptEvents))
        } then: { [unowned self] result in
            guard let read = foreignReads[id] else { return }
            switch result {
            case .foreign(let workflow, let events):
                foreignReads[id] = nil
                take(workflow, events: events)
                let lacks = read.wanted > workflow.version
                if read.isStale || lacks && read.wanted > begun.wanted {
                    // It went on while it was read.
                    if isOfInterest(id) { readForeign(id, ForeignRead(wanted: read.wanted)) }
                } else if lacks, read.failures < Self.mostTriesForVersion {
                    readLater(id, read)
                }
            case .workflow:
                foreignReads[id] = nil
                removed(id)
            case .failed(let error) where error.code == .dataLoss:
                foreignReads[id] = nil
                failWatches(of: id, error)
            default: readLater(id, read)
            }
        }
    }

    /// Takes what was read: there is no more than that of it.
    private func take(_ workflow: Workflow, events: [Event]) {
        if let topic = topics[workflow.id] {
            for event in events { topic.append(event) }
            // They are not kept so long: watches find the gap when they read what they lack.
            if topic.version < workflow.version { topic.reset(version: workflow.version) }
        }
        take(workflow, [])
    }

    private func readLater(_ id: WorkflowID, _ read: ForeignRead) {
        var read = read
        let wait = min(Self.longestWait, Self.firstWait * (1 << min(read.failures, 10)))
        read.failures += 1
        foreignReads[id] = read
        server.timers.schedule(after: wait) { [unowned self] in
            guard let read = foreignReads[id], isOfInterest(id) else {
                foreignReads[id] = nil
                return
            }
            readForeign(id, ForeignRead(wanted: read.wanted, failures: read.failures))
        }
    }

    private func isOfInterest(_ id: WorkflowID) -> Bool { topics[id] != nil || !filterWatches.isEmpty }

    /// Its record is damaged: whoever asked for it by its id learns that nothing more can be told of it.
    private func failWatches(of id: WorkflowID, _ error: RhythmError) {
        for cursor in topics[id]?.followers ?? [] where cursor.watch.request.filter == nil {
            cursor.watch.call.connection.fail(cursor.watch.call, error)
        }
    }

    /// Reads again what is watched of other servers' workflows: news of them may have been lost.
    func recheckForeign() {
        for id in topics.keys where server.engine.active(id) == nil { noticed(id, version: .max) }
        for watch in filterWatches.all.values { lookAgain(for: watch) }
    }
}
