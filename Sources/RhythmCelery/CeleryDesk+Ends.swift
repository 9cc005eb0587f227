import Logging
import RhythmCore
import RhythmEngine

// MARK: Ends that documents tell

extension CeleryDesk {
    /// When something is to be done about an end that is held back.
    var nextEndDue: Duration? { endings.compactMap { entries[$0]?.ending?.nextAsk }.min() }

    /// Takes the end that a document tells: at once, or once nothing speaks against it any more.
    ///
    /// The first success or failure that is believed counts, whatever is written later.
    func takeEnd(_ document: ResultDocument) {
        let id = document.id
        guard let entry = entries[id] else { return }
        let doubt = EndRule.doubt(
            document, isTold: entry.endIsTold, isOdd: entry.isOdd,
            word: taskEnds[entry.dispatch?.task ?? ""], age: now - (entry.begunAt ?? entry.since),
            long: configuration.times.longAttempt)
        // While it is being stopped, a question whether it ended by itself is worth nothing.
        guard doubt == .strong || doubt == .slight && entry.revoke == nil else { return accept(id) }
        if doubt == .strong {
            // Whatever wrote that has begun it.
            begin(id, worker: document.node, at: time)
        }
        if entry.ending == nil {
            entries[id]?.ending = EndRule(doubt, patience: configuration.times.end, now: now)
        } else {
            entries[id]?.ending?.changed(doubt, now: now)
        }
        // Workers are asked at the end of this visit, about all that it brings.
        if entry.revoke == nil { endings.insert(id) } else { wanted.insert(id) }
    }

    /// What looked like an attempt's end was none: its document says something else since.
    func goesOn(_ id: TaskID) {
        entries[id]?.ending = nil
        entries[id]?.isOdd = true
        endings.remove(id)
        if let task = entries[id]?.dispatch?.task { note(goesOn: task, id) }
    }

    private func note(goesOn task: String, _ id: TaskID) {
        guard taskEnds.wentOn(task) else { return }
        logger.notice(
            "task \(task) goes on after it has stored an end (\(id)); its ends count once its workers say that they are done"
        )
    }

    /// Nothing speaks against the end that its document tells.
    func accept(_ id: TaskID) {
        guard let entry = entries[id], !entry.isEnded, let document = entry.document,
            let end = document.end(now: time, isLast: entry.dispatch?.following.isEmpty ?? false)
        else { return }
        if let task = entry.dispatch?.task {
            if entry.ending?.wentOn == true { note(goesOn: task, id) }
            let isConfirmed = entry.endIsTold || entry.ending?.isDenied == true
            taskEnds.saw(endOf: task, id, isConfirmed: isConfirmed, now: now)
        }
        tellWho(id, document)
        self.end(id, end)
    }

    // MARK: Questions

    /// Asks about what is due.
    func advanceEnds() {
        guard !endings.isEmpty else { return }
        var rounds: [TaskID: Int] = [:]
        var over: [TaskID] = []
        for id in endings {
            guard let entry = entries[id], var ending = entry.ending, entry.revoke == nil else {
                endings.remove(id)
                continue
            }
            guard ending.nextAsk <= now else { continue }
            if let deadline = ending.deadline, deadline <= now {
                if ending.overdue(now: now) == .confirmed { over.append(id) }
            } else if isListening {
                let expected = expected(of: entry)
                if ending.doubt == .slight, expected.workers.isDisjoint(with: expected.talkative) {
                    // Nobody is known who would answer.
                    if ending.cannotAsk(now: now) == .confirmed { over.append(id) }
                } else {
                    rounds[id] = ending.ask(expected, now: now)
                }
            } else if ending.cannotAsk(now: now) == .confirmed {
                over.append(id)
            }
            entries[id]?.ending = ending
            if now - entry.lastHeard >= .seconds(1), let entry = entries[id] { tellWait(id, wait(of: entry)) }
        }
        if !rounds.isEmpty { ask(.query(Array(rounds.keys)), .ends(rounds)) }
        confirm(over)
    }

    /// Who may have an attempt at work: the worker that was seen to have it, or whoever counts.
    private func expected(of entry: CeleryEntry) -> EndRule.Expected {
        var workers: Set<String>
        var isAll = true
        if entry.begunBy.isEmpty {
            workers = expected(toTakeFrom: entry.queue)
            isAll = isAcquainted
        } else {
            switch roster.standing(of: entry.begunBy, at: now) {
            case .live, .silent, .leaving: workers = [entry.begunBy]
            // It is gone, and took with it what it had.
            case .dead: workers = expected(toTakeFrom: entry.queue)
            }
        }
        return EndRule.Expected(
            workers: workers, talkative: workers.filter { isTalkative($0) }, isAll: isAll)
    }

    /// A worker answers, as far as is known. One that has said goodbye may do so no more.
    private func isTalkative(_ node: String) -> Bool {
        if case .leaving = roster.standing(of: node, at: now) { return false }
        return roster.hasAnswered(node)
    }

    /// A worker's answer about ends that are held back.
    func take(_ rounds: [TaskID: Int], _ reply: ControlReply) {
        let held = Holding.read(query: reply.value)
        var over: [TaskID] = []
        for (id, round) in rounds {
            guard var ending = entries[id]?.ending, entries[id]?.revoke == nil else { continue }
            let verdict = ending.answered(round, by: reply.node, held[id], now: now)
            entries[id]?.ending = ending
            if verdict == .confirmed { over.append(id) }
            if let entry = entries[id], ending.wentOn { tellWait(id, wait(of: entry)) }
        }
        confirm(over)
    }

    /// Reads once more what they say: it may have been written since.
    func confirm(_ ids: [TaskID]) {
        guard !ids.isEmpty else { return }
        results.read(ids) { .confirmed(ids, $0) }
    }

    /// The documents of attempts that nobody is at any more.
    func confirmed(_ ids: [TaskID], _ reading: ResultBackend.Reading) {
        switch reading {
        case .failed(let reason):
            databaseFails(reason)
            for id in ids { entries[id]?.ending?.askAgain(at: now + .seconds(1)) }
        case .found(let documents):
            for id in ids {
                guard let entry = entries[id], entry.ending != nil, entry.revoke == nil else { continue }
                guard let document = documents[id], document != entry.document else {
                    accept(id)
                    continue
                }
                if document.tellsEnd {
                    // Nobody is at it, so this is the end.
                    entries[id]?.document = document
                    accept(id)
                } else {
                    apply(document)
                }
            }
        }
    }

    // MARK: After the fact

    /// Asks now and then whether tasks are at work that are believed to be over.
    func auditEnds() {
        guard isListening else { return }
        let tasks = taskEnds.takeAudit(now: now)
        if !tasks.isEmpty { ask(.query(Array(tasks.keys)), .audit(tasks)) }
    }

    /// A worker's answer to that.
    func take(_ tasks: [TaskID: String], _ reply: ControlReply) {
        let held = Holding.read(query: reply.value)
        for (id, task) in tasks where held[id]?.state == .active { note(goesOn: task, id) }
    }
}
