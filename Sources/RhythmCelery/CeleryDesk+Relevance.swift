import RhythmAMQP
import RhythmCore
import RhythmEngine

// MARK: Which workers count

extension CeleryDesk {
    /// So old may a look at a queue be for what need not be exact.
    private static let lookAge: Duration = .seconds(30)
    /// So long such a look is waited for before it is asked for again.
    private static let lookPause: Duration = .seconds(2)

    /// The rule, with what is known of workers.
    ///
    /// - Parameters:
    ///   - answering: those that have just answered; without them, and without numbers of consumers, only those do not
    ///     count that have told other queues.
    ///   - asked: those that were asked; nil if it is not about answers. Who was heard of only since is a stranger yet.
    func relevance(
        answering: Set<String> = [], consumers: [String: Int] = [:], asked: Set<String>? = nil
    ) -> RelevanceRule {
        let cutOff = roster.cutOff
        var rule = RelevanceRule(
            takers: takers, ignored: configuration.ignoredWorkers,
            // Of one that has not told its tasks nobody knows whether their documents tell that they have begun.
            cutOff: cutOff.filter { kinds.knows($0) }, answering: answering, consumers: consumers)
        guard !consumers.isEmpty else { return rule }
        let there = roster.expected(at: now).filter {
            asked?.contains($0) ?? true || configuration.ignoredWorkers.contains($0)
        }
        // One without a connection takes from nothing.
        let known = there.union(answering).subtracting(cutOff)
        for (queue, count) in consumers where takers.strangers(of: queue, consumers: count, known: known) > 0 {
            rule.strange.insert(queue)
        }
        return rule
    }

    /// How many take from a queue, as far as a look at it has told.
    static func consumers(_ found: QueueInspection) -> Int? {
        switch found {
        case .missing: 0
        case .found(_, let consumers): consumers
        case .locked, .unknown: nil
        }
    }

    /// A worker has been there for a while and has never answered: a pool that blocks it, another serializer than JSON, or
    /// no remote control at all.
    func isMute(_ node: String) -> Bool { roster.isMute(node, for: configuration.times.acquaintance, at: now) }

    // MARK: Whose answers are waited for

    /// The workers that have to answer before anything can be said about these attempts.
    func expected(toKnowOf ids: [TaskID]) -> Set<String> {
        var all = RelevanceRule.Subject(queues: [])
        for entry in ids.lazy.compactMap({ self.entries[$0] }) {
            all.queues.insert(entry.queue)
            all.seenBy.formUnion(entry.seenBy)
        }
        let rule = relevance()
        return roster.expected(at: now).filter { rule.counts($0, for: all) }
    }

    /// The workers that may take an attempt from a queue, by what was last seen of that.
    func expected(toTakeFrom queue: String) -> Set<String> {
        let all = roster.expected(at: now)
        let mute = all.filter { isMute($0) }
        let subject = RelevanceRule.Subject(queues: [queue])
        let rule = relevance()
        guard !mute.isEmpty else { return all.filter { rule.counts($0, for: subject) } }
        let ruleOfMute = relevance(answering: all.subtracting(mute), consumers: recentConsumers(of: [queue]))
        return all.filter { (mute.contains($0) ? ruleOfMute : rule).counts($0, for: subject) }
    }

    /// What was last seen of queues; those that nobody has looked at for a while are looked at.
    private func recentConsumers(of names: Set<String>) -> [String: Int] {
        var found: [String: Int] = [:]
        for name in names {
            let look = queues[name]
            found[name] = look?.consumers
            guard look.map({ now - $0.at >= Self.lookAge }) ?? true, isListening,
                looksAsked[name].map({ now - $0 >= Self.lookPause }) ?? true
            else { continue }
            looksAsked[name] = now
            links.look(at: name)
        }
        return found
    }

    /// A queue was looked at: what workers that never answer may have taken from it is remembered.
    func note(consumers: Int, of queue: String) {
        guard isAcquainted else { return }
        let all = roster.expected(at: now)
        let mute = all.filter { isMute($0) }
        guard !mute.isEmpty else { return }
        takers.saw(consumers: consumers, of: queue, answering: all.subtracting(mute), mute: mute)
        if !unsent.isEmpty { sendAnew() }
    }

    // MARK: Whose silence counts

    /// The rule for what a census has found.
    func relevance(in census: Census) -> RelevanceRule {
        let looks = queues.filter { $0.value.at >= census.begun }.compactMapValues { $0.consumers }
        return relevance(answering: census.answered, consumers: looks, asked: census.expected)
    }

    /// What a census is about, as far as one attempt is concerned.
    ///
    /// The worker that was seen to begin it decides, once it has answered: all others are told to drop the attempt, too,
    /// so that a copy of its message that the broker has given to one of them again does not begin. While its document
    /// says RETRY, its message may be anywhere.
    func subject(_ entry: CeleryEntry, _ finding: Census.Finding) -> RelevanceRule.Subject {
        RelevanceRule.Subject(
            queues: [entry.queue], seenBy: entry.seenBy,
            isDecided: entry.revoke?.isOurs == true && finding.answered.contains(entry.begunBy)
                && entry.document?.status != .retry,
            hasNotBegun: hasProvablyNotBegun(entry))
    }

    /// The workers that have not answered a census and count for an attempt.
    func silent(
        _ finding: Census.Finding, for subject: RelevanceRule.Subject, by rule: RelevanceRule
    ) -> Set<String> {
        // Who does not answer and is dead by all signs has nothing to say.
        finding.silent.filter { roster.standing(of: $0, at: now) != .dead && rule.counts($0, for: subject) }
    }

    /// The workers that said goodbye not long ago and may be finishing an attempt.
    func leaving(_ entry: CeleryEntry) -> Set<String> {
        let leaving = roster.names.filter {
            if case .leaving = roster.standing(of: $0, at: now) { true } else { false }
        }
        if leaving.isEmpty { return [] }
        // It takes from no queue any more: how many do says nothing of it.
        let rule = relevance()
        let subject = RelevanceRule.Subject(queues: [entry.queue], seenBy: entry.seenBy)
        return Set(leaving.filter { rule.counts($0, for: subject) })
    }

    /// Every worker that may run something sends events of its tasks. Those that never answer cannot be asked to; they
    /// count only if they may take from a queue that attempts were sent to.
    var allTellOfTasks: Bool {
        let expected = roster.expected(at: now).filter { !configuration.ignoredWorkers.contains($0) }
        let others = expected.filter { !roster.tellsOfTasks($0) }
        guard others.count < expected.count, others.allSatisfy({ isMute($0) }) else { return false }
        if others.isEmpty { return true }
        let rule = relevance(
            answering: expected.filter { !isMute($0) }, consumers: recentConsumers(of: usedQueues))
        let all = RelevanceRule.Subject(queues: usedQueues)
        return rule.stranger(for: all) == nil && !others.contains { rule.counts($0, for: all) }
    }
}
