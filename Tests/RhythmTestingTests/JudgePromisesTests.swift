import RhythmTesting
import Testing

/// Nothing that was acknowledged is undone.
@Suite struct JudgePromisesTests {
    private func found(_ body: (inout RecordSketch) -> Void) -> [String] { RecordSketch.verdict(body).violations }

    @Test("after a pause nothing begins but what had been sent") func pause() {
        func record(_ command: String, _ after: (inout RecordSketch) -> Void) -> [String] {
            found {
                $0.start("s0:5,s1")
                $0.begin("s0", "a")
                $0.command(command)
                after(&$0)
                $0.read("REVOKED")
            }
        }
        for command in ["pause", "cancel"] {
            #expect(record(command) { $0.end("s0", "a") } == [])
            #expect(
                record(command) {
                    $0.end("s0", "a")
                    $0.begin("s1", "b")
                } == ["w/s1 b on w1@localhost began after the answer to a \(command)"])
            #expect(record(command) { $0.end("s0", "a", "SystemExit") } == [])
        }
    }

    @Test("what waited in a queue may still begin, once") func pauseOfQueued() {
        func record(_ ids: [String]) -> [String] {
            found {
                $0.start("s0:5")
                $0.command("pause")
                for id in ids { $0.run("s0", id, "OSError") }
                $0.read("REVOKED")
            }
        }
        #expect(record(["a"]) == [])
        #expect(record(["a", "b"]).count == 1)
    }

    @Test("a run that had ended long before does not count") func pauseBetweenSteps() {
        let found = found {
            $0.start()
            $0.run("s0", "a")
            $0.command("pause")
            $0.run("s1", "b")
            $0.read("REVOKED")
        }
        #expect(found == [])
    }

    @Test("after somebody was told that nothing runs, nothing begins") func quiesced() {
        func record(resumed: Bool) -> [String] {
            found {
                $0.start("s0:5")
                $0.command("pause", ["accepted": "1", "quiesced": "1", "status": "REVOKED"])
                if resumed { $0.ask("resume") }
                $0.run("s0", "a")
                $0.read("SUCCESS")
            }
        }
        #expect(record(resumed: true) == [])
        #expect(record(resumed: false).first?.contains("after a client was told that nothing of it runs") == true)
        let read = found {
            $0.start("s0")
            $0.run("s0", "a")
            $0.read("SUCCESS")
            $0.run("s0", "b")
            $0.read("SUCCESS")
        }
        #expect(read.contains { $0.contains("(status, SUCCESS)") })
    }

    @Test("a resume that was under way takes what was told") func overtaken() {
        let found = found {
            $0.start("s0:5")
            $0.ask("pause")
            $0.ask("resume")
            $0.tell("pause", ["accepted": "1", "quiesced": "1", "status": "REVOKED"])
            $0.run("s0", "a")
            $0.tell("resume")
            $0.read("SUCCESS")
        }
        #expect(found == [])
    }

    @Test("an acknowledged command is undone") func undone() {
        func record(_ command: String, _ status: String) -> [String] {
            found {
                $0.start("s0:5")
                $0.run("s0", "a", "OSError")
                $0.command(command)
                if command == "resume" || status == "SUCCESS" { $0.run("s0", "b") }
                $0.read(status)
            }
        }
        #expect(record("pause", "REVOKED") == [])
        #expect(record("cancel", "REVOKED") == [])
        #expect(record("cancel", "SUCCESS") == [])
        #expect(record("resume", "SUCCESS") == [])
        #expect(record("resume", "REVOKED") == ["w is REVOKED in the end although resume was acknowledged last"])
        #expect(record("cancel", "FAILURE").first?.contains("although its cancel was acknowledged") == true)
        #expect(record("pause", "STARTED") == ["w is STARTED in the end, and does not end"])
    }

    @Test("an acknowledged start is undone") func startUndone() {
        #expect(found { $0.start("s0") } == ["w was accepted, and nobody was told what became of it"])
        #expect(
            found {
                $0.start("s0")
                $0.read("PENDING")
            } == ["w is PENDING in the end, and does not end"])
        #expect(
            found {
                $0.start("s0")
                $0.read("REVOKED")
            } == ["w is REVOKED in the end although nobody stopped it"])
        #expect(
            found {
                $0.start("s0")
                $0.read("SUCCESS")
            } == ["w is told to be SUCCESS, and no run of s0 has succeeded"])
        // One whose answer never came promises nothing.
        #expect(found { $0.ask("start", ["steps": "s0"]) } == [])
    }

    @Test("a failure that was a success") func falseFailure() {
        func record(_ outcome: String, _ fault: RecordFault? = nil) -> Judge.Verdict {
            RecordSketch.verdict {
                $0.start("s0")
                $0.begin("s0", "a")
                if let fault { $0.fault(fault) }
                $0.end("s0", "a", outcome)
                $0.read("FAILURE")
            }
        }
        #expect(record("OSError").violations == [])
        #expect(record("success").violations.count == 1)
        #expect(record("success", .databaseAway).violations == [])
        #expect(record("success", .databaseAway).explained.count == 1)
    }

    @Test("a record that has become older than an answer") func version() {
        func record(_ version: String) -> [String] {
            found {
                $0.start("s0")
                $0.begin("s0", "a")
                $0.command("pause", ["accepted": "1", "version": "7"])
                $0.end("s0", "a", "SystemExit")
                $0.read("REVOKED", ["version": version])
            }
        }
        #expect(record("7") == [])
        #expect(record("6") == ["w has version 6 in the end; pause had been answered with 7"])
    }

    @Test("an attempt ran that clients are not told of") func unknownAttempt() {
        let found = found {
            $0.start("s0:2")
            $0.run("s0", "a", "OSError")
            $0.run("s0", "b")
            $0.read("SUCCESS", ["ids": "b,c"])
        }
        #expect(found == ["w/s0 a on w1@localhost ran, and is not in what clients are told"])
    }

    @Test("a workflow runs that nobody started") func unknownWorkflow() {
        #expect(found { $0.run("s0", "a") } == ["w ran, and nobody asked for it"])
    }

    @Test("a line that was cut is no line") func cutLine() {
        let found = found {
            $0.start("s0")
            $0.run("s0", "a")
            $0.read("SUCCESS")
            $0.write("begin workflow=w step=s0 id=")
        }
        #expect(found == ["a part of the record cannot be read: line 6: begin workflow=w step=s0 id="])
    }

    @Test("values come back as they were") func values() {
        for value in ["", "a b", "ä=%20\n\t\"", "{\"a\":1}", "\u{1F600}"] {
            let line = RecordLine(.told, ["workflow": value, "command": "start", "at": "1"])
            #expect(RecordLine(parsing: line.text) == line)
        }
        #expect(RecordLine(parsing: "told workflow=a command=b at=1 x=%2") == nil)
        #expect(RecordLine(parsing: "told workflow=a command=b at=1 x=%FF") == nil)
        #expect(RecordLine(parsing: "told workflow=a command=b at=x") == nil)
        #expect(RecordLine(parsing: "begin workflow=a at=1") == nil)
    }
}
