import Glibc
import RhythmCore
import RhythmEngine
import RhythmLocalRunner
import RhythmTesting
import Testing

/// Odd tasks, and what becomes of each of them.
@Suite struct LocalTaskTests {
    /// Runs one task to its end and gives the end and what stands in its log.
    private func run(
        _ script: String, in place: LocalPlace, configure: (inout LocalRunnerConfiguration) -> Void = { _ in }
    ) async throws -> (end: Observation, log: String) {
        place.write("odd", script)
        return try await run(task: "odd", in: place, configure: configure)
    }

    private func run(
        task: String, in place: LocalPlace, configure: (inout LocalRunnerConfiguration) -> Void = { _ in }
    ) async throws -> (end: Observation, log: String) {
        let runner = RunnerUnderTest(try place.makeRunner(configure))
        runner.start([])
        defer { runner.stop() }
        let id = TaskID.random()
        runner.perform([.dispatch(Dispatch(taskID: id, workflowID: "w", step: "s", task: task))])
        let end = try await runner.end(of: id)
        let log = runner.runner.logs?.readLog(of: id, from: 0, limit: 1 << 20)
        return (end, String(decoding: log?.bytes ?? [], as: UTF8.self))
    }

    @Test func forksGrandchildren() async throws {
        try await LocalPlace.with { place in
            // In its group, in a session of its own, and in one that nobody waits for; one of them takes no hint.
            let end = try await run(
                """
                sleep 1000 &
                setsid sleep 1001 &
                (setsid bash -c 'trap "" TERM; while :; do sleep 1; done' &)
                while [ $(pgrep -c -f 'sleep 1001') = 0 ]; do :; done
                echo '{"result":[1]}' >&3
                """, in: place)
            #expect(end.end.isSuccess("[1]"))
            #expect(place.living.isEmpty, "a step's end is the end of everything that it started")
        }
    }

    @Test func ignoresSIGTERM() async throws {
        try await LocalPlace.with { place in
            place.write("deaf", "trap '' TERM\ntouch $MARKS/up\nwhile :; do sleep 0.05; done")
            let runner = RunnerUnderTest(try place.makeRunner { $0.grace = .milliseconds(200) })
            runner.start([])
            defer { runner.stop() }
            let id = TaskID.random()
            runner.perform([.dispatch(Dispatch(taskID: id, workflowID: "w", step: "s", task: "deaf"))])
            try await waitUntil("it is not up", seconds: 60) { place.folder.exists(place.marks.directory + "/up") }
            let asked = ContinuousClock.now
            runner.perform([.revoke(id, of: "w")])
            guard case .revoked(let detail, _) = try await runner.end(of: id) else {
                Issue.record("\(runner.reports(of: id))")
                return
            }
            #expect(detail.contains("signal 9"))
            #expect(asked.duration(to: .now) >= .milliseconds(200), "it had its grace")
            #expect(place.living.isEmpty)
        }
    }

    @Test func closesItsDescriptors() async throws {
        try await LocalPlace.with { place in
            let end = try await run("exec <&- >&- 2>&- 3>&-\nsleep 0.1\nexit 4", in: place).end
            #expect(end.failure?.type == "ExitStatus")
            #expect(end.failure?.message == "it exited with status 4")
        }
    }

    @Test func writesTooMuchLog() async throws {
        try await LocalPlace.with { place in
            place.write("chatty", "head -c 50000000 /dev/zero | tr '\\0' x; echo; echo the end")
            let runner = RunnerUnderTest(try place.makeRunner { $0.logSegmentBytes = 1 << 20 })
            runner.start([])
            defer { runner.stop() }
            let id = TaskID.random()
            runner.perform([.dispatch(Dispatch(taskID: id, workflowID: "w", step: "s", task: "chatty"))])
            try await runner.expectSuccess(of: id, nil)
            let logs = try #require(runner.runner.logs)
            let first = try #require(logs.readLog(of: id, from: 0, limit: 10))
            #expect(first.end == 50_000_009)
            #expect(first.offset > 47_000_000 && first.bytes.count == 10 && first.isComplete)
            let last = try #require(logs.readLog(of: id, from: -8, limit: 100))
            #expect(String(decoding: last.bytes, as: UTF8.self) == "the end\n")
            let all = try #require(logs.readLog(of: id, from: 0, limit: 4 << 20))
            #expect(all.offset + Int64(all.bytes.count) == all.end && all.bytes.count <= 2 << 20)
            let beyond = try #require(logs.readLog(of: id, from: 1 << 40, limit: 100))
            #expect(beyond.bytes.isEmpty && beyond.offset == all.end)
        }
    }

    @Test func printsHalfALine() async throws {
        try await LocalPlace.with { place in
            let good = try await run(#"printf half; printf '{"result":["x"]}' >&3"#, in: place)
            #expect(good.end.isSuccess(#"["x"]"#))
            #expect(good.log == "half")
            let bad = try await run(#"printf '{"result":["x"' >&3"#, in: place).end
            #expect(bad.failure?.type == "ResultFormat")
            #expect(bad.failure?.message.contains(#"{"result":["x""#) == true)
            #expect(bad.failure?.isRetriable == false)
        }
    }

    @Test func endsBySignal() async throws {
        try await LocalPlace.with { place in
            let end = try await run("echo before >&2; kill -SEGV $$", in: place).end
            #expect(end.failure?.type == "KilledBySignal")
            #expect(end.failure?.message.contains("signal 11") == true)
            #expect(end.failure?.traceback == "before\n")
        }
    }

    @Test func exitsWithAStatus() async throws {
        try await LocalPlace.with { place in
            let end = try await run("seq 1 2000 >&2; exit 3", in: place).end
            #expect(end.failure?.type == "ExitStatus")
            #expect(end.failure?.message == "it exited with status 3")
            let traceback = try #require(end.failure?.traceback)
            #expect(traceback.hasSuffix("1999\n2000\n") && traceback.utf8.count == 4096)
        }
    }

    @Test(arguments: [
        ("missing", "TaskNotFound"), ("plain", "TaskNotExecutable"), ("folder", "TaskNotExecutable"),
        ("orphan", "TaskNotFound"), ("text", "TaskNotExecutable"), ("dangling", "TaskNotFound"),
        ("loop", "TaskNotExecutable"), ("outside", "TaskNotAllowed"), ("sibling", "TaskNotAllowed"),
        ("..", "TaskNotAllowed"), (".", "TaskNotAllowed"), ("", "TaskNotAllowed"), (".hidden", "TaskNotAllowed"),
        ("../tasks/pass", "TaskNotAllowed"), ("folder/inner", "TaskNotAllowed"), ("/bin/true", "TaskNotAllowed"),
        ("pass\0.txt", "TaskNotAllowed"), (String(repeating: "x", count: 300), "TaskNotAllowed"),
    ])
    func isNotATask(_ name: String, _ type: String) async throws {
        try await LocalPlace.with { place in
            place.write("plain", "exit 0", mode: 0o600)
            mkdir(place.tasks + "/folder", 0o700)
            place.write("folder/inner", "exit 0")
            place.write("orphan", "exit 0", interpreter: "/no/such/interpreter")
            place.write(".hidden", "exit 0")
            place.folder.write("tasks/text", "no program")
            chmod(place.tasks + "/text", 0o700)
            symlink("/bin/true", place.tasks + "/outside")
            symlink("nowhere", place.tasks + "/dangling")
            symlink("loop", place.tasks + "/loop")
            // A directory whose name begins like that of the tasks.
            mkdir(place.tasks + "-old", 0o700)
            place.folder.write("tasks-old/task", "#!/bin/sh\n")
            chmod(place.tasks + "-old/task", 0o700)
            symlink("../tasks-old/task", place.tasks + "/sibling")
            let end = try await run(task: name, in: place).end
            #expect(end.failure?.type == type, "\(end)")
            #expect(end.failure?.isRetriable == false)
        }
    }

    @Test func followsLinksInside() async throws {
        try await LocalPlace.with { place in
            mkdir(place.tasks + "/lib", 0o700)
            place.write("lib/real", #"echo '{"result":["real"]}' >&3"#)
            symlink("lib/real", place.tasks + "/alias")
            let end = try await run(task: "alias", in: place).end
            #expect(end.isSuccess(#"["real"]"#))
        }
    }

    @Test func returnsTooMuch() async throws {
        try await LocalPlace.with { place in
            let script = #"printf '{"result":["%s"]}\n' $(head -c 90000 /dev/zero | tr '\0' r) >&3"#
            let large = try await run(script, in: place) { $0.resultBytes = 10_000 }.end
            #expect(large.failure?.type == "ResultTooLarge")
            let message = try #require(large.failure?.message)
            #expect(message.contains(#"{"result":["rrr"#) && message.utf8.count < 5000)
            let fits = try await run(script, in: place) { $0.resultBytes = 100_000 }.end
            #expect(fits.isSuccess("[\"" + String(repeating: "r", count: 90_000) + "\"]"))
        }
    }

    @Test func reportsOddLines() async throws {
        try await LocalPlace.with { place in
            let script = """
                printf 'garbage\\n\\n[1]\\n{"heartbeat":true}\\n{"progress":7}\\n{"other":{"result":[0]}}\\n' >&3
                printf ' { "result" : [1, 2.50,"\\\\u00e9"] } \\n' >&3
                """
            let odd = try await run(script, in: place).end
            #expect(odd.isSuccess(#"[1, 2.50,"\u00e9"]"#), "byte for byte: \(odd)")
            let last = try await run(#"printf '{"result":[1]}\n{"result":[2]}\n' >&3"#, in: place).end
            #expect(last.isSuccess("[2]"), "the last result counts")
            let binary = try await run(#"printf '{"result":["\377"]}\n' >&3"#, in: place).end
            #expect(binary.failure?.type == "ResultFormat")
        }
    }

    @Test func getsACleanEnvironment() async throws {
        setenv("RHYTHM_TEST_SECRET", "do not pass on", 1)
        try await LocalPlace.with { place in
            let log = try await run("env; pwd; ls -l /proc/self/fd | wc -l", in: place).log
            let lines = Set(log.split(separator: "\n").map(String.init))
            #expect(!log.contains("SECRET"))
            let wanted = [
                "RHYTHM_WORKFLOW_ID=w", "RHYTHM_STEP=s", "RHYTHM_APP_ID=", "RHYTHM_TASK=odd", "RHYTHM_ATTEMPT=1",
                "RHYTHM_REPORT_FD=3", "MARKS=\(place.marks.directory)", place.tasks,
            ]
            #expect(lines.isSuperset(of: wanted), "\(log)")
            let names = Set(lines.compactMap { $0.split(separator: "=").first.map(String.init) })
            #expect(names.isSuperset(of: ["PATH", "HOME", "LANG", "RHYTHM_TASK_ID"]))
            #expect(lines.contains("6"), "descriptors 0 to 3, and that of the listing: \(log)")
        }
    }
}
