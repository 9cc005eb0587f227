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
    /// Consumers of a queue that nobody accounted for when it was looked at: workers that do not answer may have taken from
    /// it. By queue.
    private var unexplained: [String: [Unexplained]] = [:]
    /// So many different findings about a queue are kept apart.
    private static let findingsMax = 8

    /// Takes a worker's answer to `active_queues`; anything else than a list is none.
    mutating func learn(_ answer: JSONValue, of worker: String) {
        guard let entries = answer.arrayValue else { return }
        let names = Set(entries.compactMap { $0["name"]?.stringValue })
        present[worker] = names
        ever[worker, default: []].formUnion(names)
        reconsider {
            $0.clear(worker)
            if names.contains($1) { $0.explain(by: worker) }
        }
    }

    private mutating func reconsider(_ change: (inout Unexplained, _ queue: String) -> Void) {
        for queue in unexplained.keys {
            guard var findings = unexplained[queue] else { continue }
            for index in findings.indices { change(&findings[index], queue) }
            findings.removeAll { $0.consumers <= 0 || $0.suspects.isEmpty }
            unexplained[queue] = findings.isEmpty ? nil : findings
        }
    }

    /// A worker is gone, or begins anew.
    mutating func forget(_ worker: String) {
        present[worker] = nil
        ever[worker] = nil
        reconsider { finding, _ in finding.clear(worker) }
    }

    /// All queues that some workers take from, as they have said.
    func queues(of workers: Set<String>) -> Set<String> {
        workers.reduce(into: []) { $0.formUnion(present[$1] ?? []) }
    }

    /// Whether a worker has told its queues.
    func knows(_ worker: String) -> Bool { present[worker] != nil }

    /// A queue was looked at.
    ///
    /// - Parameters:
    ///   - answering: the workers that answer; all of them have told their queues, or nothing follows.
    ///   - mute: those that never do.
    mutating func saw(consumers: Int, of queue: String, answering: Set<String>, mute: Set<String>) {
        guard answering.allSatisfy({ knows($0) }) else { return }
        let takers = takers(of: queue, among: answering)
        var finding = Unexplained(
            consumers: consumers - takers.count, suspects: mute.filter { !knows($0) }, explained: takers)
        guard finding.consumers > 0, !finding.suspects.isEmpty else { return }
        var findings = unexplained[queue] ?? []
        if findings.contains(where: { $0.suspects == finding.suspects && $0.consumers > finding.consumers }) { return }
        findings.removeAll { $0.suspects == finding.suspects }
        if findings.count >= Self.findingsMax, let last = findings.popLast() { finding.join(last) }
        unexplained[queue] = findings + [finding]
    }

    private func isSuspected(_ worker: String, of queue: String) -> Bool {
        unexplained[queue]?.contains { $0.suspects.contains(worker) } == true
    }

    /// Those of some workers that take from a queue now.
    private func takers(of queue: String, among workers: Set<String>) -> Set<String> {
        workers.filter { present[$0]?.contains(queue) == true }
    }

    /// How many take from a queue of whom nobody has heard: a worker without signs of life that has yet to answer.
    ///
    /// - Parameter known: all workers that somebody has heard of.
    func strangers(of queue: String, consumers: Int, known: Set<String>) -> Int {
        max(0, consumers - known.count { takes($0, from: queue) ?? true })
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
        if isSuspected(worker, of: queue) { return true }
        guard let consumers else { return true }
        return consumers > takers(of: queue, among: answering).count
    }
}

/// What a look at a queue has left open.
private struct Unexplained: Hashable {
    /// So many that nobody accounted for.
    var consumers: Int
    /// The workers that were there and did not answer: so many of them took from it.
    var suspects: Set<String>
    /// The workers that do account for some.
    var explained: Set<String>

    /// A suspect has said what it takes, or is gone.
    mutating func clear(_ worker: String) { suspects.remove(worker) }

    /// A worker takes from it and was not among those that accounted for some: it was busy then, or nobody had heard of
    /// it. One that has come only since is held for an explanation, too, until somebody looks the next time.
    mutating func explain(by worker: String) { if explained.insert(worker).inserted { consumers -= 1 } }

    /// Takes up an older one.
    mutating func join(_ other: Unexplained) {
        consumers = max(consumers, other.consumers)
        suspects.formUnion(other.suspects)
        explained.formIntersection(other.explained)
    }
}
