import RhythmCore
import RhythmMongo
import Testing

@testable import RhythmCelery

/// Documents as Celery 5.2.7 to 5.7 write them.
@Suite struct ResultDocumentTests {
    private let now = Timestamp(microseconds: 1_795_414_800_000_000)

    private func document(_ fields: BSONDocument) throws -> ResultDocument {
        var whole = fields
        if whole["_id"] == nil { whole["_id"] = "t-1" }
        return try #require(ResultDocument(whole))
    }

    private func success(_ result: BSONValue) throws -> Observation? {
        try document(["status": "SUCCESS", "result": result]).end(now: now)
    }

    @Test func readsASuccess() throws {
        let found = try document([
            "_id": "54381951-aa8c-4e8e-957e-46af7ebbf7c3", "status": "SUCCESS", "result": #"["b1", {}]"#,
            "traceback": .null, "children": [], "date_done": .date(milliseconds: 1_795_414_714_907),
            "parent_id": "parent-1", "name": "steps.noop", "args": ["b1"], "kwargs": [:], "worker": "x1@vm",
            "retries": 0, "queue": "x_q1",
        ])
        #expect(found.id == "54381951-aa8c-4e8e-957e-46af7ebbf7c3" && found.node == "x1@vm" && found.retries == 0)
        #expect(
            found.end(now: now)
                == .succeeded(
                    result: try JSON(parsing: #"["b1", {}]"#), at: Timestamp(microseconds: 1_795_414_714_907_000)))
    }

    /// Up to 5.3.1 dates are text without an offset, and without a fraction when it is zero.
    @Test(arguments: [
        ("2026-11-23T06:19:41.995435", 1_795_414_781_995_435), ("2026-11-23T06:19:41", 1_795_414_781_000_000),
    ])
    func readsDatesAsText(_ text: String, _ microseconds: Int64) throws {
        let found = try document(["status": "SUCCESS", "result": "[]", "date_done": .string(text)])
        #expect(found.endedAt == Timestamp(microseconds: microseconds))
        #expect(try document(["status": "SUCCESS", "date_done": "yesterday"]).endedAt == nil)
    }

    /// Python's JSON is wider than JSON; nothing of it is lost or rounded.
    @Test func keepsPythonValues() throws {
        let text =
            #"["b", {"nan": NaN, "inf": -Infinity, "big": 1180591620717411303424, "text": "h\u00e9 \ud83d\ude00", "#
            + #""tiny": 5e-324, "when": {"__type__": "datetime", "__value__": "2026-01-02T03:04:05.678901"}}]"#
        guard case .succeeded(let result?, _) = try success(.string(text)) else {
            Issue.record("no success")
            return
        }
        #expect(result.text == text)
        #expect(result.value.arrayValue?[1]["big"] == .number("1180591620717411303424"))
    }

    @Test func readsBinaryAndOddResults() throws {
        #expect(try success(.binary(subtype: 0, bytes: Array("[1]".utf8))) == success("[1]"))
        #expect(try success(.binary(subtype: 0, bytes: [0x78, 0x9C, 0xFF]))?.failureType == "ResultFormat")
        #expect(try success("[1")?.failureType == "ResultFormat")
        #expect(try success(7)?.failureType == "ResultFormat")
        // What is no array is for the engine to refuse; nothing at all hands the argument on.
        #expect(try success(#"{"a":1}"#) == .succeeded(result: JSON(parsing: #"{"a":1}"#), at: now))
        #expect(try success("null") == .succeeded(result: nil, at: now))
        #expect(try success(.null) == .succeeded(result: nil, at: now))
    }

    /// After the last step nobody needs the result: what cannot be read is no failure.
    @Test func theLastResultNeedNotBeReadable() throws {
        for (result, kept) in [
            (.binary(subtype: 0, bytes: [0x80, 0x04, 0x2E]), nil), (7, nil), ("plain text", .string("plain text")),
            ("[1]", .array(of: [JSON(.integer(1))])), ("null", nil),
        ] as [(BSONValue, JSON?)] {
            let found = try document(["status": "SUCCESS", "result": result])
            #expect(found.end(now: now, isLast: true) == .succeeded(result: kept, at: now), "\(result)")
        }
    }

    @Test func readsLargeResults() throws {
        let text = "[\"" + String(repeating: "x", count: 16 << 20) + "\"]"
        guard case .succeeded(let result?, _) = try success(.string(text)) else {
            Issue.record("no success")
            return
        }
        #expect(result.text.utf8.count == text.utf8.count)
    }

    @Test func readsAFailure() throws {
        let end = try document([
            "status": "FAILURE",
            "result": #"{"exc_type": "ValueError", "exc_message": ["boom", 7], "exc_module": "builtins"}"#,
            "traceback": "Traceback ...", "date_done": .date(milliseconds: 5),
        ]).end(now: now)
        let expected = Failure(
            type: "ValueError", message: "boom, 7", module: "builtins", traceback: "Traceback ...")
        #expect(end == .failed(expected, at: Timestamp(microseconds: 5000)))
    }

    @Test(arguments: [
        ("NotRegistered", "celery.exceptions", "TaskNotFound", false),
        ("NonRetryableException", "sca_rhythm", "NonRetryableException", false),
        ("EncodeError", "kombu.exceptions", "EncodeError", false),
        ("WorkerLostError", "billiard.exceptions", "WorkerLostError", true),
        ("TimeLimitExceeded", "billiard.exceptions", "TimeLimitExceeded", true),
    ])
    func knowsWhatARepetitionCanHelp(_ type: String, _ module: String, _ shown: String, _ retriable: Bool) throws {
        let failure = try document([
            "status": "FAILURE",
            "result": .string(#"{"exc_type": "\#(type)", "exc_message": ["m"], "exc_module": "\#(module)"}"#),
        ]).failure
        #expect(failure.type == shown && failure.isRetriable == retriable && failure.message.contains("m"))
    }

    @Test func survivesOddFailures() throws {
        for result: BSONValue in ["\"text\"", "[]", .null, "junk", #"{"exc_message": {"a": 1}}"#] {
            #expect(try document(["status": "FAILURE", "result": result]).failure.type == "Exception")
        }
        #expect(ResultDocument(["status": "SUCCESS"]) == nil)
        #expect(ResultDocument(["_id": 7, "status": "SUCCESS"]) == nil)
        #expect(ResultDocument(["_id": "t"]) == nil)
    }

    /// The original library's Progress, Celery's own STARTED, and whatever else tasks write.
    @Test func readsProgress() throws {
        let started = try document([
            "status": "STARTED",
            "result": #"""
            {"name": "copy", "done": 1, "total": 2, "units": "items", "fraction_done": 0.5, "time_remaining_sec": 1e100,
            "wt_avg_rate": 5.0, "avg_rate": 5.0}
            """#, "worker": "x1@vm",
        ])
        #expect(started.end(now: now) == nil && started.node == "x1@vm")
        #expect(
            started.progress(now: now) == ProgressReport(name: "copy", done: 1, total: 2, units: "items", at: now))
        let own = try document(["status": "STARTED", "result": #"{"pid": 123, "hostname": "w1@host"}"#])
        #expect(own.progress(now: now) == nil && own.node == "w1@host" && own.processID == 123)
        let fraction = try document(["status": "PROGRESS", "result": #"{"fraction_done": 0.25}"#])
        #expect(fraction.status == .started)
        #expect(fraction.progress(now: now) == ProgressReport(done: 0.25, total: 1, at: now))
        for odd in ["[1]", "7", "{}", "null", #"{"pid": 1, "hostname": "w1@host"}"#] {
            #expect(try document(["status": "STARTED", "result": .string(odd)]).progress(now: now) == nil)
        }
        let endless = try document(["status": "STARTED", "result": #"{"done": 3, "total": null}"#])
        #expect(endless.progress(now: now)?.total == nil && endless.progress(now: now)?.done == 3)
    }

    /// What a task says besides, or instead of how much is done, is kept as it is.
    @Test(arguments: [
        #"{"name": "waits", "time_remaining_sec": 90}"#, #"{"done": "all"}"#, #"{"fraction_done": 7}"#,
        #"{"stage": {"file": "a.tif"}, "name": "x"}"#, #"{"done": 1, "total": 2, "file": "a.tif"}"#,
        #"{"fraction_done": 0.5, "rows": [1, 2]}"#,
    ])
    func keepsWhatATaskReports(_ text: String) throws {
        let report = try #require(
            try document(["status": "PROGRESS", "result": .string(text)]).progress(now: now))
        let progress = Progress(report)
        let given = try JSON(parsing: text).value
        #expect(progress.reported?.value == given)
        #expect(progress.isCounted == ["\"done\": 1", "0.5"].contains { text.contains($0) })
        #expect(Progress(restoring: progress.state) == progress)
        let shown = progress.embellished
        for member in progress.own { #expect(shown[member.name] == member.value) }
        if !progress.isCounted {
            #expect(shown["done"] == .null && progress.fractionDone == nil && progress.averageRate == nil)
        }
        #expect(progress.timeRemaining == (text.contains("90") ? 90 : nil))
    }

    @Test func keepsReportsShort() throws {
        let long = String(repeating: "x", count: 3000)
        let text = #"{"log": "\#(long)", "stage": 3, "done": "no"}"#
        let report = try #require(
            try document(["status": "STARTED", "result": .string(text)]).progress(now: now)?.reported)
        #expect(report.text.utf8.count <= 2048 && report.value["stage"] == .integer(3), "\(report)")
        #expect(report.value["..."]?.stringValue?.hasPrefix("1 more") == true)
        let word = try document(["status": "PROGRESS", "result": "\"copying\""])
        #expect(word.progress(now: now)?.name == "copying")
    }

    @Test func readsTheOtherStates() throws {
        let retry = try document([
            "status": "RETRY", "retries": 0,
            "result": #"{"exc_type": "OSError", "exc_message": ["try 1 failed"], "exc_module": "builtins"}"#,
        ])
        #expect(retry.status == .retry && retry.failure.message == "try 1 failed" && retry.end(now: now) == nil)
        let revoked = try document([
            "status": "REVOKED",
            "result": #"{"exc_type": "TaskRevokedError", "exc_message": ["terminated"], "exc_module": "x"}"#,
        ])
        #expect(revoked.status == .revoked && revoked.end(now: now) == nil)
        #expect(revoked.revokeDetail == "its worker says: terminated")
        #expect(try document(["status": "RECEIVED"]).status == .waiting)
    }
}

extension Observation {
    var failureType: String? { if case .failed(let failure, _) = self { failure.type } else { nil } }
}
