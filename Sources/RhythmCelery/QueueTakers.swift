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
    /// Consumers of a queue that nobody accounted for when it was looked at.
    private struct Unexplained: Hashable {
        var consumers: Int
        /// The workers that were there and did not answer: so many of them took from it.
        var suspects: Set<String>
    }

    /// By queue.
    private var unexplained: [String: [Unexplained]] = [:]
    /// So many different findings about a queue are kept apart.
    private static let findingsMax = 8

    /// Takes a worker's answer to `active_queues`; anything else than a list is none.
    mutating func learn(_ answer: JSONValue, of worker: String) {
        guard let entries = answer.arrayValue else { return }
        let names = Set(entries.compactMap { $0["name"]?.stringValue })
        present[worker] = names
        ever[worker, default: []].formUnion(names)
        clear(worker) { names.contains($0) }
    }

    /// A suspect has said from which queues it takes, or is gone. What it took itself is no longer held against the others.
    private mutating func clear(_ worker: String, takes: (_ queue: String) -> Bool) {
        for (queue, findings) in unexplained where findings.contains(where: { $0.suspects.contains(worker) }) {
            let left = findings.map { finding in
                var finding = finding
                if finding.suspects.remove(worker) != nil, takes(queue) { finding.consumers -= 1 }
                return finding
            }
            unexplained[queue] = left.filter { $0.consumers > 0 && !$0.suspects.isEmpty }
        }
        unexplained = unexplained.filter { !$0.value.isEmpty }
    }

    /// A worker is gone, or begins anew.
    mutating func forget(_ worker: String) {
        present[worker] = nil
        ever[worker] = nil
        clear(worker) { _ in false }
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
        let suspects = mute.filter { !knows($0) }
        let finding = Unexplained(consumers: consumers - takers(of: queue, among: answering), suspects: suspects)
        guard finding.consumers > 0, !suspects.isEmpty else { return }
        var findings = unexplained[queue] ?? []
        if findings.contains(where: { $0.suspects == suspects && $0.consumers >= finding.consumers }) { return }
        findings.removeAll { $0.suspects == suspects }
        if findings.count >= Self.findingsMax, let last = findings.popLast() {
            findings.append(
                Unexplained(
                    consumers: max(last.consumers, finding.consumers), suspects: last.suspects.union(suspects)))
        } else {
            findings.append(finding)
        }
        unexplained[queue] = findings
    }

    private func isSuspected(_ worker: String, of queue: String) -> Bool {
        unexplained[queue]?.contains { $0.suspects.contains(worker) } == true
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
        if isSuspected(worker, of: queue) { return true }
        guard let consumers else { return true }
        return consumers > takers(of: queue, among: answering)
    }
}
