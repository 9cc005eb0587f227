import Logging
import RhythmCore
import Synchronization
import Testing

@testable import rhythmd

@Suite struct JSONLogTests {
    private final class Lines: Sendable {
        let kept = Mutex<[String]>([])
    }

    private func lines(_ body: (Logger) -> Void) -> [String] {
        let lines = Lines()
        let logger = Logger(label: "rhythm.test") { label in
            JSONLogHandler(label: label, logLevel: .debug) { line in lines.kept.withLock { $0.append(line) } }
        }
        body(logger)
        return lines.kept.withLock { $0 }
    }

    @Test func oneObjectALine() throws {
        let time = Timestamp(microseconds: 1_700_000_000_000_000)
        let line = JSONLogHandler.line(
            at: time, .info, "rhythm.server", "call ended",
            ["peer": "127.0.0.1:1", "duration_us": .stringConvertible(12), "call_id": .stringConvertible(UInt64.max)])
        #expect(
            line == """
                {"time":"\(time.iso8601)","level":"info","logger":"rhythm.server","message":"call ended",\
                "call_id":18446744073709551615,"duration_us":12,"peer":"127.0.0.1:1"}

                """)
    }

    @Test func whateverIsLoggedStaysOneLineOfJSON() throws {
        let nasty = "a \"quote\", a \\, a\nnew line, a \u{0} and a \u{1F600}"
        let written = lines { logger in
            var logger = logger
            logger[metadataKey: "own"] = "always"
            logger.warning(
                "\(nasty)", metadata: ["message": "\(nasty)", "list": ["x", ["k": "v"]], "n": .stringConvertible(-3)])
            logger.trace("not wanted")
        }
        try #require(written.count == 1 && written[0].hasSuffix("\n") && !written[0].dropLast().contains("\n"))
        let value = try JSON(parsing: written[0]).value
        #expect(value["message"]?.stringValue == nasty)
        #expect(value["message_"]?.stringValue == nasty, "metadata does not hide the message")
        #expect(value["own"]?.stringValue == "always" && value["level"]?.stringValue == "warning")
        #expect(value["n"]?.intValue == -3 && value["list"]?.arrayValue?.count == 2)
    }
}
