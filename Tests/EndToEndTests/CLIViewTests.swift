import RhythmClient
import RhythmCommands
import RhythmCore
import Testing

@Suite struct CLIViewTests {
    @Test func statusOfPeople() throws {
        let samples = [
            ("running", try CLISamples.running()), ("failed", try CLISamples.failed()),
            ("paused", try CLISamples.paused()), ("succeeded", try CLISamples.succeeded()),
            ("fresh", try CLISamples.fresh()),
        ]
        for (name, workflow) in samples {
            try expectSnapshot(
                StatusView(workflow, now: CLISamples.now, style: .plain).render(), "status-\(name)")
        }
    }

    @Test func coloursAreOnlyDecoration() throws {
        let workflow = try CLISamples.failed()
        let plain = StatusView(workflow, now: CLISamples.now, style: .plain).render()
        let coloured = StatusView(workflow, now: CLISamples.now, style: Style(colours: true)).render()
        #expect(coloured != plain)
        #expect(coloured.replacing(/\u{1B}\[[0-9]+m/, with: "") == plain)
        #expect(!plain.contains("\u{1B}"), "what a task wrote must not reach the terminal as control characters")
    }

    @Test func statusOfPrograms() throws {
        try expectSnapshot(
            try CLISamples.failed().embellished(previousTaskRuns: true).prettyText + "\n", "status-failed-json")
        let object = try CLISamples.succeeded().embellished()
        let keys = [
            "id", "name", "app_id", "description", "created_at", "updated_at", "status", "steps_done",
            "total_steps", "steps", "resume_lock",
        ]
        for key in keys { #expect(object[key] != nil, "\(key) is a key of the Python library's object") }
        let run = try #require(object["steps"]?.arrayValue?.first?["last_task_run"])
        let runKeys = [
            "_id", "status", "result", "traceback", "children", "date_done", "name", "args", "kwargs",
            "worker", "retries", "queue", "date_start", "progress",
        ]
        for key in runKeys { #expect(run[key] != nil, "\(key) is a key of a task run") }
        #expect(run["kwargs"]?["workflow_id"]?.stringValue == CLISamples.id.rawValue)
        #expect(run["result"]?.arrayValue?.last?["bytes"] == .number("12345678901234567890"))
    }

    @Test func lists() throws {
        var rows = [
            try CLISamples.running().summary, try CLISamples.failed().summary, try CLISamples.paused().summary,
            try CLISamples.succeeded().summary,
        ]
        rows[1].id = "my-own-id"
        rows[2].name = "日本語の名前"
        try expectSnapshot(ListView.table(rows, now: CLISamples.now, style: .plain), "list")
        try expectSnapshot(ListView.counts([.failure: 3, .success: 40], style: .plain), "counts")
        #expect(ListView.table([], now: CLISamples.now, style: .plain) == "No workflows.\n")
    }

    /// What a watch of one workflow says, as lines and as a bar after each update.
    @Test func watches() throws {
        let snapshot = WorkflowSnapshot(try CLISamples.running())
        var updates: [WatchUpdate] = [.snapshot(snapshot)]
        for done in [430.0, 440, 560, 900, 1000] {
            var progress = CLISamples.progress()
            _ = progress.update(
                ProgressReport(name: "copy", done: done, total: 1000, units: "items", at: CLISamples.now + .seconds(3)))
            updates.append(
                .progress(StepProgress(workflowID: CLISamples.id, step: "hold", taskID: "task-1-1", progress: progress))
            )
        }
        updates += [
            .transition(CLISamples.event(7, .succeeded, .started, done: 2, step: "hold")),
            .transition(CLISamples.event(8, .dispatched, .started, done: 2, step: "check")),
            .transition(CLISamples.event(9, .started, .started, done: 2, step: "check")),
            .interrupted(RhythmError(.unavailable, reason: "CONNECTION_LOST", "gone")),
            .transition(
                CLISamples.event(10, .failed, .failure, done: 2, step: "check", detail: "FileNotFoundError: gone")),
            .transition(CLISamples.event(11, .resumed, .started, done: 2, step: "check")),
            .transition(CLISamples.event(12, .started, .started, done: 2, step: "check", attempt: 2)),
            .transition(CLISamples.event(13, .revoking, .revoked, done: 2, step: "check", attempt: 2)),
            .transition(CLISamples.event(14, .cancelled, .revoked, done: 2)),
        ]
        var board = WatchBoard()
        var transcript = ""
        for update in updates {
            let line = board.take(update, now: CLISamples.now)
            transcript += "line: \(line ?? "-")\n"
            for row in board.lines(now: CLISamples.now, columns: 110, rows: 10, style: .plain) {
                transcript += "  bar: \(row)\n"
            }
        }
        try expectSnapshot(transcript, "watch")
        #expect(board.failed.map(\.id) == [CLISamples.id])
    }

    @Test(arguments: [20, 40, 60, 80, 120], [true, false])
    func noLineIsWiderThanTheTerminal(columns: Int, colours: Bool) throws {
        var board = WatchBoard()
        for index in 0..<30 {
            var workflow = WorkflowSnapshot(try index % 2 == 0 ? CLISamples.running() : CLISamples.failed())
            workflow.summary.id = WorkflowID("id-\(index)")
            workflow.summary.name = String(repeating: "名", count: index)
            _ = board.take(.snapshot(workflow), now: CLISamples.now)
        }
        let lines = board.lines(now: CLISamples.now, columns: columns, rows: 10, style: Style(colours: colours))
        #expect(lines.count <= 10)
        for line in lines where columns >= 60 { #expect(line.columns <= columns, "\(line)") }
    }

    @Test(arguments: [
        (0.04, "0.0s"), (0.44, "0.4s"), (7.06, "7.1s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m00s"), (80, "1m20s"),
        (3599, "59m59s"), (7500, "2h05m"), (273_600, "3d4h"),
    ])
    func durations(_ seconds: Double, _ text: String) throws {
        #expect(Phrases.duration(try #require(Duration(seconds: seconds))) == text)
    }

    @Test(arguments: [
        (0.0, "items", "0.0 items"), (12.34, "", "12.3"), (99_999, "files", "99999 files"),
        (1_234_567, "rows", "1.2M rows"), (512, "bytes", "512 B"), (1_572_864, "bytes", "1.5 MiB"),
    ])
    func amounts(_ value: Double, _ units: String, _ text: String) {
        #expect(Phrases.amount(value, units: units) == text)
    }

    @Test(arguments: [
        (nil as Int?, "a\nb\nc\n"), (0, ""), (1, "c\n"), (2, "b\nc\n"), (3, "a\nb\nc\n"), (9, "a\nb\nc\n"),
    ])
    func lastLinesOfALog(tail: Int?, expected: String) {
        let text = Array("a\nb\nc\n".utf8)
        for cut in 0...text.count {
            var printer = LogPrinter(tail: tail)
            var printed: [UInt8] = []
            for range in [0..<cut, cut..<text.count] {
                printed += printer.take(
                    LogChunk(
                        taskID: "t", offset: Int64(range.lowerBound), bytes: Array(text[range]), endOffset: 6,
                        isComplete: false))
            }
            printed += printer.take(
                LogChunk(taskID: "t", offset: 6, bytes: Array("d\n".utf8), endOffset: 8, isComplete: true))
            printed += printer.finish()
            #expect(String(decoding: printed, as: UTF8.self) == expected + "d\n", "cut at \(cut)")
        }
    }
}
