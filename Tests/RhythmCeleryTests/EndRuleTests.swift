import RhythmCore
import RhythmMongo
import Testing

@testable import RhythmCelery

/// Which ends that documents tell are believed, and when.
@Suite struct EndRuleTests {
    private func document(
        _ status: BSONValue, _ result: BSONValue = #"{"exc_type": "E", "exc_message": ["m"], "exc_module": "app"}"#,
        traceback: BSONValue = .null, isDated: Bool = true
    ) throws -> ResultDocument {
        var fields: BSONDocument = ["_id": "t", "status": status, "result": result, "traceback": traceback]
        if isDated { fields["date_done"] = .date(milliseconds: 5) }
        return try #require(ResultDocument(fields))
    }

    private func doubt(
        _ document: ResultDocument, isTold: Bool = false, isOdd: Bool = false, word: TaskEnds.Word = .isGood,
        age: Duration = .seconds(1)
    ) -> EndRule.Doubt {
        EndRule.doubt(document, isTold: isTold, isOdd: isOdd, word: word, age: age, long: .seconds(3))
    }

    // MARK: Doubt

    @Test func believesWhatNothingSpeaksAgainst() throws {
        let success = try document("SUCCESS", "[1]")
        #expect(doubt(success) == .none)
        #expect(doubt(success, word: .unknown) == .slight, "nobody knows how it ends")
        #expect(doubt(success, age: .seconds(3)) == .slight, "a question costs nothing after so long")
        #expect(doubt(success, isOdd: true) == .strong)
        #expect(doubt(success, word: .writesThemItself) == .strong)
        #expect(doubt(success, isTold: true, isOdd: true, word: .writesThemItself) == .none)
        #expect(try doubt(document("SUCCESS", "[1]", isDated: false)) == .strong)
        #expect(try doubt(document("FAILURE", traceback: "Traceback ...")) == .none)
    }

    /// Celery stores a traceback with what a task has raised, and none with what its main process has found out.
    @Test func doubtsFailuresWithoutATraceback() throws {
        #expect(try doubt(document("FAILURE")) == .strong)
        #expect(try doubt(document("FAILURE", "null")) == .strong)
        #expect(try doubt(document("FAILURE"), isTold: true) == .none)
        for (type, module) in [
            ("WorkerLostError", "billiard.exceptions"), ("TimeLimitExceeded", "billiard.exceptions"),
            ("MaybeEncodingError", "billiard.pool"), ("NotRegistered", "celery.exceptions"),
            ("Reject", "celery.exceptions"), ("EncodeError", "kombu.exceptions"),
        ] {
            let result = #"{"exc_type": "\#(type)", "exc_message": ["m"], "exc_module": "\#(module)"}"#
            #expect(try doubt(document("FAILURE", .string(result)), word: .unknown) == .none, "\(type)")
        }
        let own = #"{"exc_type": "WorkerLostError", "exc_message": ["m"], "exc_module": "celeryish"}"#
        #expect(try doubt(document("FAILURE", .string(own))) == .strong)
    }

    @Test func knowsARevokeOfTheTasksOwn() throws {
        let workers = try document(
            "REVOKED", #"{"exc_type": "TaskRevokedError", "exc_message": ["terminated"], "exc_module": "x"}"#)
        #expect(!workers.isTasksOwnRevoke && !workers.tellsEnd)
        #expect(try !document("REVOKED", .null).tellsEnd, "nobody can read it")
        let yaml = "exc_message: [terminated]\nexc_module: celery.exceptions\nexc_type: TaskRevokedError\n"
        #expect(try !document("REVOKED", .string(yaml)).tellsEnd)
        let own = try document("REVOKED", #"{"exc_type": "E", "exc_message": "enough"}"#)
        #expect(own.tellsEnd && doubt(own) == .strong)
        let detail = "the task itself has stored REVOKED: enough"
        #expect(
            own.end(now: .init(microseconds: 1)) == .revoked(detail: detail, at: Timestamp(microseconds: 5000)))
    }

    // MARK: Questions

    private func expected(_ workers: Set<String>, talkative: Set<String>? = nil, isAll: Bool = true) -> EndRule.Expected
    {
        EndRule.Expected(workers: workers, talkative: talkative ?? workers, isAll: isAll)
    }

    @Test func isConfirmedByWhoeverHadIt() {
        var rule = EndRule(.strong, now: .zero)
        let round = rule.ask(expected(["w1"]), now: .zero)
        same(rule.answered(round, by: "w2", nil, now: .zero), nil)
        same(rule.answered(round + 1, by: "w1", nil, now: .zero), nil, "of another round")
        same(rule.answered(round, by: "w1", nil, now: .milliseconds(5)), .confirmed)
        #expect(!rule.wentOn)
        // A copy that waits behind it is no work on it.
        var copied = EndRule(.strong, now: .zero)
        let first = copied.ask(expected(["w1"]), now: .zero)
        same(copied.answered(first, by: "w1", Holding(state: .reserved), now: .zero), .confirmed)
    }

    /// A worker takes a moment to hand back what it has just ended; whoever takes longer goes on with the task.
    @Test func waitsWhileItIsAtWork() {
        var rule = EndRule(.slight, now: .zero)
        var now = Duration.zero
        var asked = 0
        while now < .seconds(60) {
            now = rule.nextAsk
            asked += 1
            let round = rule.ask(expected(["w1"]), now: now)
            same(
                rule.answered(round, by: "w1", Holding(state: .active, process: 7), now: now),
                .wait(until: rule.nextAsk))
            #expect(rule.doubt == .strong && rule.nextAsk - now <= .seconds(5))
            #expect(rule.wentOn == (now >= .milliseconds(500)))
        }
        #expect(asked < 40, "\(asked)")
        #expect(rule.explanation(nil).contains("worker w1 is still at it"))
        // Another worker may have it as well.
        let round = rule.ask(expected(["w1"]), now: now)
        same(rule.answered(round, by: "w2", Holding(state: .active), now: now), .wait(until: rule.nextAsk))
        let last = rule.ask(expected(["w1"]), now: now)
        same(rule.answered(last, by: "w1", nil, now: now), .confirmed)
    }

    @Test func takesSilenceForAgreementOnlyWhereNothingSpeaksAgainstIt() {
        var slight = EndRule(.slight, now: .zero)
        _ = slight.ask(expected(["w1"]), now: .zero)
        same(slight.deadline, .seconds(1))
        same(slight.overdue(now: .seconds(1)), .confirmed)
        same(slight.cannotAsk(now: .zero), .confirmed)

        func end(_ expected: EndRule.Expected) -> Duration {
            var rule = EndRule(.strong, now: .zero)
            var now = Duration.zero
            while now < .seconds(1000) {
                _ = rule.ask(expected, now: now)
                now += .seconds(1)
                if rule.overdue(now: now) == .confirmed { return now }
                now = rule.nextAsk
            }
            return now
        }
        #expect(end(expected(["w1"], talkative: [])) >= .seconds(30))
        #expect(end(expected(["w1"], talkative: [])) < .seconds(40), "it never answers")
        #expect(end(expected(["w1"])) >= .seconds(300), "it has answered before, and may hang")
        #expect(end(expected(["w1"])) < .seconds(310))
        #expect(end(expected([], isAll: false)) < .seconds(40), "nobody is there")
    }

    @Test func remembersWhoGoesOn() {
        var ends = TaskEnds()
        #expect(ends["a"] == .unknown)
        ends.saw(endOf: "a", "0", isConfirmed: false, now: .zero)
        #expect(ends["a"] == .unknown, "nobody has said so")
        ends.saw(endOf: "a", "1", isConfirmed: true, now: .zero)
        #expect(ends["a"] == .isGood)
        same(ends.takeAudit(now: .milliseconds(500)), [:], "its worker may be handing it back")
        same(ends.takeAudit(now: .seconds(1)), ["1": "a"])
        ends.saw(endOf: "a", "2", isConfirmed: true, now: .seconds(2))
        same(ends.takeAudit(now: .seconds(30)), [:], "once a minute is enough")
        ends.saw(endOf: "a", "3", isConfirmed: true, now: .seconds(60))
        same(ends.takeAudit(now: .seconds(62)), ["3": "a"])
        same(ends.wentOn("a"), true)
        same(ends.wentOn("a"), false)
        ends.saw(endOf: "a", "4", isConfirmed: true, now: .seconds(63))
        #expect(ends["a"] == .writesThemItself)
    }
}

/// Which workers may have something from a queue.
@Suite struct QueueTakersTests {
    private func answer(_ names: String...) -> JSONValue {
        .array(names.map { .object([.init("name", .string($0)), .init("alias", .null)]) })
    }

    @Test func believesWhatWorkersSay() {
        var takers = QueueTakers()
        #expect(takers.takes("w1", from: "a") == nil)
        takers.learn(answer("a", "b"), of: "w1")
        takers.learn(answer("other"), of: "w2")
        #expect(takers.takes("w1", from: "a") == true && takers.takes("w2", from: "a") == false)
        #expect(!takers.mayHave("w2", from: "a", consumers: 9, answering: ["w1", "w2"]))
        // What it took from a queue before it left that, it may still have.
        takers.learn(answer("b"), of: "w1")
        #expect(takers.takes("w1", from: "a") == true)
        takers.learn(.object([.init("error", .string("no"))]), of: "w3")
        #expect(takers.takes("w3", from: "a") == nil)
        takers.forget("w1")
        #expect(takers.takes("w1", from: "a") == nil)
    }

    /// Of one that answers nothing, the broker's number of consumers tells.
    @Test func countsConsumers() {
        var takers = QueueTakers()
        takers.learn(answer("a"), of: "w1")
        takers.learn(answer("a", "b"), of: "w2")
        let answering: Set<String> = ["w1", "w2"]
        func mayHave(_ consumers: Int?, _ answering: Set<String>, from queue: String = "a") -> Bool {
            takers.mayHave("mute", from: queue, consumers: consumers, answering: answering)
        }
        #expect(!mayHave(2, answering) && mayHave(3, answering))
        #expect(mayHave(nil, answering), "nobody has counted")
        #expect(mayHave(2, ["w1"]), "w2 may be gone, and its consumer another's")
        #expect(mayHave(1, []) && !mayHave(0, []))
        // Whoever may have taken from it once may still have what it took.
        takers.saw(consumers: 3, of: "a", answering: ["w1", "w2", "new"], mute: ["mute"])
        #expect(!mayHave(2, answering), "new has not said yet what it takes")
        takers.saw(consumers: 3, of: "a", answering: answering, mute: ["mute"])
        #expect(mayHave(2, answering) && !mayHave(1, answering, from: "b"))
        takers.learn(answer("b"), of: "mute")
        #expect(!mayHave(3, answering))
    }

    /// One that was only busy answers later: what it took itself is not held against those that never do.
    @Test func suspectsNobodyOfWhatABusyOneTook() {
        func seen(_ consumers: Int, busyTakes queue: String?) -> Bool {
            var takers = QueueTakers()
            takers.saw(consumers: consumers, of: "a", answering: [], mute: ["busy", "mute"])
            takers.saw(consumers: 1, of: "a", answering: [], mute: ["busy", "mute"])
            if let queue { takers.learn(answer(queue), of: "busy") }
            return takers.mayHave("mute", from: "a", consumers: 0, answering: [])
        }
        #expect(seen(1, busyTakes: nil), "it may be either of them")
        #expect(!seen(1, busyTakes: "a"))
        #expect(seen(1, busyTakes: "b") && seen(2, busyTakes: "a"))
        // Nor what one took of which nobody had heard by then; the next look shows the one that is there beside it.
        var takers = QueueTakers()
        takers.saw(consumers: 1, of: "a", answering: [], mute: ["mute"])
        #expect(takers.mayHave("mute", from: "a", consumers: 0, answering: []))
        takers.learn(answer("a"), of: "busy")
        #expect(!takers.mayHave("mute", from: "a", consumers: 1, answering: ["busy"]))
        takers.saw(consumers: 2, of: "a", answering: ["busy"], mute: ["mute"])
        takers.learn(answer("a"), of: "busy")
        #expect(takers.mayHave("mute", from: "a", consumers: 0, answering: ["busy"]), "it is explained only once")
        takers.forget("mute")
        #expect(!takers.mayHave("mute", from: "a", consumers: 1, answering: ["busy"]))
    }

    /// Consumers beyond the workers that are known are somebody's.
    @Test func countsThoseOfWhomNobodyHasHeard() {
        var takers = QueueTakers()
        takers.learn(answer("a"), of: "w1")
        takers.learn(answer("b"), of: "w2")
        #expect(takers.strangers(of: "a", consumers: 1, known: ["w1", "w2"]) == 0)
        #expect(takers.strangers(of: "a", consumers: 3, known: ["w1", "w2"]) == 2)
        #expect(takers.strangers(of: "a", consumers: 2, known: ["w1", "w2", "mute"]) == 0, "it may be that one's")
        #expect(takers.strangers(of: "a", consumers: 0, known: ["w1"]) == 0)
        #expect(takers.strangers(of: "a", consumers: 1, known: []) == 1)
    }
}
