import Logging
import RhythmCore
import RhythmEngine

// MARK: What the documents say

extension CeleryDesk {
    /// So many are read at once.
    private static let batch = 500
    /// How long the database may be away before anybody is told.
    private static let patience: Duration = .seconds(3)

    /// Reads what is due, if no read is under way and the last one is long enough ago (``PollSchedule/rest(after:)``).
    func poll() {
        guard !isPolling, now >= nextRead else { return }
        let due = polls.takeDue(now: now, limit: Self.batch)
        guard !due.isEmpty else { return }
        isPolling = true
        readBegan = now
        results.read(due) { .polled(due, $0) }
    }

    /// A read that the schedule asked for is back.
    func polled(_ ids: [TaskID], _ reading: ResultBackend.Reading) {
        isPolling = false
        nextRead = now + polls.rest(after: now - readBegan)
        switch reading {
        case .found(let documents):
            databaseAnswers()
            for id in ids {
                if let document = documents[id] { apply(document) }
                polls.wasRead(id, now: now)
            }
        case .failed(let reason):
            for id in ids { polls.wasNotRead(id, retryAt: now + .milliseconds(500)) }
            databaseFails(reason)
        }
    }

    private func databaseAnswers() {
        guard databaseTrouble != nil else { return }
        databaseTrouble = nil
        logger.notice("the results database answers again")
        // What could not be read until now may be on its way.
        for id in entries.keys where entries[id]?.toldEnd != nil { entries[id]?.toldEnd?.at = now }
        for (id, entry) in entries where entry.isSent { tellWait(id, wait(of: entry)) }
    }

    /// The database did not answer.
    func databaseFails(_ reason: String) {
        if databaseTrouble == nil {
            databaseTrouble = (reason, now)
            logger.warning("the results database does not answer: \(reason)")
        }
        guard let trouble = databaseTrouble, now - trouble.since >= Self.patience else { return }
        for (id, entry) in entries where entry.isSent { tellWait(id, wait(of: entry)) }
    }

    /// Why an attempt that was sent does not move; nil if it does, or nobody knows.
    func wait(of entry: CeleryEntry) -> String? {
        if let trouble = databaseTrouble, now - trouble.since >= Self.patience {
            return "the results database does not answer: \(trouble.reason)"
        }
        if let revoke = entry.revoke { return revoke.explanation }
        if let ending = entry.ending { return ending.explanation(entry.document) }
        if !entry.hasBegun, let queue = queues[entry.queue] {
            if queue.state == .missing { return "queue \(entry.queue) is gone" }
            if queue.consumers == 0 { return "no worker takes from queue \(entry.queue)" }
        }
        if !entry.hasBegun, case .holds(let count) = queues[entry.queue]?.state {
            // Among many messages is where an attempt belongs; there is nothing to explain.
            if count > 0 { return nil }
            if let limit = limit(of: entry) { return limit }
        }
        return entry.lost.explanation
    }

    /// Takes a document. The first success or failure that is seen counts, whatever is written later.
    func apply(_ document: ResultDocument) {
        let id = document.id
        guard let entry = entries[id], !entry.isEnded, entry.document != document else { return }
        entries[id]?.document = document
        // Celery 5.6.2 and 5.6.3 write REVOKED anew in every worker that is told, each time: no news of the attempt.
        if document.status != .revoked || entry.document?.status != .revoked { entries[id]?.hear(at: now) }
        roster.mention(document.node, at: now)
        if !document.node.isEmpty { writers.insert(document.node) }
        if document.status != .revoked, document.status != .waiting { documentsArrive = true }
        tellMissedRetries(document)
        if document.tellsEnd { return takeEnd(document) }
        if entry.ending != nil { goesOn(id) }
        switch document.status {
        case .started: applyStarted(document)
        case .retry:
            entries[id]?.hasBegun = true
            entries[id]?.startIsTold = false
            entries[id]?.toldEnd = nil
            let retries = document.retries.map { $0 == .max ? $0 : $0 + 1 } ?? entry.retriesTold + 1
            entries[id]?.retriesTold = retries
            tell(id, .retrying(retries: retries, document.failure))
        case .revoked:
            if entry.revoke == nil { beginRevoke(id, isOurs: false) }
            if entry.isSent { wanted.insert(id) }
        case .waiting, .success, .failure: break
        }
        if let entry = entries[id], !entry.waitTold.isEmpty { tellWait(id, wait(of: entry)) }
    }

    /// Who has run it, if that is not known, or if it was another than the one that was known to begin it.
    func tellWho(_ id: TaskID, _ document: ResultDocument) {
        guard let entry = entries[id], entry.isNews(of: document.node, at: now) else { return }
        if entry.startIsTold {
            tell(id, .started(at: document.endedAt ?? time, worker: document.node))
        } else {
            tell(id, .ran(worker: document.node))
        }
    }

    /// A run's own document may follow so soon on that of its predecessor's RETRY that nobody has read the latter.
    private func tellMissedRetries(_ document: ResultDocument) {
        guard let retries = document.retries, let told = entries[document.id]?.retriesTold, retries > told,
            document.status != .retry, document.status != .revoked
        else { return }
        entries[document.id]?.hasBegun = true
        entries[document.id]?.startIsTold = false
        entries[document.id]?.retriesTold = retries
        let failure = Failure(type: "Retry", message: "its worker tried it again before anybody had read why")
        tell(document.id, .retrying(retries: retries, failure))
    }

    private func applyStarted(_ document: ResultDocument) {
        if let end = entries[document.id]?.toldEnd, !document.node.isEmpty, document.node != end.worker {
            entries[document.id]?.toldEnd = nil
        }
        begin(document.id, worker: document.node, at: time)
        guard let progress = document.progress(now: time) else { return }
        var same = entries[document.id]?.progressTold
        same?.at = progress.at
        guard same != progress else { return }
        entries[document.id]?.progressTold = progress
        tell(document.id, .progress(progress))
    }

    /// A worker has begun an attempt, or another one has after that.
    func begin(_ id: TaskID, worker: String, at: Timestamp) {
        guard let entry = entries[id], !entry.isEnded else { return }
        entries[id]?.hasBegun = true
        if !worker.isEmpty { entries[id]?.begunBy = worker }
        guard !entry.startIsTold || entry.isNews(of: worker, at: now) else { return }
        entries[id]?.startIsTold = true
        entries[id]?.isBetweenRuns = false
        entries[id]?.tellOf(worker, at: now)
        entries[id]?.begunAt = now
        tellWait(id, nil)
        polls.begin(id, since: now)
        tell(id, .started(at: at, worker: worker))
    }
}
