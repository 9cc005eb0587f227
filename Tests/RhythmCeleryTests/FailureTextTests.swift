import RhythmCore
import RhythmMongo
import Testing

@testable import RhythmCelery

/// The text of a failure, whoever stored it and how.
@Suite struct FailureTextTests {
    private func failure(_ result: BSONValue, traceback: BSONValue = .null) throws -> Failure {
        try #require(
            ResultDocument(["_id": "t", "status": "FAILURE", "result": result, "traceback": traceback])
        ).failure
    }

    private static let traceback = """
        Traceback (most recent call last):
          File "/srv/tasks.py", line 9, in outer
            raise
        KeyError: 'first'

        During handling of the above exception, another exception occurred:

        Traceback (most recent call last):
          File "/srv/app/tasks.py", line 17, in run
            raise shop.errors.Empty("no more", 7)
        shop.errors.Empty: no more
          of 7

        """

    @Test(arguments: [
        // Celery's own, with every kind of arguments.
        (#"{"exc_type": "E", "exc_message": ["boom", 7, {"a": null}]}"#, "E", #"boom, 7, {"a":null}"#),
        (#"{"exc_type": "E", "exc_message": "boom"}"#, "E", "boom"),
        (#"{"exc_type": "E", "exc_message": {"code": 7}}"#, "E", #"{"code":7}"#),
        (#"{"exc_type": "E", "exc_message": [["a", "b"]]}"#, "E", #"["a","b"]"#),
        (
            #"{"exc_type": "ExceptionGroup", "exc_message": ["two", "[ValueError('a')]"]}"#, "ExceptionGroup",
            "two, [ValueError('a')]"
        ),
        // What tasks store themselves.
        (#""the disk is full""#, "Exception", "the disk is full"),
        (#"{"error": "no such file"}"#, "Exception", "no such file"),
        (#"{"message": "it broke", "detail": "code 7"}"#, "Exception", "it broke (code 7)"),
        (#"{"exc_type": "E", "exc_message": "", "reason": "full"}"#, "E", "full"),
        (#"{"error": {"message": "inner", "code": 3}}"#, "Exception", "inner"),
        (#"{"stage": 3, "file": "a.tif"}"#, "Exception", #"{"stage":3,"file":"a.tif"}"#),
        ("[1, \"b\"]", "Exception", "1, b"), ("7", "Exception", "7"), ("false", "Exception", "false"),
        // No JSON.
        ("just text", "Exception", "just text"),
        ("exc_message:\n- boom\n- '7'\nexc_module: builtins\nexc_type: ValueError\n", "ValueError", "boom, 7"),
        ("exc_message: [boom]\nexc_module: builtins\nexc_type: ValueError\n", "ValueError", "boom"),
        // Nothing at all.
        ("{}", "Exception", "it left no message"), ("null", "Exception", "it left no message"),
        (#"{"exc_type": "E", "exc_message": []}"#, "E", "it left no message"),
    ])
    func findsTheBestText(_ result: String, _ type: String, _ message: String) throws {
        let failure = try failure(.string(result))
        #expect(failure.type == type && failure.message == message, "\(failure)")
    }

    @Test func readsTheTraceback() throws {
        let said = try failure("null", traceback: .string(Self.traceback))
        #expect(said.type == "Empty" && said.message == "no more\n  of 7", "\(said)")
        #expect(said.traceback == Self.traceback)
        let typed = try failure(#"{"exc_type": "Empty", "exc_message": []}"#, traceback: .string(Self.traceback))
        #expect(typed.message == "no more\n  of 7")
        let silent = "Traceback (most recent call last):\n  File \"/srv/tasks.py\", line 17, in run\n    raise E\nE\n"
        let bare = try failure(#"{"exc_type": "E", "exc_message": []}"#, traceback: .string(silent))
        #expect(bare.message == "raised without a message (tasks.py, line 17, in run)")
        #expect(try failure("null", traceback: "what is this").message == "what is this")
    }

    /// As Celery 5.2.7 and 5.7 pickle exceptions.
    @Test func readsPickles() throws {
        func pickle(_ module: String, _ name: String, _ argument: String?) -> BSONValue {
            func text(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) + [0x94] }
            let end: [UInt8] = argument.map { text($0) + [0x85, 0x94, 0x52, 0x94, 0x2E] } ?? [0x29, 0x52, 0x94, 0x2E]
            let body = text(module) + text(name) + [0x93, 0x94] + end
            return .binary(subtype: 0, bytes: [0x80, 4, 0x95, UInt8(body.count), 0, 0, 0, 0, 0, 0, 0] + body)
        }
        let lost = try failure(pickle("billiard.exceptions", "WorkerLostError", "Worker exited: signal 9"))
        #expect(lost.type == "WorkerLostError" && lost.module == "billiard.exceptions")
        #expect(lost.message == "Worker exited: signal 9")
        let unknown = try failure(pickle("celery.exceptions", "NotRegistered", "tasks.gone"))
        #expect(unknown.type == "TaskNotFound" && unknown.message.hasSuffix("tasks.gone"))
        let bare = try failure(pickle("builtins", "KeyError", nil))
        #expect(bare.type == "KeyError" && bare.message == "it left no message")
        let old = Array("\u{0}cexceptions\nValueError\nq\u{0}X\u{4}\u{0}\u{0}\u{0}boomq\u{1}\u{0}R.".utf8)
        let second = try failure(.binary(subtype: 0, bytes: [0x80, 2] + old.dropFirst()))
        #expect(second.type == "ValueError" && second.message == "boom", "\(second)")
        // Whatever the bytes are, something is said and nothing breaks.
        for bytes: [UInt8] in [[], [0x80], [0x80, 4, 0x8C], [0x80, 4, 0x8C, 200, 1], [0x78, 0x9C, 0xFF, 0, 1, 2]] {
            #expect(try !failure(.binary(subtype: 0, bytes: bytes)).message.isEmpty)
        }
        for length in 0..<60 {
            guard case .binary(_, let whole) = pickle("builtins", "ValueError", "boom") else { return }
            #expect(try !failure(.binary(subtype: 0, bytes: Array(whole.prefix(length)))).message.isEmpty)
        }
    }

    @Test func readsMsgpackAndBSON() throws {
        func text(_ text: String) -> [UInt8] { [0xA0 | UInt8(text.utf8.count)] + Array(text.utf8) }
        let packed =
            [0x83] + text("exc_type") + text("ValueError") + text("exc_message") + [0x91] + text("boom")
            + text("exc_module") + text("builtins")
        let failed = try failure(.binary(subtype: 0, bytes: packed))
        #expect(failed.type == "ValueError" && failed.module == "builtins" && failed.message == "boom", "\(failed)")
        let native = try failure(["exc_type": "ValueError", "exc_message": ["boom"], "exc_module": "builtins"])
        #expect(native.type == "ValueError" && native.message == "boom")
        let success = try #require(ResultDocument(["_id": "t", "status": "SUCCESS", "result": ["a", 1]]))
        #expect(
            success.end(now: Timestamp(microseconds: 1))
                == .succeeded(result: try JSON(parsing: #"["a", 1]"#), at: Timestamp(microseconds: 1)))
    }

    @Test func keepsTextsShort() throws {
        let long = String(repeating: "x", count: 100_000)
        for result in ["\"\(long)\"", #"{"own": "\#(long)"}"#, long] {
            #expect(try failure(.string(result)).message.utf8.count < 5000)
        }
    }
}
