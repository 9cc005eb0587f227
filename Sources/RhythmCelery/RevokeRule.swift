import RhythmCore

/// Stops an attempt and decides when nothing of it runs any more.
///
/// Running workers are told to drop it and to end the process that runs it: SIGTERM, again after a grace period, then
/// SIGKILL. It is stopped once every known worker has been told, denies having it, and has no longer the process that
/// ran it; that its document says REVOKED means only that a worker was told. What still lies in a queue never begins:
/// the workers keep its id, and those that start later are given it when they say hello. A success that comes first
/// wins.
///
/// A worker forgets a task when it signals its process. One that ignores SIGTERM can then no longer be reached by remote
/// control, so the later signals serve those that had not begun; it is waited for, and people are told which process
/// they have to end.
///
/// The same rule serves attempts that somebody else has revoked; then nobody is told anything. A value, one for each
/// attempt; times count from when the runner began.
struct RevokeRule {
    /// What follows from a round.
    enum Verdict: Hashable, Sendable {
        /// Something of it may run; to be asked again then.
        case wait(until: Duration)
        /// Nothing of it runs; how that came about, in a sentence.
        case stopped(String)
    }

    /// The times that the rule goes by.
    struct Patience: Sendable {
        /// SIGKILL is the first signal.
        var kills = false
        /// Between signals.
        var grace: Duration = .seconds(10)
        /// Between two looks at something that a worker has taken and not begun: longer than it takes to hand a task
        /// to a pool process.
        var settling: Duration = .seconds(1)
        /// Between two looks at an attempt that nobody has but whose document says STARTED.
        var lost: Duration = .seconds(15)
    }

    let patience: Patience
    /// We told the workers; otherwise somebody else did.
    private(set) var isOurs: Bool
    private let begun: Duration
    private var signals = 0
    /// How often workers were told, whether they have heard it or not.
    private var tellings = 0
    /// Somebody else has revoked it.
    private let wasForeign: Bool
    /// Workers whose process only a document names.
    private var hearsay: Set<String> = []
    private var lastSignal: Duration?
    private var rounds = 0
    /// Since when each round has found it not at work, and what it found.
    private var quiet: (since: Duration, held: Bool, revision: Int)?
    private var doubt: String?
    /// The processes that ran it when they were told to stop, by worker.
    private var processes: [String: Int] = [:]

    init(patience: Patience = Patience(), isOurs: Bool, now: Duration) {
        self.patience = patience
        self.isOurs = isOurs
        wasForeign = !isOurs
        begun = now
    }

    /// We want it stopped too.
    mutating func takeOver() { isOurs = true }

    /// Whether workers are to be told now.
    func isToBeTold(now: Duration) -> Bool {
        isOurs && lastSignal.map { now - $0 >= patience.grace } ?? true
    }

    /// What workers are to be told now; nil if nothing. Counts as told.
    mutating func nextSignal(now: Duration) -> ControlRequest.Signal? {
        guard isToBeTold(now: now) else { return nil }
        lastSignal = now
        signals += 1
        tellings += 1
        return signals <= 2 && !patience.kills ? .terminate : .kill
    }

    /// Workers may have missed the signal (a reconnect): it is told again with the next round.
    mutating func tellAgain() {
        if lastSignal != nil {
            lastSignal = nil
            signals = max(0, signals - 1)
        }
    }

    /// Takes the evidence of a round that began after the signal was sent.
    mutating func judge(_ evidence: Evidence, now: Duration) -> Verdict {
        rounds += 1
        // A task that ends without a word leaves its document as it is, and its process free: its worker did not have it
        // any more when it was told for the first time. Whoever else has revoked it may have told the worker before.
        if tellings == 1, !wasForeign {
            for worker in evidence.workers.deniedBefore where hearsay.remove(worker) != nil { processes[worker] = nil }
        }
        processes.merge(evidence.workers.processes) { _, new in new }
        hearsay.subtract(evidence.workers.processes.keys)
        if evidence.runIsOver { processes = [:] }
        processes = processes.filter { evidence.workers.pools[$0.key]?.contains($0.value) ?? true }
        doubt = evidence.doubt ?? doubt(evidence.workers, now: now)
        guard doubt == nil else {
            quiet = nil
            return .wait(until: now + pause)
        }
        let held = !evidence.workers.holders.isEmpty
        if quiet == nil || quiet?.held != held || quiet?.revision != evidence.revision {
            quiet = (now, held, evidence.revision)
        }
        let calm = quiet.map { now - $0.since } ?? .zero
        let needed = neededCalm(evidence, held: held)
        guard calm >= needed else {
            doubt = "its worker has not stopped it yet"
            return .wait(until: now + min(pause, max(.milliseconds(20), needed - calm)))
        }
        return .stopped(Self.sentence(evidence, held: held))
    }

    /// Its process does not end; it may be worth a question what that is at.
    func isStuck(now: Duration) -> Bool { !processes.isEmpty && now - begun >= patience.grace }

    /// A process that ran it was seen: it has to go.
    mutating func note(process: Int, of worker: String) {
        processes[worker] = process
        hearsay.insert(worker)
    }

    private func doubt(_ found: Census.Finding, now: Duration) -> String? {
        if let worker = found.running.sorted().first { return "worker \(worker) still runs it" }
        let left = processes.filter { found.pools[$0.key] != nil }.min { $0.key < $1.key }
        guard let (worker, process) = left else { return nil }
        // Nobody is sent to end a process before its worker has said that it is at nothing else.
        return now - begun < patience.grace || !found.saidActivity.contains(worker)
            ? "worker \(worker) still runs it"
            : "it ignores SIGTERM, and its worker has given it up: end process \(process) of worker \(worker)"
    }

    /// How long things must look quiet before they are.
    private func neededCalm(_ evidence: Evidence, held: Bool) -> Duration {
        if held { return patience.settling }
        switch evidence.document {
        case .absent, .waiting, .revoked, .ended: return .zero
        // Between two runs: its message is on its way, and dropped where it arrives.
        case .retry: return patience.settling
        // The worker writes REVOKED moments after it ended the process; if it does not, it is gone.
        case .started: return patience.lost
        }
    }

    /// Short at first, because most attempts stop within milliseconds.
    private var pause: Duration {
        .milliseconds(min(2000, 25 << min(7, max(0, rounds - 1))))
    }

    private static func sentence(_ evidence: Evidence, held: Bool) -> String {
        if held { return "it had not begun; its worker drops it" }
        switch evidence.document {
        case .absent, .waiting:
            switch evidence.begin {
            case .seen: return "nothing of it runs any more"
            case .ruledOut: return "it had not begun"
            case .unknown: return "no worker has it"
            }
        case .retry: return "it was stopped between two runs"
        case .revoked: return "its worker stopped it"
        case .ended: return "it stored an end, and its worker has it no longer"
        case .started: return "nothing of it runs any more; its document still says STARTED"
        }
    }

    /// Why it has not stopped yet, for people; nil if nothing is known.
    var explanation: String? {
        doubt.map { "it is being stopped: \($0)" }
    }
}
