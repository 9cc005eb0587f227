import RhythmCore

/// Decides which workers count: whose silence leaves open whether something runs, or is on its way.
///
/// On one virtual host there may be workers of several applications, some of which answer no remote control, and workers
/// that were killed and are not taken for dead yet. One that cannot have the thing in question is waited for by nobody.
/// The one rule for attempts, for workflows of the original library and for the examination. A value.
struct RelevanceRule {
    /// What is asked about.
    struct Subject: Hashable, Sendable {
        /// Where its messages are, or were.
        var queues: Set<String>
        /// The workers that were seen to have it.
        var seenBy: Set<String> = []
        /// Whoever was seen to have it decides: no other begins it any more.
        var isDecided = false
        /// No worker has begun it. The broker has taken back what one without a connection had of it.
        var hasNotBegun = false
    }

    /// Who takes from which queues.
    var takers = QueueTakers()
    /// Workers that never have anything of ours, as somebody has said.
    var ignored: TaskNames = []
    /// Those without a connection to the broker.
    var cutOff: Set<String> = []
    /// Those that are known to be there, because they have just answered.
    var answering: Set<String> = []
    /// How many take from a queue, as the broker says; those that were not looked at are absent.
    var consumers: [String: Int] = [:]
    /// Queues from which workers take of whom nobody has heard: without signs of life, and too busy to answer.
    var strange: Set<String> = []

    /// The first queue of which an unknown worker may have something of it; nil if there is none.
    func stranger(for subject: Subject) -> String? {
        subject.isDecided || strange.isEmpty ? nil : subject.queues.sorted().first { strange.contains($0) }
    }

    /// Whether a worker may have something of it.
    func counts(_ worker: String, for subject: Subject) -> Bool {
        if ignored.contains(worker) { return false }
        if subject.hasNotBegun, cutOff.contains(worker) { return false }
        if subject.seenBy.contains(worker) { return true }
        if subject.isDecided { return false }
        return subject.queues.contains { queue in
            takers.mayHave(worker, from: queue, consumers: consumers[queue], answering: answering)
        }
    }
}
