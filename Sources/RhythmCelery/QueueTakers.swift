import RhythmCore

/// Who takes from which queues.
///
/// On one virtual host there may be workers of several applications. One that takes from none of an attempt's queues never
/// has it, and whether it answers means nothing for the attempt. Workers tell their queues themselves (`active_queues`).
/// Of one that answers no remote control, the broker's number of consumers tells: if the workers that do answer account
/// for all consumers of a queue, nobody else takes from it. A value.
struct QueueTakers {
    /// What a worker said last.
    private var present: [String: Set<String>] = [:]
    /// Everything it has said since it came up: what it took from a queue before it left that, it may still have.
    private var ever: [String: Set<String>] = [:]
    /// Queues that workers which do not answer may have taken from: they had consumers that nobody accounts for.
    private var suspected: [String: Set<String>] = [:]

    /// Takes a worker's answer to `active_queues`; anything else than a list is none.
    mutating func learn(_ answer: JSONValue, of worker: String) {
        guard let entries = answer.arrayValue else { return }
        let names = Set(entries.compactMap { $0["name"]?.stringValue })
        present[worker] = names
        ever[worker, default: []].formUnion(names)
        suspected[worker] = nil
    }

    /// A worker is gone, or begins anew.
    mutating func forget(_ worker: String) {
        present[worker] = nil
        ever[worker] = nil
        suspected[worker] = nil
    }

    /// Whether a worker has told its queues.
    func knows(_ worker: String) -> Bool { present[worker] != nil }

    /// A queue was looked at.
    ///
    /// - Parameters:
    ///   - answering: the workers that answer; all of them have told their queues, or nothing follows.
    ///   - mute: those that never do.
    mutating func saw(consumers: Int, of queue: String, answering: Set<String>, mute: Set<String>) {
        guard answering.allSatisfy({ knows($0) }), consumers > takers(of: queue, among: answering) else { return }
        for worker in mute { suspected[worker, default: []].insert(queue) }
    }

    /// How many of some workers take from a queue now.
    private func takers(of queue: String, among workers: Set<String>) -> Int {
        workers.count { present[$0]?.contains(queue) == true }
    }

    /// Whether a worker takes from a queue, or has taken from it; nil if it has not said.
    func takes(_ worker: String, from queue: String) -> Bool? { ever[worker]?.contains(queue) }

    /// Whether a worker may have something from a queue.
    ///
    /// - Parameters:
    ///   - consumers: how many the broker knows; nil if it was not asked.
    ///   - answering: the workers that are known to be there now.
    func mayHave(_ worker: String, from queue: String, consumers: Int?, answering: Set<String>) -> Bool {
        if let takes = takes(worker, from: queue) { return takes }
        if suspected[worker]?.contains(queue) == true { return true }
        guard let consumers else { return true }
        return consumers > takers(of: queue, among: answering)
    }
}
