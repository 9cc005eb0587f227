import RhythmCore
import Testing

@testable import RhythmCelery

/// When an attempt is lost, when its result is, and when nobody can say: over all that may be known.
@Suite struct LostRuleTests {
    private static let documents: [Evidence.Document] = [
        .absent, .waiting, .started, .retry, .revoked, .ended,
    ]
    private static let begins: [Evidence.Begin] = [.seen, .ruledOut, .unknown("who knows")]
    private static let queues: [Evidence.Queue] = [.missing, .holds(0), .holds(3), .unknown("no connection")]
    private static let delays: [Evidence.Delayed] = [
        .nothing, .holds(2, longest: .seconds(64)), .unknown("no connection"),
    ]
    private static let ends: [Evidence.ToldEnd?] = [
        nil, .init(worker: "w1", at: .seconds(100)), .init(worker: "w1", exception: "Boom()", at: .seconds(100)),
    ]
    private static let patience = Duration.seconds(10)

    /// Everything that may be known, in all combinations.
    private static func all(_ body: (Evidence) throws -> Void) rethrows {
        for document in documents {
            for begin in begins {
                for queue in queues {
                    for delayed in delays {
                        for end in ends {
                            for bits in 0..<16 {
                                var evidence = Evidence(document: document)
                                evidence.begin = begin
                                evidence.queue = queue
                                evidence.queueName = "q1"
                                evidence.delayed = delayed
                                evidence.toldEnd = end
                                evidence.namedWorker = begin == .ruledOut ? "" : "w1"
                                evidence.place = "celery.celery_taskmeta of mongodb://h"
                                if bits & 1 != 0 { evidence.limit = "worker w1 begins ok only 1/m (rate_limit)" }
                                if bits & 2 != 0 {
                                    evidence.workers.silent = ["w2"]
                                } else {
                                    evidence.workers.denials = 2
                                }
                                if bits & 4 != 0 { evidence.workers.holders = ["w3": Holding(state: .reserved)] }
                                if bits & 8 != 0 { evidence.namedWorkerHasStayed = true }
                                try body(evidence)
                            }
                        }
                    }
                }
            }
        }
    }

    /// What becomes of an attempt of which nothing else is ever found, over many rounds.
    private func verdicts(_ evidence: Evidence) -> [LostRule.Verdict] {
        var rule = LostRule(pause: .seconds(15), patience: Self.patience)
        return stride(from: 100, through: 400, by: 5).map { rule.judge(evidence, now: .seconds($0)) }
    }

    @Test func nobodyIsGivenUpWithoutReason() {
        var ends: [String: Int] = [:]
        Self.all { evidence in
            for (round, verdict) in verdicts(evidence).enumerated() {
                let now = Duration.seconds(100 + 5 * round)
                switch verdict {
                case .held: #expect(!evidence.workers.holders.isEmpty)
                case .lost(let sentence, let mayHaveBegun):
                    // Sent again only if no worker can have begun it.
                    #expect(mayHaveBegun == (evidence.begin != .ruledOut), "\(evidence)")
                    #expect(evidence.limit == nil && evidence.workers.silent.isEmpty && evidence.toldEnd == nil)
                    #expect(evidence.workers.holders.isEmpty && now >= .seconds(115))
                    #expect(evidence.queue == .holds(0) || evidence.queue == .missing)
                    // Whatever was delayed when it was last heard of is due by then.
                    if case .holds(_, let longest) = evidence.delayed { #expect(now >= .seconds(100) + longest) }
                    if case .unknown = evidence.delayed { Issue.record("\(evidence)") }
                    let saysNone = sentence.contains("no worker has begun it")
                    let isOpen = evidence.document == .absent || evidence.document == .waiting
                    #expect(saysNone == (isOpen && evidence.begin == .ruledOut), "\(sentence)")
                case .missing(let sentence):
                    #expect(evidence.workers.holders.isEmpty)
                    #expect(sentence.contains("in celery.celery_taskmeta of mongodb://h"))
                    if let end = evidence.toldEnd {
                        #expect(now >= end.at + Self.patience)
                        #expect(sentence.contains(end.exception == nil ? "succeeded" : "failed (Boom())"))
                    } else {
                        #expect(evidence.begin == .seen && evidence.document == .absent)
                        #expect(evidence.namedWorkerHasStayed && now >= .seconds(115))
                    }
                case .undecided(let reason), .waits(let reason): #expect(!reason.isEmpty)
                case .suspected(let again): #expect(again > now - .seconds(1))
                }
            }
            switch verdicts(evidence).last {
            case .held: ends["held", default: 0] += 1
            case .lost: ends["lost", default: 0] += 1
            case .missing: ends["missing", default: 0] += 1
            case .undecided, .suspected, nil: ends["open", default: 0] += 1
            case .waits: ends["waits", default: 0] += 1
            }
        }
        #expect(ends.keys.sorted() == ["held", "lost", "missing", "open", "waits"], "\(ends)")
    }

    private func evidence(_ document: Evidence.Document, _ change: (inout Evidence) -> Void = { _ in }) -> Evidence {
        var evidence = Evidence(document: document)
        evidence.workers.denials = 2
        evidence.queue = .holds(0)
        evidence.queueName = "q1"
        evidence.place = "celery.celery_taskmeta of mongodb://h"
        change(&evidence)
        return evidence
    }

    private func sentence(_ evidence: Evidence) -> String {
        for case .lost(let sentence, _) in verdicts(evidence) { return sentence }
        return ""
    }

    /// It is never said of one that a worker had begun that none has.
    @Test func saysWhatIsKnownOfTheBegin() {
        let rest = ", none of 2 workers has it, and queue q1 is empty"
        #expect(sentence(evidence(.absent) { $0.begin = .ruledOut }) == "no worker has begun it" + rest)
        let seen = evidence(.absent) {
            $0.begin = .seen
            $0.namedWorker = "w1@host"
        }
        #expect(sentence(seen) == "worker w1@host had begun it" + rest)
        #expect(
            sentence(evidence(.waiting) { $0.begin = .unknown("task_track_started is off") })
                == "nobody can say whether a worker had begun it (task_track_started is off)" + rest)
        #expect(sentence(evidence(.retry) { $0.begin = .seen }) == "its document says RETRY" + rest)
    }

    /// The worker that is known to have ended it decides; others that are silent have nothing to do with it.
    @Test func aToldEndWaitsForNobodyElse() {
        let ended = evidence(.absent) {
            $0.toldEnd = .init(worker: "w1", at: .seconds(100))
            $0.workers.silent = ["w2"]
        }
        guard case .missing = verdicts(ended).last else {
            Issue.record("w2 has nothing to say")
            return
        }
        let silent = evidence(.absent) {
            $0.toldEnd = .init(worker: "w1", at: .seconds(100))
            $0.workers.silent = ["w1"]
        }
        #expect(verdicts(silent).allSatisfy { $0.isUndecided })
    }

    /// Others keep the queues for what is not due yet filled; what was there at first is due some time.
    @Test func delayedMessagesOfOthersHideNothingForEver() {
        var rule = LostRule(pause: .seconds(15))
        func judge(_ level: Int, _ now: Int, revision: Int = 0) -> LostRule.Verdict {
            let state = DelayedQueues.state { name in
                name == DelayedQueues.all[level] ? .holds(1) : .holds(0)
            }
            return rule.judge(
                evidence(.retry) {
                    $0.delayed = state
                    $0.revision = revision
                }, now: .seconds(now))
        }
        guard case .waits(let reason) = judge(6, 0) else {
            Issue.record("64 to 127 seconds")
            return
        }
        #expect(reason.contains("1 message that RabbitMQ delays") && reason.contains("celery_delayed_0 to 27"))
        #expect(rule.explanation == reason)
        // A longer delay than any that it can have.
        guard case .waits = judge(20, 132) else {
            Issue.record("too early")
            return
        }
        same(judge(20, 133), .suspected(again: .seconds(148)))
        guard case .lost = judge(20, 148) else {
            Issue.record("not lost")
            return
        }
        // Its next run has begun meanwhile, and may be delayed anew.
        guard case .waits = judge(3, 150, revision: 1) else {
            Issue.record("too early")
            return
        }
    }

    @Test func knowsTheQueuesForWhatIsNotDue() {
        #expect(DelayedQueues.all.first == "celery_delayed_0" && DelayedQueues.all.last == "celery_delayed_27")
        #expect(DelayedQueues.state { _ in .missing } == .nothing)
        #expect(DelayedQueues.state { _ in .holds(0) } == .nothing)
        #expect(DelayedQueues.state { _ in .unknown("no") } == .unknown("no"))
        #expect(DelayedQueues.state { _ in nil } == .unknown("nobody has looked yet"))
        #expect(
            DelayedQueues.state { $0 == "celery_delayed_0" ? .holds(2) : .holds(0) } == .holds(2, longest: .seconds(2)))
        #expect(
            DelayedQueues.state { $0 == "celery_delayed_27" ? .holds(1) : .missing }
                == .holds(1, longest: .seconds(1 << 28)))
    }

    /// Whatever is heard of an attempt makes what was found before untrue.
    @Test func newsEndTheExplanation() {
        var rule = LostRule()
        _ = rule.judge(evidence(.absent) { $0.queue = .holds(7) }, now: .zero)
        #expect(rule.explanation != nil)
        rule.forget()
        #expect(rule.explanation == nil)
    }
}
