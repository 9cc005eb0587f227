import RhythmCore
import Testing

/// Every rule of `WorkflowSpec.validate()`: just right passes, one over does not, and the error names the field.
@Suite struct ValidationTests {
    static let good = WorkflowSpec(
        id: "Run_7.a:b-c", name: "copy", appID: "lab", description: "nightly", labels: ["size": "big", "empty": ""],
        args: .array(of: [.string("x")]), kwargs: JSON(.object([.init("k", .bool(true))])),
        steps: [
            StepSpec(name: "one", task: "t.one"),
            StepSpec(
                name: "two", task: "t.two", queue: "slow", priority: 9, timeout: .seconds(60),
                retry: RetryPolicy(maxAttempts: 3)),
        ])

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var field: String
        var reason: String
        var spec: WorkflowSpec

        init(_ what: String, _ field: String, _ reason: String, _ change: (inout WorkflowSpec) -> Void) {
            testDescription = what
            self.field = field
            self.reason = reason
            spec = ValidationTests.good
            change(&spec)
        }
    }

    static let longest = String(repeating: "n", count: 255)
    /// A JSON array or object of exactly so many bytes.
    static func json(_ bytes: Int, object: Bool = false) -> JSON {
        let frame = object ? 8 : 4
        let filler = JSONValue.string(String(repeating: "x", count: bytes - frame))
        return object ? JSON(.object([.init("k", filler)])) : JSON(.array([filler]))
    }
    static func steps(_ count: Int) -> [StepSpec] { (0..<count).map { StepSpec(name: "s\($0)", task: "t") } }
    static func object(_ names: String...) -> JSON { JSON(.object(names.map { .init($0, .integer(1)) })) }
    static func labels(_ count: Int) -> [String: String] {
        Dictionary(uniqueKeysWithValues: (0..<count).map { ("l\($0)", "") })
    }

    static let names: [Case] = [
        Case("no id", "id", "EMPTY") { $0.id = "" },
        Case("id one over", "id", "TOO_LONG") { $0.id = WorkflowID(longest + "n") },
        Case("id with a blank", "id", "BAD_ID") { $0.id = "a b" },
        Case("id with a slash", "id", "BAD_ID") { $0.id = "a/b" },
        Case("id with an umlaut", "id", "BAD_ID") { $0.id = "\u{E4}" },
        Case("id with a newline", "id", "CONTROL_CHARACTER") { $0.id = "a\n" },
        Case("no name", "name", "EMPTY") { $0.name = "" },
        Case("name one over", "name", "TOO_LONG") { $0.name = longest + "n" },
        Case("name over in bytes only", "name", "TOO_LONG") { $0.name = String(repeating: "\u{E4}", count: 128) },
        Case("name with DEL", "name", "CONTROL_CHARACTER") { $0.name = "a\u{7F}" },
        Case("no app_id", "app_id", "EMPTY") { $0.appID = "" },
        Case("app_id one over", "app_id", "TOO_LONG") { $0.appID = longest + "n" },
        Case("description one over", "description", "TOO_LONG") {
            $0.description = String(repeating: "d", count: 4097)
        },
        Case("description with NUL", "description", "CONTROL_CHARACTER") { $0.description = "a\u{0}" },
        Case("labels one over", "labels", "TOO_MANY") { $0.labels = labels(65) },
        Case("no label name", "labels", "EMPTY") { $0.labels[""] = "x" },
        Case("label name one over", "labels", "TOO_LONG") { $0.labels[longest + "n"] = "x" },
        Case("label one over", "labels.size", "TOO_LONG") { $0.labels["size"] = longest + "n" },
        Case("label with NUL", "labels.size", "CONTROL_CHARACTER") { $0.labels["size"] = "\u{0}" },
    ]

    static let values: [Case] = [
        Case("args an object", "args", "NOT_AN_ARRAY") { $0.args = .emptyObject },
        Case("args null", "args", "NOT_AN_ARRAY") { $0.args = .null },
        Case("args one over", "args", "TOO_LONG") { $0.args = json((1 << 19) + 1) },
        Case("kwargs an array", "kwargs", "NOT_AN_OBJECT") { $0.kwargs = .emptyArray },
        Case("kwargs one over", "kwargs", "TOO_LONG") { $0.kwargs = json((1 << 19) + 1, object: true) },
        Case("no steps", "steps", "EMPTY") { $0.steps = [] },
        Case("steps one over", "steps", "TOO_MANY") { $0.steps = steps(1001) },
        Case("no step name", "steps[1].name", "EMPTY") { $0.steps[1].name = "" },
        Case("step name one over", "steps[0].name", "TOO_LONG") { $0.steps[0].name = longest + "n" },
        Case("same name twice", "steps[1].name", "DUPLICATE") { $0.steps[1].name = "one" },
        Case("no task", "steps[0].task", "EMPTY") { $0.steps[0].task = "" },
        Case("task one over", "steps[0].task", "TOO_LONG") { $0.steps[0].task = longest + "n" },
        Case("empty queue", "steps[1].queue", "EMPTY") { $0.steps[1].queue = "" },
        Case("queue one over", "steps[1].queue", "TOO_LONG") { $0.steps[1].queue = longest + "n" },
        Case("priority under", "steps[1].priority", "OUT_OF_RANGE") { $0.steps[1].priority = -1 },
        Case("priority over", "steps[1].priority", "OUT_OF_RANGE") { $0.steps[1].priority = 10 },
        Case("step kwargs a number", "steps[0].kwargs", "NOT_AN_OBJECT") { $0.steps[0].kwargs = JSON(.integer(1)) },
        Case("step kwargs one over", "steps[0].kwargs", "TOO_LONG") {
            $0.steps[0].kwargs = json((1 << 19) + 1, object: true)
        },
        Case("timeout zero", "steps[1].timeout", "OUT_OF_RANGE") { $0.steps[1].timeout = .zero },
        Case("timeout negative", "steps[1].timeout", "OUT_OF_RANGE") { $0.steps[1].timeout = .seconds(-1) },
        Case("timeout over", "steps[1].timeout", "OUT_OF_RANGE") {
            $0.steps[1].timeout = .seconds(366 * 86_400) + .microseconds(1)
        },
        Case("no attempts", "steps[1].retry.max_attempts", "OUT_OF_RANGE") { $0.steps[1].retry?.maxAttempts = 0 },
        Case("attempts over", "steps[1].retry.max_attempts", "OUT_OF_RANGE") {
            $0.steps[1].retry?.maxAttempts = 1001
        },
        Case("backoff negative", "steps[1].retry.backoff", "OUT_OF_RANGE") {
            $0.steps[1].retry?.backoff = .microseconds(-1)
        },
        Case("backoff over", "steps[1].retry.backoff", "OUT_OF_RANGE") {
            $0.steps[1].retry?.backoff = .seconds(366 * 86_400 + 1)
        },
        Case("max backoff over", "steps[1].retry.max_backoff", "OUT_OF_RANGE") {
            $0.steps[1].retry?.maxBackoff = .seconds(366 * 86_400 + 1)
        },
        Case("factor under", "steps[1].retry.factor", "OUT_OF_RANGE") { $0.steps[1].retry?.factor = 0.99 },
        Case("factor over", "steps[1].retry.factor", "OUT_OF_RANGE") { $0.steps[1].retry?.factor = 100.1 },
        Case("lost under", "steps[1].max_lost", "OUT_OF_RANGE") { $0.steps[1].maxLost = -1 },
        Case("lost over", "steps[1].max_lost", "OUT_OF_RANGE") { $0.steps[1].maxLost = 1001 },
        Case("a step in the call's kwargs", "kwargs.step", "RESERVED") { $0.kwargs = object("k", "step") },
        Case("a workflow_id in the call's kwargs", "kwargs.workflow_id", "RESERVED") {
            $0.kwargs = object("workflow_id")
            // The call's kwargs are the first step's alone.
            $0.steps[1].inject = []
        },
        Case("an app_id in a step's kwargs", "steps[1].kwargs.app_id", "RESERVED") {
            $0.steps[1].kwargs = object("x", "app_id")
            $0.steps[0].inject = []
        },
        Case("a name that is still injected", "steps[0].kwargs.step", "RESERVED") {
            $0.steps[0].kwargs = object("workflow_id", "step")
            $0.steps[0].inject = [.step]
        },
        Case("factor NaN", "steps[1].retry.factor", "OUT_OF_RANGE") { $0.steps[1].retry?.factor = .nan },
    ]

    @Test(arguments: names + values)
    func refused(_ wrong: Case) {
        let error = #expect(throws: RhythmError.self) { try wrong.spec.validate() }
        #expect(error?.code == .invalidArgument)
        #expect(error?.field == wrong.field)
        #expect(error?.reason == wrong.reason)
        #expect(error?.message.isEmpty == false)
        #expect(error?.effect == RhythmError.Effect.none)
    }

    static let accepted: [Case] = [
        Case("as it is", "", "") { _ in },
        Case("no id", "", "") { $0.id = nil },
        Case("names at the limit", "", "") {
            $0.id = WorkflowID(longest)
            $0.name = longest
            $0.appID = longest
            $0.steps[0].name = longest
            $0.steps[0].task = longest
            $0.steps[0].queue = longest
            $0.labels = [longest: longest]
        },
        Case("name in 255 bytes that are no ASCII", "", "") { $0.name = String(repeating: "\u{20AC}", count: 85) },
        Case("description at the limit", "", "") { $0.description = String(repeating: "d", count: 4096) },
        Case("description of lines", "", "") { $0.description = "one\ntwo\t" },
        Case("labels at the limit", "", "") { $0.labels = labels(64) },
        Case("JSON at the limit", "", "") {
            $0.args = json(1 << 19)
            $0.kwargs = json(1 << 19, object: true)
        },
        Case("steps at the limit", "", "") { $0.steps = steps(1000) },
        Case("priorities 0 and 9", "", "") {
            $0.steps[0].priority = 0
            $0.steps[1].priority = 9
        },
        Case("longest and shortest waits", "", "") {
            $0.steps[0].timeout = .seconds(366 * 86_400)
            $0.steps[1].timeout = .microseconds(1)
            $0.steps[1].retry = RetryPolicy(maxAttempts: 1000, backoff: .zero, factor: 100, maxBackoff: .zero)
        },
        Case("lost at the limits", "", "") {
            $0.steps[0].maxLost = 0
            $0.steps[1].maxLost = 1000
        },
        Case("what is not injected", "", "") {
            $0.kwargs = object("workflow_id", "step", "app_id")
            $0.steps[0].inject = []
            $0.steps[1].kwargs = object("step")
            $0.steps[1].inject = [.workflowID, .appID]
        },
        Case("names that only look alike", "", "") { $0.kwargs = object("Step", "steps", "app") },
        Case("one attempt, factor 1", "", "") { $0.steps[1].retry = RetryPolicy(maxAttempts: 1, factor: 1) },
    ]

    @Test(arguments: accepted)
    func passes(_ right: Case) throws { try right.spec.validate() }

    @Test func aRefusalSaysWhatToWrite() {
        var spec = Self.good
        spec.steps[0].kwargs = Self.object("step")
        let error = #expect(throws: RhythmError.self) { try spec.validate() }
        #expect(error?.message.contains("inject: [workflow_id, app_id]") == true, "\(error?.message ?? "")")
    }

    @Test func fillersHaveTheirSize() {
        #expect(Self.json(1 << 19).text.utf8.count == 1 << 19)
        #expect(Self.json(1 << 19, object: true).text.utf8.count == 1 << 19)
    }

    @Test func resumeArguments() throws {
        try WorkflowSpec.check(args: .emptyArray, field: "args")
        let error = #expect(throws: RhythmError.self) {
            try WorkflowSpec.check(args: JSON(parsing: "{\"x\": 1}"), field: "args")
        }
        #expect(error?.reason == "NOT_AN_ARRAY")
        #expect(error?.message.contains("{\"x\": 1}") == true)
    }
}
