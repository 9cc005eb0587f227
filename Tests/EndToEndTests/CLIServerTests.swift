import Foundation
import Glibc
import Testing

@Suite(.serialized, .timeLimit(.minutes(2))) struct CLIServerTests {
    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    private let twoSteps = """
        name: demo
        labels: {kind: test}
        steps:
          - {name: first, task: hello}
          - {name: second, task: hello}
        """

    @Test func aWorkflowFromStartToDelete() async throws {
        try await CLIServer.with { server in
            try server.task("hello", "echo hello from $RHYTHM_STEP; echo two; echo three")
            let file = try server.file("w.yaml", twoSteps)
            let started = try await server.rhythm("start", file, "batch 7", "--label", "n=1", "--watch")
            #expect(started.status == 0, "\(started)")
            #expect(started.out.contains("second succeeded, now SUCCESS"))
            let id = try await server.onlyID()
            let prefix = String(id.prefix(6))

            let status = try await server.rhythm("status", prefix, "--json")
            #expect(status.status == 0)
            let workflow = try object(status.out)
            #expect(workflow["status"] as? String == "SUCCESS")
            #expect(workflow["steps_done"] as? Int == 2)
            #expect(workflow["labels"] as? [String: String] == ["kind": "test", "n": "1"])
            let steps = try #require(workflow["steps"] as? [[String: Any]])
            let run = try #require(steps[1]["last_task_run"] as? [String: Any])
            #expect(run["args"] as? [String] == ["batch 7"], "no result was given, so the argument is passed on")
            #expect(run["status"] as? String == "SUCCESS")

            let people = try await server.rhythm("status", prefix)
            #expect(people.out.contains("all 2 steps done"))
            let logs = try await server.rhythm("logs", prefix, "--step", "first", "--tail", "2")
            #expect(logs.out == "two\nthree\n", "\(logs)")
            let counts = try await server.rhythm("list", "--counts", "--json", "--label", "n=1")
            #expect((try object(counts.out)["counts"] as? [String: Int])?["SUCCESS"] == 1)
            #expect(try await server.rhythm("list", "--status", "active").out == "No workflows.\n")

            let watched = try await server.rhythm("watch", prefix, "--until-done", "--json")
            #expect(watched.status == 0)
            #expect(try object(String(watched.out.split(separator: "\n")[0]))["type"] as? String == "snapshot")

            #expect(try await server.rhythm("resume", prefix).status == 5)
            #expect(try await server.rhythm("start", file, "--id", id).status == 5)
            #expect(try await server.rhythm("delete", prefix).status == 0)
            #expect(try await server.rhythm("status", id).status == 4)
            #expect(try await server.rhythm("status", prefix).status == 4)
        }
    }

    @Test func aFailureIsToldAndResumed() async throws {
        try await CLIServer.with { server in
            try server.task("hello", "[ -e \(server.folder.path)/ok ] || { echo no such thing >&2; exit 3; }")
            let file = try server.file("w.yaml", twoSteps)
            let started = try await server.rhythm("start", file, "--watch")
            #expect(started.status == 1, "\(started)")
            #expect(started.err.contains("ended in FAILURE"))
            let id = try await server.onlyID()
            #expect(try await server.rhythm("watch", id, "--until-done", "--json").status == 1)
            let status = try await server.rhythm("status", id)
            #expect(status.status == 1)
            #expect(status.out.contains("no such thing"), "\(status.out)")
            #expect(status.out.contains("rhythm resume \(id.prefix(8))"))
            _ = try server.file("ok", "")
            #expect(try await server.rhythm("resume", id).status == 0)
            #expect(try await server.rhythm("watch", id, "--until-done").status == 0)
        }
    }

    @Test func pauseResumeCancelAndTheirReceipts() async throws {
        try await CLIServer.with { server in
            try server.task("hello", "sleep 60")
            let file = try server.file("w.yaml", twoSteps)
            let first = try await server.rhythm("start", file, "--json", "--id", "same-1")
            #expect(try object(first.out)["id"] as? String == "same-1")
            #expect(try await server.rhythm("start", file, "--id", "same-2").status == 0)
            let ambiguous = try await server.rhythm("pause", "same-")
            #expect(ambiguous.status == 2)
            #expect(ambiguous.err.contains("same-1") && ambiguous.err.contains("same-2"))

            let paused = try await server.rhythm("pause", "same-1", "--json")
            #expect(paused.status == 0)
            #expect(try object(paused.out)["paused"] as? Bool == true)
            #expect(try await server.rhythm("status", "same-1").status == 1)
            #expect(try await server.rhythm("resume", "same-1").status == 0)
            #expect(try await server.rhythm("resume", "same-1").status == 5, "it runs already")
            #expect(try await server.rhythm("delete", "same-1").status == 5, "it is active")
            #expect(try await server.rhythm("cancel", "same-1").status == 0)
            #expect(try await server.rhythm("resume", "same-1").status == 5, "cancelled is for good")
            #expect(try await server.rhythm("delete", "same-2", "--cancel").status == 0)
        }
    }

    /// The server is killed in the middle of a watch and comes back: the watch goes on and every version comes once.
    @Test func aWatchOutlivesTheServer() async throws {
        try await CLIServer.with { server in
            try server.task("hello", "while [ ! -e \(server.folder.path)/go ]; do sleep 0.05; done")
            let file = try server.file("w.yaml", twoSteps)
            #expect(try await server.rhythm("start", file, "--id", "w").status == 0)
            async let watched = server.rhythm("watch", "w", "--until-done", "--json")
            // Its watch is there before the server is killed.
            var watches = 0
            while watches == 0 {
                watches = try object(try await server.rhythm("info", "--json").out)["watches"] as? Int ?? 0
            }
            server.kill()
            try await server.start()
            _ = try server.file("go", "")
            let outcome = try await watched
            #expect(outcome.status == 0, "\(outcome)")
            #expect(outcome.err.contains("trying to go on"))
            var versions: [Int] = []
            for line in outcome.out.split(separator: "\n") {
                let update = try object(String(line))
                if let version = update["version"] as? Int { versions.append(version) }
                if let workflow = update["workflow"] as? [String: Any] {
                    versions.append(workflow["version"] as? Int ?? 0)
                }
            }
            let first = try #require(versions.first)
            #expect(versions == Array(first..<first + versions.count), "each version once, in order")
        }
    }

    /// On a terminal: bars that are drawn over themselves, and a clean end.
    @Test func barsOnATerminalAndCtrlC() async throws {
        try await CLIServer.with { server in
            try server.task(
                "hello",
                """
                echo '{"progress": {"name": "copy", "done": 42, "total": 100, "units": "items"}}' >&$RHYTHM_REPORT_FD
                while [ ! -e \(server.folder.path)/go ]; do sleep 0.05; done
                """)
            let file = try server.file("w.yaml", twoSteps)
            #expect(try await server.rhythm("start", file, "--id", "w").status == 0)
            let terminal = try PseudoTerminal()
            let process = Process()
            process.executableURL = URL(filePath: CLIProgram.path("rhythm"))
            process.arguments = ["watch", "w"]
            process.environment = CLIProgram.environment(server: server.address)
            process.environment?["TERM"] = "xterm"
            process.standardOutput = terminal.inside
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            let shown = try terminal.read { $0.contains("42%") }
            #expect(shown.contains("\u{1B}[?25l"), "the cursor is hidden")
            #expect(shown.contains("[##########--------------]  42%"), "\(shown)")
            #expect(shown.contains("1/2 first"))
            process.interrupt()
            process.waitUntilExit()
            #expect(process.terminationStatus == 130)
            #expect(try terminal.read { $0.contains("\u{1B}[?25h") }.contains("\u{1B}[?25h"), "the cursor is back")
            let said = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
            #expect(said.contains("rhythm watch w"))
            _ = try server.file("go", "")
            #expect(try await server.rhythm("watch", "w", "--until-done").status == 0)
        }
    }
}

/// A terminal without a screen.
private final class PseudoTerminal {
    let inside: FileHandle
    private let outside: Int32

    init() throws {
        outside = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // What unlockpt and ptsname do, which Swift does not see: TIOCSPTLCK and TIOCGPTN.
        var lock: Int32 = 0
        var number: UInt32 = 0
        try #require(outside >= 0 && ioctl(outside, 0x4004_5431, &lock) == 0)
        try #require(ioctl(outside, 0x8004_5430, &number) == 0)
        let descriptor = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(descriptor >= 0)
        var size = winsize(ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0)
        try #require(ioctl(descriptor, UInt(TIOCSWINSZ), &size) == 0)
        inside = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    deinit { close(outside) }

    /// What is written until a condition holds, for at most 20 seconds.
    func read(until isEnough: (String) -> Bool) throws -> String {
        var bytes: [UInt8] = []
        let end = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < end {
            var events = pollfd(fd: outside, events: Int16(POLLIN), revents: 0)
            guard poll(&events, 1, 100) > 0 else { continue }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = Glibc.read(outside, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer[..<count]
            if isEnough(String(decoding: bytes, as: UTF8.self)) { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
