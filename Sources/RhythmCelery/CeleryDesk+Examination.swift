import RhythmAMQP
import RhythmCore
import RhythmEngine

// MARK: Looking at everything that attempts need

extension CeleryDesk {
    /// A server that has just begun has to hear of the workers first; by then it gives up.
    private static let patience: Duration = .seconds(8)
    /// Who asks when so many wait already is answered with nothing but that.
    private static let callersMax = 64
    /// So many queues are looked at beside those that steps are waiting for.
    private static let furtherQueuesMax = 100

    /// Somebody wants to know how everything is.
    func examine(for caller: Examination.Caller) {
        guard examinees.count < Self.callersMax else {
            return caller.answer([
                Finding(.notice, "busy", "server", "too many examinations are under way", remedy: "ask again later")
            ])
        }
        examinees.append(caller)
        if examination == nil { beginExamination() }
    }

    /// The queues that our steps use, as far as is known.
    private func ownQueues(_ callers: [Examination.Caller]) -> Set<String> {
        let needed = callers.flatMap { $0.needs.map { $0.queue ?? configuration.defaultQueue } }
        return usedQueues.union(needed).union([configuration.defaultQueue])
    }

    private func beginExamination() {
        let callers = examinees
        examinees = []
        let expected = roster.expected(at: now).filter { !configuration.ignoredWorkers.contains($0) }
        // Those that are known beside the ones that are needed tell of workers that answer nothing whether they are
        // somebody else's.
        let known = takers.queues(of: expected).union(ownQueues([]))
        let queues = ownQueues(callers).union(known.sorted().prefix(Self.furtherQueuesMax))
        var deadline = now + configuration.times.reply
        if !isAcquainted {
            let acquainted = (listeningSince ?? now) + configuration.times.acquaintance
            deadline = max(deadline, min(acquainted + .milliseconds(100), now + Self.patience))
        }
        examination = Examination(
            for: callers, queues: queues, expected: expected, begun: now, deadline: deadline)
        results.examine(begun: now)
        for queue in queues { links.examine(queue: queue, begun: now) }
        // The ping goes first and alone, so that its time is that of a worker with nothing else to answer.
        ask(.ping, .examination(.ping, begun: now))
        ask(.settings, .examination(.settings, begun: now))
        ask(.stats, .examination(.stats, begun: now))
        ask(.queues, .examination(.queues, begun: now))
        ask(.taskOptions, .examination(.tasks, begun: now))
    }

    /// The connection is there only now: nobody has heard the questions.
    func examineAnew() {
        guard let examination else { return }
        examinees = examination.callers + examinees
        beginExamination()
    }

    /// A worker has answered.
    func answered(_ part: Examination.Part, begun: Duration, _ reply: ControlReply) {
        if part == .queues { takers.learn(reply.value, of: reply.node) }
        guard examination?.begun == begun else { return }
        examination?.take(part, from: reply.node, reply.value, now: now)
    }

    /// A look at a queue is back.
    func examined(queue name: String, _ found: QueueInspection, begun: Duration) {
        guard examination?.begun == begun else { return }
        examination?.take(queue: name, found)
    }

    /// A look at the database is back.
    func examined(_ state: DatabaseState, begun: Duration) {
        guard examination?.begun == begun else { return }
        examination?.take(state)
    }

    /// Ends the examination if everything has been said, or its time is over.
    func advanceExamination() {
        guard let examination, now >= examination.deadline || (examination.isComplete && isAcquainted) else { return }
        self.examination = nil
        let evidence = evidence(of: examination)
        for caller in examination.callers {
            caller.answer(Diagnosis(evidence: evidence, needs: caller.needs).findings())
        }
        if !examinees.isEmpty { beginExamination() }
    }

    private func evidence(of examination: Examination) -> Diagnosis.Evidence {
        let answering = Set(examination.answers.filter { $0.value.isThere }.keys)
        let rule = relevance(
            answering: answering, consumers: examination.queues.compactMapValues { Self.consumers($0) })
        let ours = RelevanceRule.Subject(
            queues: ownQueues(examination.callers).union(takers.queues(of: answering)),
            seenBy: entries.values.reduce(into: []) { $0.formUnion($1.seenBy) })
        let names = Set(roster.names).union(examination.answers.keys)
        let workers = names.sorted().map { name in
            Diagnosis.Worker(
                name: name, standing: roster.standing(of: name, at: now), pulse: pulses[name],
                answers: examination.answers[name] ?? Examination.Answers(),
                isForeign: examination.answers[name]?.isThere != true && !rule.counts(name, for: ours),
                isNew: !roster.hasAnswered(name) && !isMute(name), hasAnsweredBefore: roster.hasAnswered(name),
                isRead: writers.contains(name))
        }
        return Diagnosis.Evidence(
            configuration: learnedConfiguration, broker: links.brokerName, links: linkStates, isListening: isListening,
            now: now, workers: workers, queues: examination.queues, strange: rule.strange,
            results: results.description,
            resultsDatabase: results.database, database: examination.database)
    }
}
