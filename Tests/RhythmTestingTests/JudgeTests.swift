import RhythmTesting
import Testing

/// Each rule is seen to be broken, by a record that is as short as can be, and kept, by one that differs in a line.
@Suite struct JudgeTests {
    private func found(_ body: (inout RecordSketch) -> Void) -> [String] { RecordSketch.verdict(body).violations }

    private func onlyExplained(_ body: (inout RecordSketch) -> Void) -> Bool {
        let verdict = RecordSketch.verdict(body)
        return verdict.violations.isEmpty && verdict.explained.count == 1
    }

    @Test("a workflow that runs through breaks nothing") func good() {
        let verdict = RecordSketch.verdict {
            $0.start()
            $0.run("s0", "a")
            $0.run("s1", "b")
            $0.read("SUCCESS", ["ids": "a,b"])
        }
        #expect(verdict.violations == [] && verdict.explained == [])
        #expect(verdict.runs == 2 && verdict.calls == 2)
    }

    // MARK: No two live attempts of a step

    @Test("two attempts at once, as their own lines tell") func overlap() {
        let found = found {
            $0.start("s0:3")
            $0.begin("s0", "a")
            $0.begin("s0", "b", worker: "w2@localhost")
            $0.end("s0", "a", "OSError")
            $0.end("s0", "b")
            $0.read("SUCCESS")
        }
        #expect(found == ["w/s0 b on w2@localhost began while w/s0 a on w1@localhost was at work"])
    }

    @Test("two steps at once") func overlapOfSteps() {
        let found = found {
            $0.start()
            $0.begin("s0", "a")
            $0.begin("s0", "a", run: "a2")
            $0.end("s0", "a", run: "a2")
            $0.begin("s1", "b")
            $0.end("s0", "a")
            $0.end("s1", "b")
            $0.read("SUCCESS")
        }
        #expect(found.contains("w/s1 b on w1@localhost began while w/s0 a on w1@localhost was at work"))
    }

    @Test("a repetition of Celery's that begins when the workflow has gone on") func lateRepetition() {
        func record(broker: Bool) -> [String] {
            found {
                $0.start()
                $0.begin("s0", "a")
                if broker { $0.fault(.brokerAway) }
                $0.end("s0", "a")
                $0.begin("s1", "b")
                $0.begin("s0", "a", run: "a2")
                $0.end("s0", "a", run: "a2")
                $0.end("s1", "b")
                $0.read("SUCCESS")
            }
        }
        #expect(record(broker: true) == [])
        #expect(record(broker: false).contains { $0.hasSuffix("began while w/s1 b on w1@localhost was at work") })
    }

    @Test("an attempt that never ended, whose process the next one has seen alive") func overlapWithoutEnd() {
        func record(killed: Bool, seen: Bool) -> [String] {
            found {
                $0.start("s0:3")
                $0.begin("s0", "a")
                if killed { $0.killProcess(of: "a") }
                $0.begin("s0", "b", beside: seen ? ["a"] : [])
                $0.end("s0", "b")
                $0.read("SUCCESS")
            }
        }
        #expect(
            record(killed: false, seen: true) == [
                "w/s0 b on w1@localhost began while w/s0 a on w1@localhost was at work"
            ])
        // It is over with the kill, although the kernel may show it for a moment, and when its process is gone.
        #expect(record(killed: true, seen: true) == [])
        #expect(record(killed: false, seen: false) == [])
    }

    @Test("a worker's kill ends its runs, another's does not") func killOfWorker() {
        func record(_ victim: String) -> [String] {
            found {
                $0.start("s0:3")
                $0.begin("s0", "a")
                $0.fault(.workerKilled, victim)
                $0.begin("s0", "b", beside: ["a"])
                $0.end("s0", "b")
                $0.read("SUCCESS")
            }
        }
        #expect(record("w1@localhost") == [])
        #expect(record("w2@localhost").count == 1)
    }

    // MARK: No success repeated

    @Test("a success is repeated") func repeatedSuccess() {
        let found = found {
            $0.start("s0:3")
            $0.run("s0", "a")
            $0.wait(60)
            $0.run("s0", "b")
            $0.read("SUCCESS")
        }
        #expect(found == ["w/s0 b on w1@localhost repeats w/s0 a on w1@localhost, which had succeeded"])
    }

    @Test("a plain resume does not entitle to that, starting over does") func repeatedOnRequest() {
        func record(_ command: String) -> [String] {
            found {
                $0.start("s0:3,s1")
                $0.run("s0", "a")
                $0.wait(60)
                $0.command(command)
                $0.run("s0", "b")
                $0.run("s1", "c")
                $0.read("SUCCESS")
            }
        }
        #expect(record("resume") == ["w/s0 b on w1@localhost repeats w/s0 a on w1@localhost, which had succeeded"])
        #expect(record("start-over") == [])
    }

    @Test("a success that nobody can have stored") func lostSuccess() {
        func record(_ body: (inout RecordSketch) -> Void, before: (inout RecordSketch) -> Void = { _ in }) -> Bool {
            onlyExplained {
                $0.start("s0:3")
                $0.begin("s0", "a")
                before(&$0)
                $0.end("s0", "a")
                body(&$0)
                $0.wait(60)
                $0.run("s0", "b")
                $0.read("SUCCESS")
            }
        }
        #expect(record { $0.fault(.workerKilled, "w1@localhost") })
        #expect(record { $0.fault(.databaseAway) })
        #expect(record({ _ in }, before: { $0.fault(.databaseAway) }))
        // Healed before it ended, or gone long after.
        #expect(
            !record(
                { _ in },
                before: {
                    $0.fault(.databaseAway); $0.heal(.databaseAway); $0.wait(10)
                }))
        #expect(
            !record {
                $0.wait(10); $0.fault(.workerKilled, "w1@localhost")
            })
        #expect(
            !record {
                $0.wait(10); $0.fault(.databaseAway)
            })
        #expect(!record { $0.fault(.workerKilled, "w2@localhost") })
    }

    @Test("a success in the moment in which it was told to stop") func stoppedSuccess() {
        func record(pauseAfter seconds: Double) -> Bool {
            onlyExplained {
                $0.start("s0")
                $0.run("s0", "a")
                $0.wait(seconds)
                $0.command("pause")
                $0.command("resume")
                $0.run("s0", "b")
                $0.read("SUCCESS")
            }
        }
        #expect(record(pauseAfter: 0))
        #expect(!record(pauseAfter: 10))
    }

    // MARK: Nothing begun silently begun again

    @Test("a step that had begun begins again") func silentRepetition() {
        func record(_ steps: String, _ between: (inout RecordSketch) -> Void = { _ in }) -> [String] {
            found {
                $0.start(steps)
                $0.run("s0", "a", "OSError")
                between(&$0)
                $0.run("s0", "b")
                $0.read("SUCCESS")
            }
        }
        #expect(
            record("s0") == [
                "w/s0 b on w1@localhost begins a step again that a had begun, without a retry policy and without a command"
            ])
        #expect(record("s0:2") == [])
        #expect(record("s0") { $0.command("resume") } == [])
        #expect(record("s0") { $0.ask("resume") } == [])
        #expect(record("s0") { $0.command("pause") }.count == 1)
        // It had been answered before the first attempt began.
        #expect(
            found {
                $0.start("s0")
                $0.command("resume")
                $0.run("s0", "a", "OSError")
                $0.run("s0", "b")
                $0.read("SUCCESS")
            }.count == 1)
    }

    @Test("a step begins more often than its policy says") func beyondPolicy() {
        let found = found {
            $0.start("s0:2")
            $0.run("s0", "a", "OSError")
            $0.run("s0", "b", "OSError")
            $0.run("s0", "c")
            $0.read("SUCCESS")
        }
        #expect(found.count == 1 && found[0].contains("beyond the 2 attempts of its policy"))
    }

    // MARK: What Celery repeats

    @Test("a message that is run twice needs a reason") func twiceUnderOneID() {
        func record(
            late: Bool = false, worker: String? = "w1@localhost", _ between: (inout RecordSketch) -> Void
        ) -> Judge.Verdict {
            RecordSketch.verdict {
                $0.start("s0")
                $0.begin("s0", "a", run: "a1", worker: worker, late: late)
                between(&$0)
                $0.begin("s0", "a", run: "a2", worker: worker, late: late)
                $0.end("s0", "a", run: "a2")
                $0.read("SUCCESS")
            }
        }
        func isExplained(_ verdict: Judge.Verdict) -> Bool { verdict.violations == [] && verdict.explained.count == 1 }

        #expect(record { _ in }.violations.count == 1)
        #expect(record(late: true) { _ in }.violations.count == 1)
        #expect(isExplained(record { $0.fault(.brokerAway) }))
        #expect(isExplained(record { $0.fault(.workerKilled, "w1@localhost") }))
        #expect(
            record {
                $0.wait(10); $0.fault(.workerKilled, "w1@localhost")
            }.violations.count == 1)
        #expect(
            isExplained(
                record(late: true) {
                    $0.wait(10); $0.fault(.workerKilled, "w1@localhost")
                }))
        #expect(
            isExplained(
                record(late: true) {
                    $0.wait(10); $0.killProcess(of: "a1")
                }))
        #expect(record(late: true) { $0.fault(.workerKilled, "w2@localhost") }.violations.count == 1)
        #expect(isExplained(record { $0.fault(.linkCut, "w1@localhost") }))
        #expect(record { $0.fault(.linkCut, "server1") }.violations.count == 1)
        // Local tasks have no broker.
        #expect(record(worker: nil) { $0.fault(.brokerAway) }.violations.count == 1)
    }

    @Test("a task's own retry is none of ours") func ownRetry() {
        let verdict = RecordSketch.verdict {
            $0.start("s0")
            $0.begin("s0", "a", run: "a1")
            $0.end("s0", "a", run: "a1", "Retry")
            $0.begin("s0", "a", run: "a2", retries: 1)
            $0.end("s0", "a", run: "a2")
            $0.read("SUCCESS")
        }
        #expect(verdict.violations == [] && verdict.explained == [])
    }

    @Test("what outlives its own repetition is Celery's") func outlivesRepetition() {
        func record(broker: Bool) -> Judge.Verdict {
            RecordSketch.verdict {
                $0.start()
                $0.begin("s0", "a", run: "a1")
                if broker { $0.fault(.brokerAway) }
                $0.begin("s0", "a", run: "a2")
                $0.end("s0", "a", run: "a2")
                $0.begin("s1", "b")
                $0.end("s0", "a", run: "a1")
                $0.end("s1", "b")
                $0.read("SUCCESS")
            }
        }
        #expect(record(broker: true).violations == [] && record(broker: true).explained.count == 3)
        #expect(record(broker: false).violations.count == 3)
    }

    @Test("an id belongs to one step") func idOfTwoSteps() {
        let found = found {
            $0.start()
            $0.run("s0", "a")
            $0.begin("s1", "a", run: "a2")
            $0.end("s1", "a", run: "a2")
            $0.read("SUCCESS")
        }
        #expect(found.contains { $0.contains("began twice under one id, as s0 and as s1") })
    }

    // MARK: Order and arguments

    @Test("a step begins before the one before it has succeeded") func order() {
        let found = found {
            $0.start()
            $0.run("s0", "a", "OSError")
            $0.run("s1", "b")
            $0.read("SUCCESS")
        }
        #expect(found.contains("w/s1 b on w1@localhost began although s0 had not succeeded"))
        #expect(found.contains("w is told to be SUCCESS, and no run of s0 has succeeded"))
    }

    @Test("a step is given something else") func arguments() {
        let found = found {
            $0.start()
            $0.begin("s0", "a", given: "2")
            $0.end("s0", "a", gave: "3")
            $0.begin("s1", "b", given: "4")
            $0.end("s1", "b")
            $0.read("SUCCESS")
        }
        #expect(found.contains("w/s0 a on w1@localhost was given 2, and not 1 as asked for"))
        #expect(found.contains("w/s1 b on w1@localhost was given 4, and not [\"3\"] of the step before it"))
        let asked = self.found {
            $0.start()
            $0.run("s0", "a")
            $0.run("s1", "b", "OSError")
            $0.ask("resume", ["given": "4"])
            $0.tell("resume")
            $0.begin("s1", "c", given: "4")
            $0.end("s1", "c")
            $0.read("SUCCESS")
        }
        #expect(asked == [])
    }

    @Test("a step runs that nobody asked for") func unknownStep() {
        let found = found {
            $0.start("s0")
            $0.run("s0", "a")
            $0.run("s9", "b")
            $0.read("SUCCESS")
        }
        #expect(found == ["w/s9 b on w1@localhost ran, a step that nobody asked for"])
    }
}
