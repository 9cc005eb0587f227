import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine

// MARK: Lost and revoked attempts

extension CeleryDesk {
    /// So many are asked about at once.
    private static let censusMax = 2000
    /// How long to wait for answers when nobody is known who could give one.
    private static let strangers: Duration = .seconds(1)
    private static let scanPause: Duration = .seconds(1)
    /// How long workers are not told to stop attempts while the documents of these are being read.
    private static let forethought: Duration = .milliseconds(500)

    /// When something is to be done about the fate of attempts.
    var nextFateDue: Duration? {
        if let census {
            let deadline = census.begun + patience(of: census)
            // After that only an answer of the broker about a queue is waited for.
            return deadline > now || censusQueues.isEmpty ? deadline : nil
        }
        if let forethought { return forethought.deadline }
        guard isListening, !isExamining else { return nil }
        let look = revoking.compactMap { entries[$0].flatMap { $0.isSent ? $0.nextLook : nil } }.min()
        return wanted.isEmpty ? look : now
    }

    private func patience(of census: Census) -> Duration {
        census.expectsNobody ? min(Self.strangers, configuration.times.reply) : configuration.times.reply
    }

    /// Looks for attempts of which nothing was heard, and for workers of which nothing was heard.
    func scan() {
        nextScan = now + Self.scanPause
        for node in roster.quiet(at: now) { links.look(for: node) }
        for node in roster.bury(at: now) {
            kinds.forget(node)
            takers.forget(node)
            places.forget(node)
            writers.remove(node)
            kindsAsked[node] = nil
            greeted[node] = nil
            cameUp[node] = nil
            pulses[node] = nil
            telling.forget(node)
        }
        askNewcomers()
        askForEventsOfLongAttempts()
        auditEnds()
        guard isListening else { return }
        askWhatRuns()
        for (id, entry) in entries {
            guard entry.isSent, entry.revoke == nil, entry.ending == nil, entry.nextLook <= now,
                now - entry.lastHeard >= configuration.times.suspect || entry.lost.isSuspicious || entry.isUncertain
                    || entry.toldEnd != nil
            else { continue }
            // Among many messages is where it belongs: nobody needs to be asked.
            if !entry.hasBegun, case .holds(let count) = queues[entry.queue]?.state, count > 0 { continue }
            wanted.insert(id)
        }
    }

    /// Carries on with the census, or begins one.
    func advanceFate() {
        if let census {
            guard census.isComplete || now >= census.begun + patience(of: census), censusQueues.isEmpty else { return }
            self.census = nil
            let ids = census.ids.filter { entries[$0].map { !$0.isEnded } ?? false }
            guard !ids.isEmpty else { return advanceFate() }
            lastCensus = census
            isExamining = true
            // What was true when the workers answered may have been written since.
            return results.read(ids) { .examined(ids, $0) }
        }
        if let forethought {
            guard now >= forethought.deadline else { return }
            self.forethought = nil
            beginCensus(of: forethought.ids)
        }
        guard !isExamining, census == nil else { return }
        for id in revoking where entries[id].map({ $0.isSent && $0.nextLook <= now }) == true { wanted.insert(id) }
        guard !wanted.isEmpty, isListening else { return }
        let ids = Array(wanted.prefix(Self.censusMax))
        wanted.subtract(ids)
        let told = ids.filter { entries[$0]?.revoke?.isToBeTold(now: now) == true }
        guard !told.isEmpty, databaseTrouble == nil else { return beginCensus(of: ids) }
        // Workers of Celery 5.6.2 and 5.6.3 write REVOKED over an end that nobody may have read yet.
        let deadline = now + Self.forethought
        forethought = (ids, deadline)
        results.read(told) { .foreseen($0, deadline: deadline) }
    }

    /// The documents of attempts that workers are about to be told to stop.
    func foreseen(_ reading: ResultBackend.Reading, deadline: Duration) {
        switch reading {
        case .found(let documents): for document in documents.values { apply(document) }
        case .failed(let reason): databaseFails(reason)
        }
        guard let forethought, forethought.deadline == deadline else { return }
        self.forethought = nil
        beginCensus(of: forethought.ids)
    }

    private func beginCensus(of all: [TaskID]) {
        guard isListening else { return wanted.formUnion(all) }
        let ids = all.filter { entries[$0]?.isSent == true }
        wanted.subtract(ids)
        guard !ids.isEmpty else { return }
        var told: [ControlRequest.Signal: [TaskID]] = [:]
        let revokes = ids.filter { entries[$0]?.revoke != nil }
        for id in revokes {
            if let signal = entries[id]?.revoke?.nextSignal(now: now) { told[signal, default: []].append(id) }
        }
        // The workers' mailboxes keep the order: who answers the later questions has been told before.
        var parts: Set<Census.Part> = revokes.isEmpty ? [.query, .scheduled] : [.query, .scheduled, .stats]
        if !told.isEmpty {
            parts.insert(.before)
            ask(.query(told.values.flatMap { $0 }), .census(.before, begun: now))
        }
        for (signal, ids) in told { links.tell(.revoke(ids, signal)) }
        // Answers to this one can be large, so it is asked only about those that do not stop.
        let asksActive = revokes.contains { entries[$0]?.revoke?.isStuck(now: now) == true }
        if asksActive { parts.insert(.active) }
        // Limits change while workers run; nobody is given up on the word of half a minute ago.
        let lost = ids.compactMap { entries[$0]?.revoke == nil ? entries[$0] : nil }
        let asksLimits = lost.contains { $0.lost.isSuspicious || isLimited($0) }
        if asksLimits { parts.formUnion([.tasks, .queues]) }
        let expected = expected(toKnowOf: ids)
        let mute = expected.filter { isMute($0) }
        census = Census(
            of: ids, revokes: Set(revokes), parts: parts, expected: expected,
            awaited: expected.subtracting(mute).subtracting(roster.cutOff), begun: now)
        // How many take from a queue tells whether a worker that never answers is among them, or one that nobody knows.
        censusQueues = Set(
            ids.compactMap { id in
                entries[id].flatMap { $0.revoke != nil && mute.isEmpty && !$0.begunBy.isEmpty ? nil : $0.queue }
            })
        if lost.contains(where: { mayBeDelayed($0) }) { censusQueues.formUnion(DelayedQueues.all) }
        for queue in censusQueues { links.look(at: queue) }
        ask(.query(ids), .census(.query, begun: now))
        ask(.scheduled, .census(.scheduled, begun: now))
        if !revokes.isEmpty { ask(.stats, .census(.stats, begun: now)) }
        if asksActive { ask(.active, .census(.active, begun: now)) }
        if asksLimits {
            ask(.registered, .census(.tasks, begun: now))
            ask(.queues, .census(.queues, begun: now))
        }
    }

    /// The connection was away: whoever was asked may not have heard it.
    func abandonCensus() {
        if let census { wanted.formUnion(census.ids) }
        census = nil
        censusQueues = []
    }

    /// The documents of a census were read: now everything is known that can be known.
    func examined(_ ids: [TaskID], _ reading: ResultBackend.Reading) {
        isExamining = false
        guard let census = lastCensus else { return }
        lastCensus = nil
        switch reading {
        case .failed(let reason):
            databaseFails(reason)
            for id in ids { entries[id]?.nextLook = now + .seconds(1) }
        case .found(let documents):
            let rule = relevance(in: census)
            for id in ids {
                if let document = documents[id] { apply(document) }
                wanted.remove(id)
                let finding = census.finding(of: id)
                noteWhatRuns(id, finding)
                guard let entry = entries[id], entry.isSent else { continue }
                for holder in finding.holders.keys { entries[id]?.note(holder: holder) }
                let evidence = evidence(of: entry, finding, by: rule)
                if entry.revoke == nil {
                    if entry.ending == nil { judgeLost(id, evidence) }
                } else if census.revokes.contains(id) {
                    judgeRevoked(id, evidence)
                } else {
                    // It was revoked after the workers had answered: they have not been told yet.
                    wanted.insert(id)
                }
            }
        }
    }

    private func evidence(of entry: CeleryEntry, _ finding: Census.Finding, by rule: RelevanceRule) -> Evidence {
        var evidence = Evidence(document: entry.documentEvidence)
        evidence.revision = entry.revision
        evidence.namedWorker = entry.begunBy
        // Of one that only its revoke brought here, nobody knows.
        evidence.mayHaveBegun = entry.hasBegun || entry.dispatch == nil
        evidence.workers = finding
        evidence.runIsOver = entry.runIsOver
        evidence.begin = begin(of: entry)
        evidence.toldEnd = entry.toldEnd
        evidence.namedWorkerHasStayed = hasStayed(entry)
        evidence.limit = limit(of: entry)
        evidence.delayed = mayBeDelayed(entry) ? DelayedQueues.state { queues[$0]?.state } : .nothing
        evidence.place = results.place
        let subject = subject(entry, finding)
        evidence.workers.silent = silent(finding, for: subject, by: rule)
        evidence.hasStranger = rule.stranger(for: subject) != nil
        evidence.leaving = leaving(entry)
        evidence.queueName = entry.queue
        evidence.queue = queues[entry.queue]?.state ?? .unknown("nobody has looked yet")
        evidence.isAcquainted = isAcquainted
        return evidence
    }

    private func judgeRevoked(_ id: TaskID, _ evidence: Evidence) {
        guard let verdict = entries[id]?.revoke?.judge(evidence, now: now) else { return }
        switch verdict {
        case .wait(let until):
            entries[id]?.nextLook = until
            if let entry = entries[id], now - entry.lastHeard > .seconds(2) { tellWait(id, wait(of: entry)) }
        case .stopped(let detail):
            if entries[id]?.ending != nil { return accept(id) }
            let isForeign = entries[id]?.revoke?.isOurs == false
            let said = entries[id]?.document.flatMap { $0.status == .revoked ? $0.revokeDetail : nil }
            end(
                id,
                .revoked(
                    detail: isForeign ? "somebody else revoked it; \(said ?? detail)" : detail, at: time))
        }
    }

    private func judgeLost(_ id: TaskID, _ evidence: Evidence) {
        guard let verdict = entries[id]?.lost.judge(evidence, now: now) else { return }
        switch verdict {
        case .held: entries[id]?.nextLook = now + configuration.times.ask
        case .undecided: entries[id]?.nextLook = now + min(.seconds(5), configuration.times.ask)
        case .waits: entries[id]?.nextLook = now + configuration.times.ask
        case .suspected(let again): entries[id]?.nextLook = again
        case .lost(let detail, let mayHaveBegun): return lose(id, detail, mayHaveBegun: mayHaveBegun)
        case .missing(let detail): return miss(id, detail)
        }
        if let entry = entries[id] { tellWait(id, wait(of: entry)) }
    }

    /// An attempt has ended, and nobody knows how: its result is not where results are looked for.
    private func miss(_ id: TaskID, _ detail: String) {
        logger.warning("\(id) has no result: \(detail)")
        if let entry = entries[id], !entry.startIsTold, !entry.begunBy.isEmpty { tell(id, .ran(worker: entry.begunBy)) }
        end(id, .failed(Failure(type: "ResultMissing", message: detail, module: "rhythm"), at: time))
    }

    /// Nothing exists of an attempt, as far as can be known. The engine runs one that never began anew, under a new id.
    ///
    /// No worker is told anything yet: if this cannot be stored, because another server follows the attempt by now or
    /// because this one dies, whoever does would find it revoked by nobody.
    func lose(_ id: TaskID, _ detail: String, mayHaveBegun: Bool = false) {
        logger.warning("\(id) is lost: \(detail)")
        end(id, .lost(detail: detail, at: time, mayHaveBegun: mayHaveBegun))
    }

    // MARK: Queues

    /// Looks at the queues in which attempts wait for their turn.
    func checkQueues() {
        nextQueueCheck = now + configuration.times.queueCheck
        var names: Set<String> = []
        for entry in entries.values where entry.isSent && !entry.hasBegun {
            if now - entry.since >= .seconds(1) || !entry.waitTold.isEmpty { names.insert(entry.queue) }
        }
        for name in names { links.look(at: name) }
        // What was seen for a census stays until that has been judged.
        queues = queues.filter { names.contains($0.key) || now - $0.value.at < .seconds(30) }
    }

    /// A look at a queue is back.
    func saw(queue name: String, _ found: QueueInspection) {
        censusQueues.remove(name)
        let state: Evidence.Queue =
            switch found {
            case .missing: .missing
            case .found(let ready, _): .holds(ready)
            case .locked: .unknown("it belongs to another connection")
            case .unknown(let reason): .unknown(reason)
            }
        queues[name] = (state, Self.consumers(found), now)
        guard !DelayedQueues.all.contains(name) else { return }
        if case .found(_, let consumers) = found { note(consumers: consumers, of: name) }
        note(queue: name, state, consumers: Self.consumers(found))
        for (id, entry) in entries where entry.queue == name && entry.isSent && !entry.hasBegun && entry.revoke == nil {
            tellWait(id, wait(of: entry))
        }
    }
}
