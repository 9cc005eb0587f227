import RhythmAMQP
import RhythmCore
import Testing

@testable import RhythmCelery

/// What is sent, and what is refused before it is sent.
@Suite struct TaskMessageTests {
    private func dispatch(
        id: TaskID = "11111111-1111-4111-8111-111111111111", task: String = "steps.add", args: String = "[2,3]",
        kwargs: String = #"{"note":"héllo","step":"not this"}"#
    ) throws -> Dispatch {
        Dispatch(
            taskID: id, workflowID: "w-1", appID: "app", step: "copy", task: task, queue: "q1", priority: 5,
            args: try JSON(parsing: args), kwargs: try JSON(parsing: kwargs))
    }

    private func message(_ dispatch: Dispatch, queue: String = "q1") -> AMQPMessage {
        TaskMessage.make(of: dispatch, queue: queue, kwargs: dispatch.injectedKwargs, origin: "rhythm@s1")
    }

    private func refusal(_ message: AMQPMessage, _ limits: TaskMessage.Limits = .init()) -> TaskMessage.Refusal? {
        do {
            try TaskMessage.check(message, limits: limits)
            return nil
        } catch { return error }
    }

    /// The fields that Celery 5.7 sends, in its types.
    @Test func looksLikeCelerysOwn() throws {
        let message = message(try dispatch())
        #expect(refusal(message) == nil)
        #expect(message.exchange == "" && message.routingKey == "q1" && message.mandatory && message.persistent)
        #expect(message.contentType == "application/json" && message.contentEncoding == "utf-8")
        #expect(message.priority == 5 && message.correlationID == "11111111-1111-4111-8111-111111111111")
        let expected: [(String, AMQPValue)] = [
            ("lang", "py"), ("task", "steps.add"), ("id", "11111111-1111-4111-8111-111111111111"),
            ("root_id", "11111111-1111-4111-8111-111111111111"), ("group", "w-1"), ("parent_id", "copy"),
            ("retries", .int32(0)), ("timelimit", .array([.null, .null])), ("argsrepr", "(2, 3)"), ("eta", .null),
            ("expires", .null), ("ignore_result", false), ("origin", "rhythm@s1"),
            (
                "kwargsrepr",
                "{'note': 'héllo', 'workflow_id': 'w-1', 'step': 'copy', 'app_id': 'app'}"
            ),
        ]
        for (name, value) in expected { #expect(message.headers[name] == value, "\(name)") }
        let body = try JSON(parsing: String(decoding: message.body, as: UTF8.self)).value
        let parts = try #require(body.arrayValue)
        #expect(parts.count == 3)
        #expect(parts[0] == .array([.number("2"), .number("3")]))
        #expect(parts[1]["step"] == .string("copy") && parts[1]["note"] == .string("héllo"))
        #expect(parts[2]["callbacks"] == .null && parts[2]["chord"] == .null)
    }

    /// Numbers and text go out in the spelling in which they came.
    @Test func keepsSpelling() throws {
        let message = message(try dispatch(args: #"[1.50, "\u00e9", NaN, 1e3]"#, kwargs: "{}"))
        #expect(refusal(message) == nil)
        #expect(String(decoding: message.body, as: UTF8.self).hasPrefix(#"[[1.50, "\u00e9", NaN, 1e3],"#))
    }

    /// Everything that ends workers or vanishes in them.
    @Test func refusesPoison() throws {
        let good = message(try dispatch())
        func broken(_ change: (inout AMQPMessage) -> Void) -> String? {
            var copy = good
            change(&copy)
            return refusal(copy)?.field
        }
        func body(_ text: String) -> String? { broken { $0.body = Array(text.utf8) } }
        #expect(broken { $0.contentType = nil } == "content_type")
        #expect(broken { $0.contentType = "text/plain" } == "content_type")
        #expect(broken { $0.contentEncoding = nil } == "content_encoding")
        #expect(broken { $0.headers["id"] = nil } == "id")
        #expect(broken { $0.headers["id"] = .int32(7) } == "id")
        #expect(broken { $0.headers["task"] = "" } == "task")
        #expect(broken { $0.headers = [:] } == "task")
        #expect(broken { $0.headers["timelimit"] = "10" } == "timelimit")
        #expect(broken { $0.headers["timelimit"] = .array([.null]) } == "timelimit")
        #expect(broken { $0.headers["eta"] = "tomorrow" } == "eta")
        #expect(broken { $0.headers["expires"] = "2030-01-01" } == "expires")
        #expect(broken { $0.headers["ignore_result"] = true } == "ignore_result")
        #expect(broken { $0.priority = 10 } == "priority")
        #expect(body("[[],{}]") == "body")
        #expect(body("[[],{},{},{}]") == "body")
        #expect(body("{}") == "body")
        #expect(body("[[],{},{}") == "body")
        #expect(body("[[],[],{}]") == "kwargs")
        #expect(body("[[],null,{}]") == "kwargs")
        #expect(body("[{},{},{}]") == "args")
        #expect(body("[[],{},7]") == "embed")
        #expect(broken { $0.body = [0x5B, 0xFF, 0x5D] } == "body")
    }

    @Test func refusesWhatDoesNotFit() throws {
        let long = String(repeating: "x", count: 256)
        #expect(refusal(message(try dispatch(), queue: long))?.field == "queue")
        #expect(refusal(message(try dispatch(), queue: ""))?.field == "queue")
        #expect(refusal(message(try dispatch(id: TaskID(long))))?.field == "task_id")
        #expect(refusal(message(try dispatch(task: "")))?.field == "task")
        #expect(refusal(message(try dispatch(task: String(repeating: "x", count: 30_000))))?.field == "task")
        var limits = TaskMessage.Limits()
        limits.bodyBytes = 200
        let large = refusal(message(try dispatch(args: "[\"\(long)\"]")), limits)
        #expect(large?.field == "args and kwargs")
        #expect(large?.description.contains("at most 200 bytes") == true)
    }

    /// What JSON allows and a result document cannot hold: the outcome would be lost after hours of work.
    @Test(arguments: [
        ("[12345678901234567890]", "args[0]"), (#"[{"a":[1,{"b":-9223372036854775809}]}]"#, "args[0].a[1].b"),
        (#"["\ud800 alone"]"#, "args[0]"), (#"["\udc00"]"#, "args[0]"), (#"[{"a\u0000b":1}]"#, "args[0]."),
        (#"[{"__type__":"uuid","__value__":{"hex":"07"}}]"#, "args[0].__value__"),
        (#"[{"__type__":"nosuch","__value__":1}]"#, "args[0].__value__"),
        ("[" + String(repeating: "[", count: 95) + String(repeating: "]", count: 95) + "]", "args"),
    ])
    func refusesWhatCannotBeStored(_ args: String, _ field: String) throws {
        let refusal = refusal(message(try dispatch(args: args, kwargs: "{}")))
        #expect(refusal?.field.hasPrefix(field) == true, "\(refusal?.field ?? "accepted")")
    }

    @Test(arguments: [
        "[9223372036854775807, -9223372036854775808]",
        #"["\ud83d\ude00", "\u0000 in text", "[\"12345678901234567890\"]"]"#,
        "[12345678901234567890.0, 1e400, -Infinity]", #"[{"__type__":"datetime","__value__":"2026-01-02T03:04:05"}]"#,
        #"[{"__type__":"nosuch"}, {"__value__":1}, {"__type__":"x","__value__":1,"more":2}]"#, #"[{"a b": null}]"#,
    ])
    func takesWhatCanBeStored(_ args: String) throws {
        let refusal = refusal(message(try dispatch(args: args, kwargs: "{}")))
        #expect(refusal == nil, "\(refusal?.description ?? "")")
    }

    /// Where workers do not store arguments, large numbers do no harm.
    @Test func takesLargeNumbersWithoutExtendedResults() throws {
        var limits = TaskMessage.Limits()
        limits.isExtended = false
        let args = #"[12345678901234567890, {"__type__":"uuid","__value__":{"hex":"07"}}]"#
        #expect(refusal(message(try dispatch(args: args)), limits) == nil)
        #expect(refusal(message(try dispatch(args: #"[{"__type__":"nosuch","__value__":1}]"#)), limits) != nil)
    }

    @Test func writesPythonForLogs() throws {
        func repr(_ text: String) throws -> String { PythonRepr.arguments(try JSON(parsing: text)) }
        #expect(try repr("[]") == "()")
        #expect(try repr("[null]") == "(None,)")
        #expect(
            try repr(#"[true, 1.50, NaN, "it's", "a\nb\u0001", {"k": [false]}]"#)
                == #"(True, 1.50, nan, "it's", 'a\nb\x01', {'k': [False]})"#)
        let long = try repr("[\"" + String(repeating: "é", count: 3000) + "\"]")
        #expect(long.count == 1024 && long.hasSuffix("..."))
        let huge = try repr("[" + Array(repeating: "1", count: 20_000).joined(separator: ",") + "]")
        #expect(huge.count == 1024)
    }
}
