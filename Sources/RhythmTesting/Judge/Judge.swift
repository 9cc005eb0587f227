/// Decides from a record alone whether steps ran as they may: what tasks wrote down themselves, what clients asked and
/// were told, and what was done to the machines. It knows nothing of a server's own account.
///
/// What Celery itself repeats is no violation if the record shows the reason; it is listed apart, each with its reason.
package struct Judge: Sendable {
    package struct Verdict: Sendable, Hashable {
        /// A sentence for each rule that was broken.
        package var violations: [String] = []
        /// What would be one if the record did not show why it had to be.
        package var explained: [String] = []
        package var runs = 0
        package var calls = 0

        package var summary: String {
            "\(runs) runs, \(calls) calls, \(violations.count) violations, \(explained.count) repetitions explained"
        }
    }

    /// How long a worker may take to store a result after its task has returned, in seconds.
    package var storing = 2.0
    /// How long a worker may take after a task has begun until the broker knows that it has taken it.
    package var taking = 2.0

    package init() {}

    /// - Parameter prefix: that of the names of the workflows that are judged; others share the record.
    package func verdict(on text: String, of prefix: String = "") -> Verdict {
        verdict(on: RunRecord(text), of: prefix)
    }

    package func verdict(on record: RunRecord, of prefix: String = "") -> Verdict {
        var court = Court(record: record, judge: self)
        for line in record.unreadable { court.violate("a part of the record cannot be read: \(line)") }
        var seen: Set<String> = []
        for workflow in record.calls.map(\.workflow) + record.runs.map(\.workflow) {
            guard workflow.hasPrefix(prefix), seen.insert(workflow).inserted else { continue }
            let matter = Case(workflow, in: record)
            court.verdict.runs += matter.runs.count
            court.verdict.calls += matter.calls.count
            court.judgeRepeatedMessages(matter)
            court.judgeOverlaps(matter)
            court.judgeRepeatedSuccesses(matter)
            court.judgeSilentRepetitions(matter)
            court.judgeOrder(matter)
            court.judgeStops(matter)
            court.judgePromises(matter)
        }
        return court.verdict
    }
}

/// All that a record holds of one workflow.
struct Case {
    let workflow: String
    /// In the order in which they began.
    let runs: [RunRecord.Run]
    let calls: [RunRecord.Call]
    /// As they were asked for; empty if nobody said.
    let steps: [String]
    /// How many attempts each step may have by itself.
    private let attempts: [String: Int]

    init(_ workflow: String, in record: RunRecord) {
        self.workflow = workflow
        runs = record.runs(of: workflow)
        calls = record.calls(of: workflow)
        let asked = calls.last { $0.command == "start" && $0.fields["steps"] != nil }
        let pairs = (asked?.fields["steps"] ?? "").split(separator: ",").map { $0.split(separator: ":") }
        steps = pairs.compactMap { $0.first.map(String.init) }
        attempts = Dictionary(
            pairs.compactMap { pair in
                pair.count > 1 ? Int(pair[1]).map { (String(pair[0]), $0) } : pair.first.map { (String($0), 1) }
            }, uniquingKeysWith: { $1 })
    }

    func attemptsAllowed(of step: String) -> Int { attempts[step] ?? 1 }

    /// The earliest moment in which the message of a run can have been sent: after whatever ran before it, or was asked.
    func sent(_ run: RunRecord.Run) -> Double {
        let ends = runs.filter { $0.id != run.id }.compactMap(\.end).filter { $0.line < run.begin.line }
        let asked = calls.filter { ["start", "resume", "start-over"].contains($0.command) }.map(\.asked)
        let before = (ends + asked.filter { $0.line < run.begin.line }).max { $0.line < $1.line }
        return before?.at ?? run.begin.at
    }

    /// The last that a client read of it.
    var lastRead: RunRecord.Call? { calls.last { $0.command == "status" } }

    /// Commands after which a step may begin again.
    var restarts: [RunRecord.Call] { calls.filter { ["resume", "start-over"].contains($0.command) } }

    /// Commands that end a running attempt.
    var stops: [RunRecord.Call] { calls.filter { ["pause", "cancel", "start-over"].contains($0.command) } }

    /// A command was under way between two places of the record.
    func wasRestarted(from: RunRecord.Moment, to: RunRecord.Moment, only command: String? = nil) -> Bool {
        restarts.contains { call in
            (command == nil || call.command == command) && call.asked.line < to.line
                && (call.told?.line ?? .max) > from.line
        }
    }
}

/// A case is heard by one rule after the other; each file has some of them.
struct Court {
    let record: RunRecord
    let judge: Judge
    var verdict = Judge.Verdict()
    /// Attempts that Celery has run more than once, for a reason that is known.
    var repeatedByCelery: Set<String> = []

    mutating func violate(_ sentence: String) { verdict.violations.append(sentence) }

    mutating func explain(_ sentence: String) { verdict.explained.append(sentence) }

    func fault(
        _ kinds: Set<RecordFault>, of victim: String? = nil, between from: Double, and to: Double
    ) -> RunRecord.Fault? {
        record.faults.first { fault in
            guard kinds.contains(fault.what), fault.begin.at <= to else { return false }
            guard victim == nil || fault.victim == victim else { return false }
            let end = fault.what.passes ? fault.end?.at ?? .infinity : fault.begin.at
            return end >= from
        }
    }

    /// The moment in which whoever ran it was killed; nil if nobody did that after it had begun.
    func kill(of run: RunRecord.Run) -> RunRecord.Moment? {
        record.faults.first { fault in
            guard fault.begin.line > run.begin.line else { return false }
            return switch fault.what {
            case .workerKilled: fault.victim == run.worker
            case .processKilled: fault.victim == run.process
            case .brokerAway, .databaseAway, .serverKilled, .serverStopped, .linkCut: false
            }
        }?.begin
    }
}

extension RecordFault {
    /// It lasts until it is healed.
    var passes: Bool {
        switch self {
        case .brokerAway, .databaseAway, .serverStopped, .linkCut: true
        case .workerKilled, .processKilled, .serverKilled: false
        }
    }
}
