import RhythmCore
import RhythmMongo
import Testing

@testable import RhythmCelery

/// Which tasks are given a private document.
@Suite struct TaskKindsTests {
    private let answer = JSONValue.array([
        .string(
            "rhythm.inspect [update_progress=<bound method WorkflowTask.update_progress of "
                + "<@task: rhythm.inspect of app at 0x7f>> before_start=<bound method WorkflowTask.before_start of "
                + "<@task: rhythm.inspect of app at 0x7f>>]"),
        .string("steps.add [before_start=<bound method Task.before_start of <@task: steps.add of app at 0x7f>>]"),
        .string("steps.bare"), .number("7"),
    ])

    @Test func tellsTheLibrarysTasksFromPlainOnes() {
        var kinds = TaskKinds()
        #expect(kinds["steps.add"] == nil)
        kinds.learn(answer, of: "w1@host")
        #expect(kinds["rhythm.inspect"] == .library)
        #expect(kinds["steps.add"] == .plain)
        #expect(kinds["steps.bare"] == .plain)
        #expect(kinds["nobody.knows"] == nil)
        #expect(kinds.knows("w1@host") && !kinds.knows("w2@host"))
    }

    @Test func namesMayBeBeginnings() throws {
        let names = try TaskNames(["copy", "flows.*"])
        #expect(names.contains("copy") && names.contains("flows.") && names.contains("flows.copy"))
        #expect(!names.contains("copy2") && !names.contains("flows") && !names.isEmpty)
        #expect(try TaskNames([]).isEmpty)
        #expect(try TaskNames(["*"]).contains("anything"))
        for wrong in ["", "a*b", "**"] {
            let error = #expect(throws: CeleryRunnerError.self) { try TaskNames([wrong]) }
            #expect(wrong.isEmpty || error?.description.contains("'\(wrong)'") == true)
        }
    }

    /// One worker in which it is the library's is enough.
    @Test func isCareful() {
        var kinds = TaskKinds()
        kinds.learn(.array([.string("rhythm.inspect")]), of: "w0@host")
        #expect(kinds["rhythm.inspect"] == .plain)
        kinds.learn(answer, of: "w1@host")
        #expect(kinds["rhythm.inspect"] == .library)
        kinds.learn(.object([.init("error", .string("no"))]), of: "w1@host")
        #expect(kinds["rhythm.inspect"] == .library, "an error is no answer")
        kinds.forget("w1@host")
        #expect(kinds["rhythm.inspect"] == .plain)
    }

    /// A begin that no document tells of has to be told by events; one worker where that is so is enough.
    @Test func knowsWhoseDocumentsTellOfTheBegin() {
        var kinds = TaskKinds()
        #expect(kinds.tracksStart("steps.add") == nil)
        let mark = "before_start=<bound method Task.before_start of <@task: steps.add of app at 0x7f>> track_started"
        kinds.learn(.array([.string("steps.add [\(mark)=True]"), .string("steps.bare")]), of: "w0@host")
        #expect(kinds.tracksStart("steps.add") == true)
        #expect(kinds.tracksStart("steps.bare") == false && kinds.tracksStart("nobody.knows") == nil)
        kinds.learn(.array([.string("steps.add [\(mark)=False]")]), of: "w1@host")
        #expect(kinds.tracksStart("steps.add") == false)
        kinds.forget("w1@host")
        #expect(kinds.tracksStart("steps.add") == true)
    }

    /// A worker that does not say when it begins something may have done so, also after it has gone.
    @Test func remembersWhatWasNotTracked() {
        var kinds = TaskKinds()
        #expect(!kinds.hasAlwaysTracked("add"), "nobody knows it")
        kinds.learn(.array([.string("add [track_started=True]"), .string("sub [track_started=True]")]), of: "w1@host")
        #expect(kinds.hasAlwaysTracked("add"))
        kinds.learn(.array([.string("add [track_started=False]")]), of: "w2@host")
        kinds.forget("w2@host")
        #expect(kinds.tracksStart("add") == true && !kinds.hasAlwaysTracked("add") && kinds.hasAlwaysTracked("sub"))
    }

    /// Limits are written as people write them, by settings, decorators and remote control.
    @Test(arguments: ["1/m": "1/m", "10": "10", "0.5/h": "0.5/h", "": nil, "0": nil, "0/s": nil, "None": nil])
    func knowsLimits(_ written: String, _ limit: String?) {
        var kinds = TaskKinds()
        kinds.learn(.array([.string("add [track_started=True acks_late=False rate_limit=\(written)]")]), of: "w1@host")
        #expect(kinds.limit(of: "add", in: "w1@host") == limit)
        #expect(kinds.isLimited("add") == (limit != nil))
        #expect(kinds.limit(of: "add", in: "w2@host") == nil && kinds.limit(of: "sub", in: "w1@host") == nil)
        #expect(!kinds.acknowledgesLate("add"))
    }

    /// What a worker has taken under a limit leaves it at that speed, though the limit is lifted; not after a restart.
    @Test func aLiftedLimitLasts() {
        var kinds = TaskKinds()
        kinds.learn(.array([.string("add [acks_late=True rate_limit=1/m]")]), of: "w1@host")
        #expect(kinds.acknowledgesLate("add"))
        kinds.learn(.array([.string("add [acks_late=True]")]), of: "w1@host")
        #expect(kinds.limit(of: "add", in: "w1@host") == "1/m")
        kinds.learn(.array([.string("add [rate_limit=3/m]")]), of: "w1@host")
        #expect(kinds.limit(of: "add", in: "w1@host") == "3/m")
        kinds.forget("w1@host")
        kinds.learn(.array([.string("add")]), of: "w1@host")
        #expect(kinds.limit(of: "add", in: "w1@host") == nil)
    }

    /// Brackets may be part of a name.
    @Test func takesAnyName() {
        var kinds = TaskKinds()
        kinds.learn(
            .array([.string("odd [x=1] name [acks_late=False track_started=True rate_limit=2/s]")]), of: "w1@host")
        #expect(kinds["odd [x=1] name"] == .plain && kinds.limit(of: "odd [x=1] name", in: "w1@host") == "2/s")
        #expect(kinds.tracksStart("odd [x=1] name") == true)
    }

    @Test func makesDocumentsWithOneStep() throws {
        let dispatch = Dispatch(
            taskID: "t-1", workflowID: "w-1", appID: "app", step: "copy", task: "rhythm.copy",
            kwargs: try JSON(parsing: #"{"a":1,"workflow_id":"mine"}"#),
            following: [.init(name: "pack", task: "rhythm.pack")])
        let made = PrivateDocument.make(
            of: dispatch, withSpares: true, server: "s1", at: Timestamp(microseconds: 5_000_000))
        #expect(made.map { $0["_id"] } == ["rhythm:t-1", "rhythm:t-1:1"])
        #expect(made[0]["steps"] == .array([["name": "copy", "task": "rhythm.copy"]]))
        #expect(made[1]["steps"] == .array([["name": "pack", "task": "rhythm.pack"]]))
        for (document, step) in zip(made, ["copy", "pack"]) {
            #expect(document["created_at"] == .date(milliseconds: 5000))
            let marker = document[PrivateDocument.marker]?.documentValue
            #expect(marker?["workflow_id"] == "w-1" && marker?["step"] == .string(step))
        }
        let alone = PrivateDocument.make(of: dispatch, withSpares: false, server: "s1", at: Timestamp(microseconds: 1))
        #expect(alone.map { $0["_id"] } == ["rhythm:t-1"])
        #expect(PrivateDocument.task(of: "rhythm:t-1") == "t-1")
        for other in ["t-1", "rhythm:t-1:1"] { #expect(PrivateDocument.task(of: other) == nil) }
        let kwargs = PrivateDocument.kwargs(of: dispatch, document: "rhythm:t-1:1").value
        #expect(kwargs["workflow_id"] == .string("rhythm:t-1:1"))
        #expect(kwargs["step"] == .string("copy") && kwargs["app_id"] == .string("app"))
        #expect(kwargs["a"] == .number("1"))
    }
}
