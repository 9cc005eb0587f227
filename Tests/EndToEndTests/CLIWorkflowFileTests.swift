import RhythmCommands
import RhythmCore
import Testing

@Suite struct CLIWorkflowFileTests {
    static let full = """
        id: my-id
        name: archive
        app_id: bioloop
        description: "no: really"
        labels: {year: "2026", 'on': yes}
        args: [batch-7, 12345678901234567890123, 1.50, no, "no", 'true', ~, 0x1F, .5, -1e3, 1:30, 2026-11-23]
        kwargs:
          deep: {list: [1, [2]], empty: {}}
        steps:
          - name: inspect
            task: tasks.inspect
            queue: fast
            priority: 3
            kwargs: &k {pace: 6}
            timeout: 1h30m
            retry: {max_attempts: 3, backoff: 500ms, factor: 1.5, max_backoff: 60}
          - name: "2"
            task: tasks.stage
            kwargs: *k
            timeout: 90.5
            retry:
              max_attempts: 2
          - {name: last, task: t, queue: null, kwargs: , max_lost: 0, inject: none}
          - {name: most, task: t, max_lost: 1000, inject: [app_id, workflow_id]}
          - {name: all, task: t, inject: all}
          - {name: empty, task: t, inject: []}
        """

    @Test func aFileSaysEverything() throws {
        let spec = try WorkflowFile.spec(Self.full)
        var expected = WorkflowSpec(
            id: "my-id", name: "archive", appID: "bioloop", description: "no: really",
            labels: ["year": "2026", "on": "yes"],
            args: try JSON(
                parsing:
                    #"["batch-7",12345678901234567890123,1.50,"no","no","true",null,31,0.5,-1e3,"1:30","2026-11-23"]"#),
            kwargs: try JSON(parsing: #"{"deep":{"list":[1,[2]],"empty":{}}}"#),
            steps: [
                StepSpec(
                    name: "inspect", task: "tasks.inspect", queue: "fast", priority: 3,
                    kwargs: try JSON(parsing: #"{"pace":6}"#), timeout: .seconds(5400),
                    retry: RetryPolicy(
                        maxAttempts: 3, backoff: .milliseconds(500), factor: 1.5, maxBackoff: .seconds(60))),
                StepSpec(
                    name: "2", task: "tasks.stage", timeout: .milliseconds(90_500), retry: RetryPolicy(maxAttempts: 2)),
                StepSpec(name: "last", task: "t", maxLost: 0, inject: []),
                StepSpec(name: "most", task: "t", maxLost: 1000, inject: [.workflowID, .appID]),
                StepSpec(name: "all", task: "t"), StepSpec(name: "empty", task: "t", inject: []),
            ])
        expected.steps[1].kwargs = try JSON(parsing: #"{"pace":6}"#)
        #expect(spec == expected)
    }

    @Test func jsonSaysTheSame() throws {
        let spec = try WorkflowFile.spec(#"{"name": "w", "steps": [{"name": "s", "task": "t", "timeout": "2h"}]}"#)
        #expect(
            spec
                == WorkflowSpec(
                    name: "w", appID: "default", steps: [StepSpec(name: "s", task: "t", timeout: .seconds(7200))]))
        #expect(try WorkflowFile.spec("{name: w, steps: [{name: s, task: t, timeout: 2h}]}") == spec, "flow style YAML")
    }

    @Test func theCommandLineWins() throws {
        var overrides = WorkflowFile.Overrides()
        overrides.id = "x"
        overrides.name = "other"
        overrides.appID = "mine"
        overrides.labels = [("year", "2027"), ("new", "1")]
        overrides.args = try JSON(parsing: "[1]")
        overrides.kwargs = try JSON(parsing: #"{"a":1}"#)
        let spec = try WorkflowFile.spec(Self.full, overrides: overrides)
        #expect(spec.id == "x")
        #expect(spec.name == "other")
        #expect(spec.appID == "mine")
        #expect(spec.labels == ["year": "2027", "on": "yes", "new": "1"])
        #expect(spec.args.text == "[1]")
        #expect(spec.kwargs.text == #"{"a":1}"#)
    }

    /// A file that has exactly one mistake, and the path and words that name it.
    @Test(arguments: [
        ("nmae: w\nsteps: []", "nmae", "did you mean 'name'"),
        ("name: w\nfoobar: 1\nsteps: []", "foobar", "known are id, name"),
        ("name: w\nsteps: [{name: s, tsak: t}]", "steps[0].tsak", "did you mean 'task'"),
        ("name: w\nsteps: [{name: s, task: t, retry: {attempts: 3}}]", "steps[0].retry.attempts", "max_attempts"),
        ("name: w\nsteps: [{name: s, task: t, retry: {backoff: 3}}]", "steps[0].retry.max_attempts", "missing"),
        ("steps: [{name: s, task: t}]", "name", "missing"),
        ("name: w", "steps", "missing"),
        ("name: w\nsteps: {}", "steps", "not a list"),
        ("name: w\nsteps: []", "steps", "at least one"),
        ("name: w\nsteps: [s]", "steps[0]", "an object with keys, not a string"),
        ("name: w\nsteps: [{name: s, task: t}, {name: s, task: t}]", "steps[1].name", "also the name of steps[0]"),
        ("name: w\nsteps: [{name: 1, task: t}]", "steps[0].name", "put it in quotes: \"1\""),
        ("name: true\nsteps: [{name: s, task: t}]", "name", "put it in quotes"),
        ("name: w\nlabels: {year: 2026}\nsteps: [{name: s, task: t}]", "labels.year", "put it in quotes"),
        ("name: w\nlabels: [a]\nsteps: [{name: s, task: t}]", "labels", "not an object"),
        ("name: w\nargs: batch\nsteps: [{name: s, task: t}]", "args", "not a list"),
        ("name: w\nkwargs: []\nsteps: [{name: s, task: t}]", "kwargs", "not an object"),
        ("name: w\nsteps: [{name: s, task: t, timeout: soon}]", "steps[0].timeout", "no duration"),
        ("name: w\nsteps: [{name: s, task: t, timeout: -1}]", "steps[0].timeout", "out of range"),
        ("name: w\nsteps: [{name: s, task: t, priority: 10}]", "steps[0].priority", "between 0"),
        ("name: w\nsteps: [{name: s, task: t, max_lost: -1}]", "steps[0].max_lost", "between 0 (never"),
        ("name: w\nsteps: [{name: s, task: t, max_lost: never}]", "steps[0].max_lost", "not a whole number"),
        ("name: w\nsteps: [{name: s, task: t, inject: some}]", "steps[0].inject", "not none, all, or a list"),
        ("name: w\nsteps: [{name: s, task: t, inject: false}]", "steps[0].inject", "not none, all, or a list"),
        ("name: w\nsteps: [{name: s, task: t, inject: [step, appid]}]", "steps[0].inject[1]", "did you mean 'app_id'"),
        ("name: w\nsteps: [{name: s, task: t, inject: [1]}]", "steps[0].inject[0]", "none of workflow_id, step"),
        ("name: w\nsteps: [{name: s, task: t, kwargs: {step: 1}}]", "steps[0].kwargs.step", "inject: [workflow_id"),
        ("name: w\nkwargs: {app_id: 1}\nsteps: [{name: s, task: t}]", "kwargs.app_id", "leave it out"),
        ("name: w\nsteps: [{name: s, task: t, priority: high}]", "steps[0].priority", "not a whole number"),
        ("name: w\nargs: [007]\nsteps: [{name: s, task: t}]", "args[0]", "begins with a zero"),
        ("name: w\nargs: [!!binary aGk=]\nsteps: [{name: s, task: t}]", "args[0]", "tag"),
        ("[1]", "", "an object with keys"),
        ("", "", "empty"),
        ("name: [", "", "not YAML"),
        ("name: w\nname: v\nsteps: []", "", "name"),
        (#"{"name": "w", "name": "v", "steps": []}"#, "name", "twice"),
    ])
    func aMistakeIsNamed(_ text: String, _ field: String, _ words: String) {
        #expect {
            _ = try WorkflowFile.spec(text)
        } throws: { error in
            guard let error = error as? RhythmError else { return false }
            #expect(error.field == field)
            #expect(error.message.contains(words), "\(error.message)")
            return error.code == .invalidArgument
        }
    }

    @Test func aBombIsRefusedInTime() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            text +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
                + "]\n"
        }
        #expect(throws: RhythmError.self) { try WorkflowFile.spec(text) }
    }

    @Test(
        arguments: [
            ("90", 90), ("1.5", 1.5), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("500ms", 0.5),
            ("1h30m", 5400), ("", nil), ("s", nil), ("-1s", nil), ("1x", nil), ("1h30", nil), ("1 h", nil),
            ("1.s", nil),
            ("nan", nil), ("1e9", nil), ("99999999999999999999d", nil),
        ] as [(String, Double?)])
    func durations(_ text: String, _ seconds: Double?) {
        #expect(Duration(parsing: text) == seconds.flatMap { Duration(seconds: $0) })
    }

    @Test(
        arguments: [
            ("1970-01-01", 0), ("2026-01-02T03:04:05.678901Z", 1_767_323_045_678_901),
            ("2026-01-02T04:04:05.678901+01:00", 1_767_323_045_678_901), ("2000-02-29", 951_782_400_000_000),
            ("1969-12-31 23:59:59Z", -1_000_000), ("2026-02-29", nil), ("2026-13-01", nil), ("2026-1-1", nil),
            ("2026-01-01T", nil), ("2026-01-01T00:00:00ZZ", nil), ("now", nil),
        ] as [(String, Int64?)])
    func times(_ text: String, _ microseconds: Int64?) {
        #expect(Timestamp(iso8601: text)?.microseconds == microseconds)
        if let microseconds, let again = Timestamp(iso8601: Timestamp(microseconds: microseconds).iso8601) {
            #expect(again.microseconds == microseconds)
        }
    }
}
