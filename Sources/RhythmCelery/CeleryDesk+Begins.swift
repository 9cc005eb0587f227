import RhythmCore
import RhythmEngine

// MARK: Whether attempts have begun, and where those may be that have not

/// Begins are told by documents (`track_started`) or by events. Where neither is sure, workers are asked what runs, and
/// what is lost counts as one that may have begun: its work must not be done twice because nobody has told of it.
extension CeleryDesk {
    /// An attempt is left alone for so long before workers are asked whether it runs.
    private static let grace: Duration = .seconds(1)

    /// The documents of a task's runs say that they have begun, and this is where they are stored.
    private func documentsTellOfBegin(_ task: String) -> Bool { documentsArrive && kinds.hasAlwaysTracked(task) }

    /// What is known of the begin of an attempt.
    func begin(of entry: CeleryEntry) -> Evidence.Begin {
        if entry.hasBegun { return .seen }
        guard let task = entry.dispatch?.task else { return .unknown("somebody else has sent it") }
        // Most likely it was never sent. So is one that was sent and then forgotten by the broker.
        if entry.isUncertain || documentsTellOfBegin(task) { return .ruledOut }
        if let toldSince, let sentAt = entry.sentAt, toldSince <= sentAt { return .ruledOut }
        return .unknown(
            kinds.hasAlwaysTracked(task)
                ? "no result document has been seen so far in \(results.place)"
                : "documents of this task do not tell (task_track_started), and not all workers have sent events")
    }

    /// It would be known if a worker had begun it, even one that nobody has heard of for a while.
    func hasProvablyNotBegun(_ entry: CeleryEntry) -> Bool {
        guard let task = entry.dispatch?.task, !entry.hasBegun else { return false }
        switch entry.document?.status {
        // Workers that never had it write REVOKED when they are told to stop it.
        case nil, .waiting, .revoked: return documentsTellOfBegin(task)
        case .started, .retry, .success, .failure: return false
        }
    }

    /// The worker that has begun it is there, and has been since then.
    func hasStayed(_ entry: CeleryEntry) -> Bool {
        guard let begunAt = entry.begunAt ?? entry.sentAt, let listeningSince, listeningSince <= begunAt,
            roster.standing(of: entry.begunBy, at: now) == .live
        else { return false }
        return cameUp[entry.begunBy].map { $0 <= begunAt } ?? true
    }

    /// What workers have said of it when they were asked: one whose process is at it has begun it.
    func noteWhatRuns(_ id: TaskID, _ finding: Census.Finding) {
        guard let entry = entries[id], !entry.isEnded else { return }
        // A broker that lost sight of a worker may have given it to another; both may be at it.
        guard !finding.running.contains(entry.begunBy), let worker = finding.running.min() else {
            if finding.running.contains(entry.begunBy), !entry.startIsTold {
                begin(id, worker: entry.begunBy, at: finding.holders[entry.begunBy]?.begunAt ?? time)
            }
            return
        }
        begin(id, worker: worker, at: finding.holders[worker]?.begunAt ?? time)
    }

    /// Asks what runs, as long as something may run of which nobody tells.
    func askWhatRuns() {
        guard nextRunningLook <= now else { return }
        nextRunningLook = now + configuration.times.runningLook
        guard toldSince == nil else { return }
        let isOpen = entries.values.contains { entry in
            guard entry.isSent, !entry.hasBegun, entry.revoke == nil, now - entry.since >= Self.grace,
                let task = entry.dispatch?.task
            else { return false }
            return !documentsTellOfBegin(task)
        }
        if isOpen { ask(.active, .running) }
    }

    // MARK: Where a message may be that nobody names

    /// Some worker lets attempts of its task begin only so often.
    func isLimited(_ entry: CeleryEntry) -> Bool { entry.dispatch.map { kinds.isLimited($0.task) } ?? false }

    /// Why an attempt may be in the hands of a worker that does not say so: what it has taken of a task with a rate limit
    /// is in no answer to remote control until its turn comes. Nil if that cannot be.
    func limit(of entry: CeleryEntry) -> String? {
        guard let task = entry.dispatch?.task, kinds.isLimited(task) else { return nil }
        guard !entry.hasBegun || mayBeDelayed(entry) || kinds.acknowledgesLate(task) else { return nil }
        for worker in roster.expected(at: now).sorted() {
            guard let limit = kinds.limit(of: task, in: worker), takers.takes(worker, from: entry.queue) != false
            else {
                continue
            }
            return "worker \(worker) begins \(task) only \(limit) (rate_limit), and keeps it until its turn comes"
        }
        return nil
    }

    /// Its next run may lie where messages wait that are not due yet.
    func mayBeDelayed(_ entry: CeleryEntry) -> Bool { entry.isBetweenRuns || entry.document?.status == .retry }
}
