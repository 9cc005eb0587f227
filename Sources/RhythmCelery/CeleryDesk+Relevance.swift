import RhythmCore
import RhythmEngine

// MARK: Which workers count

extension CeleryDesk {
    /// A worker has been there for a while and has never answered: a pool that blocks it, another serializer than JSON, or
    /// no remote control at all.
    func isMute(_ node: String) -> Bool { roster.isMute(node, for: configuration.times.acquaintance, at: now) }

    /// A worker may take from one of these queues, as far as it has said. Empty names are unknown queues.
    func mayTake(_ node: String, from queues: Set<String>) -> Bool {
        if configuration.ignoredWorkers.contains(node) { return false }
        return queues.contains { $0.isEmpty || takers.takes(node, from: $0) ?? true }
    }

    /// The workers that have to answer before anything can be said about these attempts.
    func expected(toKnowOf ids: [TaskID]) -> Set<String> {
        let asked = ids.compactMap { entries[$0] }
        let queues = Set(asked.map(\.queue))
        let seen = asked.reduce(into: Set<String>()) { $0.formUnion($1.seenBy) }
        return roster.expected(at: now).filter { mayTake($0, from: queues) || isSeen($0, seen) }
    }

    private func isSeen(_ node: String, _ seen: Set<String>) -> Bool {
        seen.contains(node) && !configuration.ignoredWorkers.contains(node)
    }

    /// The workers that may take an attempt from a queue, by what was last seen of that.
    func expected(toTakeFrom queue: String) -> Set<String> {
        let all = roster.expected(at: now)
        let mute = all.filter { isMute($0) }
        let look = queues[queue]
        if !mute.isEmpty, look.map({ now - $0.at >= .seconds(30) }) ?? true, !queue.isEmpty, isListening {
            links.look(at: queue)
        }
        let answering = all.subtracting(mute)
        return all.filter { node in
            guard mayTake(node, from: [queue]) else { return false }
            guard mute.contains(node) else { return true }
            return takers.mayHave(node, from: queue, consumers: consumers(look), answering: answering)
        }
    }

    private func consumers(_ look: (state: Evidence.Queue, consumers: Int, at: Duration)?) -> Int? {
        switch look?.state {
        case .holds: look?.consumers
        case .missing: 0
        case .unknown, nil: nil
        }
    }

    /// A queue was looked at.
    func note(consumers: Int, of queue: String) {
        guard isAcquainted else { return }
        let all = roster.expected(at: now)
        let mute = all.filter { isMute($0) }
        guard !mute.isEmpty else { return }
        takers.saw(consumers: consumers, of: queue, answering: all.subtracting(mute), mute: mute)
        if !unsent.isEmpty { sendAnew() }
    }

    /// The workers that have not answered a census and count for an attempt: they may have it.
    ///
    /// The worker that was seen to begin it decides, once it has answered: all others are told to drop the attempt, too,
    /// so that a copy of its message that the broker has given to one of them again does not begin. While its document
    /// says RETRY, its message may be anywhere.
    func silent(of entry: CeleryEntry, _ finding: Census.Finding, begun: Duration) -> Set<String> {
        // Who does not answer and is dead by all signs has nothing to say.
        let silent = finding.silent.filter {
            roster.standing(of: $0, at: now) != .dead && !configuration.ignoredWorkers.contains($0)
        }
        if silent.isEmpty { return [] }
        if entry.revoke?.isOurs == true, finding.answered.contains(entry.begunBy), entry.document?.status != .retry {
            return silent.intersection(entry.seenBy)
        }
        let look = queues[entry.queue].flatMap { $0.at >= begun ? $0 : nil }
        return silent.filter { node in
            if entry.seenBy.contains(node) || entry.queue.isEmpty { return true }
            return takers.mayHave(
                node, from: entry.queue, consumers: consumers(look), answering: finding.answered)
        }
    }
}
