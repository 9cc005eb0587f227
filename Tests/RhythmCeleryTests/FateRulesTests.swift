import RhythmCore
import Testing

@testable import RhythmCelery

/// When an attempt is lost, and when one has stopped.
@Suite struct FateRulesTests {
    private func evidence(_ document: Evidence.Document, _ change: (inout Evidence) -> Void = { _ in }) -> Evidence {
        var evidence = Evidence(document: document)
        evidence.workers.denials = 2
        evidence.queue = .holds(0)
        evidence.queueName = "q1"
        change(&evidence)
        return evidence
    }

    // MARK: Lost

    @Test func isLostAfterTwoRounds() {
        var rule = LostRule()
        #expect(rule.explanation == nil)
        let found = evidence(.started) { $0.namedWorker = "w1@host" }
        same(rule.judge(found, now: .seconds(20)), .suspected(again: .seconds(35)))
        #expect(rule.explanation?.contains("looks lost") == true)
        same(rule.judge(found, now: .seconds(30)), .suspected(again: .seconds(35)))
        guard case .lost(let sentence, mayHaveBegun: true) = rule.judge(found, now: .seconds(35)) else {
            Issue.record("not lost")
            return
        }
        #expect(
            sentence
                == "its document says STARTED (last run by w1@host), none of 2 workers has it, and queue q1 is empty"
        )
    }

    /// Whatever is heard of it between the rounds begins them anew.
    @Test func isNotLostIfItMoves() {
        var rule = LostRule()
        _ = rule.judge(evidence(.started), now: .zero)
        same(
            rule.judge(evidence(.started) { $0.revision = 1 }, now: .seconds(20)), .suspected(again: .seconds(35)))
        let held = evidence(.started) {
            $0.revision = 1
            $0.workers.holders["w1"] = Holding(state: .active)
        }
        same(rule.judge(held, now: .seconds(40)), .held(by: "w1"))
        same(
            rule.judge(evidence(.started) { $0.revision = 1 }, now: .seconds(50)), .suspected(again: .seconds(65)))
    }

    @Test func isUndecidedWhileAnybodyIsSilent() {
        var rule = LostRule()
        _ = rule.judge(evidence(.absent), now: .zero)
        let silent = evidence(.absent) { $0.workers.silent = ["w2@host"] }
        same(rule.judge(silent, now: .seconds(20)), .undecided("worker w2@host does not answer"))
        same(
            rule.judge(evidence(.absent), now: .seconds(21)), .suspected(again: .seconds(36)), "from the beginning")
        let strange = evidence(.absent) { $0.isAcquainted = false }
        guard case .undecided = rule.judge(strange, now: .seconds(90)) else {
            Issue.record("a server that knows nobody cannot say that nobody has it")
            return
        }
    }

    /// Nor is it while somebody takes from its queue of whom nobody has heard.
    @Test func isUndecidedWhileThereIsAStranger() {
        var rule = LostRule()
        let strange = evidence(.absent) { $0.hasStranger = true }
        same(rule.judge(strange, now: .zero), .undecided("an unknown worker of queue q1 does not answer"))
        var revoke = RevokeRule(isOurs: true, now: .zero)
        _ = revoke.judge(strange, now: .zero)
        #expect(revoke.explanation == "it is being stopped: an unknown worker of queue q1 does not answer")
    }

    /// A worker that shuts down finishes what it runs and gives back what it has not begun.
    @Test func waitsForAWorkerThatLeaves() {
        func verdict(_ document: Evidence.Document, named: String) -> LostRule.Verdict {
            var rule = LostRule()
            return rule.judge(
                evidence(document) {
                    $0.leaving = ["w1"]
                    $0.namedWorker = named
                }, now: .zero)
        }
        #expect(verdict(.started, named: "w1").isUndecided)
        #expect(verdict(.started, named: "").isUndecided)
        #expect(verdict(.retry, named: "").isUndecided)
        #expect(!verdict(.started, named: "w2").isUndecided)
        #expect(!verdict(.absent, named: "").isUndecided)
    }

    /// That a document says REVOKED does not mean that a worker had it: others write that, too.
    @Test func doesNotWaitForAWorkerThatNeverHadIt() {
        func verdict(mayHaveBegun: Bool) -> RevokeRule.Verdict {
            var rule = RevokeRule(isOurs: true, now: .zero)
            return rule.judge(
                evidence(.revoked) {
                    $0.leaving = ["w1"]
                    $0.mayHaveBegun = mayHaveBegun
                }, now: .zero)
        }
        same(verdict(mayHaveBegun: false), .stopped("its worker stopped it"))
        guard case .wait = verdict(mayHaveBegun: true) else {
            Issue.record("w1 may be finishing it")
            return
        }
    }

    @Test func isNotLostInItsQueue() {
        var rule = LostRule()
        let full = evidence(.absent) { $0.queue = .holds(7) }
        same(rule.judge(full, now: .zero), .undecided("it may be among the 7 messages in queue q1"))
        same(rule.judge(evidence(.absent) { $0.queue = .unknown("no connection") }, now: .zero).isUndecided, true)
        same(rule.judge(evidence(.absent) { $0.queue = .missing }, now: .zero), .suspected(again: .seconds(15)))
        // Seen empty once, others may fill it again.
        guard case .lost = rule.judge(full, now: .seconds(15)) else {
            Issue.record("a busy queue would hide a lost attempt for ever")
            return
        }
    }

    // MARK: Revoked

    private func rule() -> RevokeRule { RevokeRule(isOurs: true, now: .zero) }

    @Test func tellsHarderAndHarder() {
        var rule = rule()
        same(rule.nextSignal(now: .zero), .terminate)
        same(rule.nextSignal(now: .seconds(9)), nil)
        same(rule.nextSignal(now: .seconds(10)), .terminate)
        same(rule.nextSignal(now: .seconds(20)), .kill)
        same(rule.nextSignal(now: .seconds(30)), .kill)
        rule.tellAgain()
        same(rule.nextSignal(now: .seconds(31)), .kill)
        var foreign = RevokeRule(isOurs: false, now: .zero)
        same(foreign.nextSignal(now: .zero), nil)
        foreign.takeOver()
        same(foreign.nextSignal(now: .zero), .terminate)
    }

    @Test func stopsAtOnceWhatNobodyHas() {
        for document: Evidence.Document in [.absent, .waiting, .revoked] {
            var rule = rule()
            guard case .stopped = rule.judge(evidence(document), now: .zero) else {
                Issue.record("\(document)")
                continue
            }
        }
        var rule = rule()
        let alone = evidence(.absent) {
            $0.workers.denials = 0
            $0.queue = .holds(3)
        }
        same(rule.judge(alone, now: .zero), .stopped("no worker has it"), "later workers are told at their hello")
    }

    @Test func waitsWhileItRuns() {
        var rule = rule()
        let running = evidence(.revoked) {
            $0.workers.holders["w1"] = Holding(state: .ready, process: 7)
            $0.workers.running = ["w1"]
        }
        same(rule.judge(running, now: .zero), .wait(until: .milliseconds(25)))
        #expect(rule.explanation == "it is being stopped: worker w1 still runs it")
        same(rule.judge(running, now: .seconds(1)), .wait(until: .seconds(1) + .milliseconds(50)))
        let silent = evidence(.absent) { $0.workers.silent = ["w2"] }
        guard case .wait = rule.judge(silent, now: .seconds(2)) else {
            Issue.record("a silent worker may run it")
            return
        }
        same(rule.judge(evidence(.revoked), now: .seconds(3)), .stopped("its worker stopped it"))
    }

    /// A worker denies an attempt as soon as it has signalled its process, which may ignore that.
    @Test func waitsForTheProcess() {
        func found(_ pool: Set<Int>, _ change: (inout Evidence) -> Void = { _ in }) -> Evidence {
            evidence(.revoked) {
                $0.workers.processes = ["w1": 7]
                $0.workers.pools = ["w1": pool]
                change(&$0)
            }
        }
        func isWaiting(_ rule: inout RevokeRule, _ evidence: Evidence, _ now: Duration) -> Bool {
            if case .wait = rule.judge(evidence, now: now) { true } else { false }
        }
        var rule = rule()
        same(isWaiting(&rule, found([6, 7]), .zero), true)
        #expect(!rule.isStuck(now: .seconds(1)))
        let idle = evidence(.revoked) {
            $0.workers.pools = ["w1": [6, 7]]
            $0.workers.saidActivity = ["w1"]
        }
        same(isWaiting(&rule, idle, .seconds(10)), true)
        #expect(rule.isStuck(now: .seconds(10)) && rule.explanation?.contains("end process 7 of worker w1") == true)
        same(isWaiting(&rule, found([6, 8]), .seconds(11)), false)
        var other = self.rule()
        same(isWaiting(&other, found([6, 7]), .zero), true)
        same(isWaiting(&other, found([6, 7]) { $0.runIsOver = true }, .seconds(1)), false)
    }

    /// A document may name a process that has long been at nothing, or at something else.
    @Test func sendsNobodyToEndAnIdleProcess() {
        func found(_ change: (inout Evidence) -> Void = { _ in }) -> Evidence {
            evidence(.started) {
                $0.workers.pools = ["w1": [7]]
                change(&$0)
            }
        }
        // Its worker did not have it when it was told for the first time.
        var rule = rule()
        rule.note(process: 7, of: "w1")
        same(rule.nextSignal(now: .zero), .terminate)
        _ = rule.judge(found { $0.workers.deniedBefore = ["w1"] }, now: .seconds(1))
        guard case .stopped = rule.judge(found(), now: .seconds(20)) else {
            Issue.record("\(rule.explanation ?? "")")
            return
        }
        // Told before by somebody else, it may have given it up.
        var foreign = RevokeRule(isOurs: false, now: .zero)
        foreign.note(process: 7, of: "w1")
        foreign.takeOver()
        _ = foreign.nextSignal(now: .zero)
        _ = foreign.judge(found { $0.workers.deniedBefore = ["w1"] }, now: .seconds(1))
        _ = foreign.judge(found(), now: .seconds(20))
        #expect(foreign.explanation == "it is being stopped: worker w1 still runs it", "nobody asked what 7 is at")
        _ = foreign.judge(found { $0.workers.saidActivity = ["w1"] }, now: .seconds(21))
        #expect(foreign.explanation?.contains("end process 7") == true)
    }

    /// Prefetched: the worker drops it when its turn comes, which may take hours. Seen twice it is not on its way to a
    /// pool process.
    @Test func withdrawsWhatAWorkerHasInHand() {
        for state: Holding.State in [.reserved, .scheduled] {
            var rule = rule()
            let inHand = evidence(.absent) { $0.workers.holders["w1"] = Holding(state: state) }
            guard case .wait = rule.judge(inHand, now: .zero) else {
                Issue.record("too early")
                continue
            }
            guard case .wait = rule.judge(inHand, now: .milliseconds(900)) else {
                Issue.record("too early")
                continue
            }
            same(rule.judge(inHand, now: .seconds(1)), .stopped("it had not begun; its worker drops it"))
        }
    }

    /// A document that says STARTED while nobody has it: its worker is about to write, or dead.
    @Test func looksTwiceAtAStaleDocument() {
        var rule = rule()
        for second in [0, 5, 14] {
            guard case .wait = rule.judge(evidence(.started), now: .seconds(second)) else {
                Issue.record("too early")
                return
            }
        }
        guard case .stopped = rule.judge(evidence(.started), now: .seconds(15)) else {
            Issue.record("not stopped")
            return
        }
        var other = self.rule()
        _ = other.judge(evidence(.started), now: .zero)
        same(
            other.judge(evidence(.revoked) { $0.revision = 1 }, now: .seconds(1)), .stopped("its worker stopped it"))
    }
}

extension LostRule.Verdict {
    var isUndecided: Bool { if case .undecided = self { true } else { false } }
}

/// Who is there, and what they said.
@Suite struct CensusTests {
    @Test func knowsTheLivingFromTheDead() {
        var roster = WorkerRoster()
        same(roster.heard("w1", at: .zero), true)
        same(roster.heard("w1", at: .seconds(2)), false)
        #expect(roster.standing(of: "w1", at: .seconds(11)) == .live)
        #expect(roster.standing(of: "w1", at: .seconds(12)) == .silent(since: .seconds(2)))
        #expect(roster.quiet(at: .seconds(12)) == ["w1"])
        #expect(roster.standing(of: "w1", at: .seconds(9999)) == .silent(since: .seconds(2)), "its mailbox is there")
        roster.mailbox(of: "w1", isThere: false)
        #expect(roster.standing(of: "w1", at: .seconds(301)) == .silent(since: .seconds(2)))
        #expect(roster.standing(of: "w1", at: .seconds(302)) == .dead)
        #expect(roster.expected(at: .seconds(302)).isEmpty)
        same(roster.heard("w1", at: .seconds(303)), true, "it is back")
        roster.leaves("w1", at: .seconds(304))
        #expect(roster.standing(of: "w1", at: .seconds(400)) == .leaving(since: .seconds(304)))
        same(roster.expected(at: .seconds(400)), [])
        same(roster.bury(at: .seconds(400)), [])
        same(roster.bury(at: .seconds(304 + 6 * 3600)), ["w1"])
        roster.mention("w2", at: .seconds(1))
        roster.mention("", at: .seconds(1))
        #expect(roster.names == ["w2"])
    }

    private func complete(_ census: inout Census, _ node: String, query: String = "{}", processes: String = "[1]")
        throws
    {
        census.take(.query, from: node, try JSON(parsing: query).value)
        census.take(.scheduled, from: node, .array([]))
        census.take(.stats, from: node, try JSON(parsing: #"{"pool": {"processes": \#(processes)}}"#).value)
    }

    @Test func isCompleteWhenAllHaveAnswered() throws {
        var census = Census(of: ["a"], expected: ["w1", "w2"], begun: .zero)
        try complete(&census, "w1")
        #expect(!census.isComplete)
        #expect(census.finding(of: "a").silent == ["w2"])
        census.take(.query, from: "w2", .object([]))
        census.take(.scheduled, from: "w2", .array([.object([.init("request", .object([.init("id", .string("a"))]))])]))
        #expect(!census.isComplete && census.finding(of: "a").silent == ["w2"])
        census.take(.stats, from: "w2", .object([]))
        #expect(census.isComplete)
        let finding = census.finding(of: "a")
        #expect(finding.holders == ["w2": Holding(state: .scheduled)] && finding.denials == 1)
        #expect(finding.running.isEmpty && finding.silent.isEmpty)
        #expect(!Census(of: ["a"], expected: [], begun: .zero).isComplete, "somebody unknown may yet answer")
    }

    @Test func knowsWhatProcessesAreAt() throws {
        var census = Census(
            of: ["a"], parts: [.query, .scheduled, .stats, .before, .active], expected: ["w1"], begun: .zero)
        try complete(&census, "w1", processes: "[1, 2]")
        census.take(.before, from: "w1", try JSON(parsing: #"{"a": ["active", {"worker_pid": 1}]}"#).value)
        #expect(!census.isComplete)
        census.take(.active, from: "w1", try JSON(parsing: #"[{"id": "b", "worker_pid": 1}, {"id": "c"}, 7]"#).value)
        #expect(census.isComplete)
        let finding = census.finding(of: "a")
        #expect(finding.processes == ["w1": 1] && finding.pools == ["w1": [2]] && finding.denials == 1)
    }

    @Test func seesThroughAForgetfulWorker() throws {
        var census = Census(of: ["a", "b"], expected: ["w1"], begun: .zero)
        try complete(
            &census, "w1", query: #"{"a": ["ready", {"worker_pid": 1}], "b": ["ready", {"worker_pid": 2}]}"#)
        #expect(census.finding(of: "a").running == ["w1"])
        #expect(census.finding(of: "b").running.isEmpty && census.finding(of: "b").denials == 1)
    }
}
