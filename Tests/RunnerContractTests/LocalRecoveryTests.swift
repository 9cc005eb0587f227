import Glibc
import RhythmCore
import RhythmEngine
import RhythmLocalRunner
import RhythmTesting
import Testing

/// What the local runner finds after it, or its supervisors, were away.
@Suite struct LocalRecoveryTests {
    private func begin(
        _ place: LocalPlace, outstanding: [Effect] = [], _ change: (inout LocalRunnerConfiguration) -> Void = { _ in }
    ) throws -> RunnerUnderTest {
        let runner = RunnerUnderTest(try place.makeRunner(change))
        runner.start(outstanding)
        return runner
    }

    private func dispatch(_ task: ContractTask, _ id: TaskID = .random()) -> Dispatch {
        Dispatch(taskID: id, workflowID: "w", step: "s", task: task.rawValue)
    }

    private func attempt(_ id: TaskID, in place: LocalPlace) -> String { place.data + "/attempts/\(id)" }

    @Test func readsWhatEndedWhileNobodyWasThere() async throws {
        try await LocalPlace.with { place in
            let first = try begin(place)
            let held = dispatch(.hold)
            first.perform([.dispatch(held)])
            try await place.marks.waitForRun(of: held.taskID)
            first.stop()
            place.marks.openGate(of: held.taskID)
            try await waitUntil("no outcome", seconds: 60) {
                place.folder.exists(attempt(held.taskID, in: place) + "/outcome")
            }
            let second = try begin(place, outstanding: [.dispatch(held)])
            defer { second.stop() }
            try await second.expectSuccess(of: held.taskID, #"["held"]"#)
            #expect(place.marks.runs(of: held.taskID) == 1)
        }
    }

    /// The server is killed while one attempt runs and another waits; the next loses neither and repeats neither.
    @Test func goesOnAfterKillMinus9() async throws {
        try await LocalPlace.with { place in
            let path = place.folder.path
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
                let place = LocalPlace(folder: Folder(path: path))
                let runner = RunnerUnderTest(try place.makeRunner())
                runner.start([])
                let dispatches = ["killed-1", "killed-2"].map {
                    Dispatch(taskID: TaskID($0), workflowID: "w", step: "s", task: "hold", queue: "narrow")
                }
                runner.perform(dispatches.map { .dispatch($0) })
                try await place.marks.waitForRun(of: "killed-1")
                kill(getpid(), SIGKILL)
            }
            let dispatches = ["killed-2", "killed-1"].map {
                Dispatch(taskID: TaskID($0), workflowID: "w", step: "s", task: "hold", queue: "narrow")
            }
            let second = try begin(place, outstanding: dispatches.map { .dispatch($0) })
            defer { second.stop() }
            for id in ["killed-1", "killed-2"] as [TaskID] {
                place.marks.openGate(of: id)
                try await second.expectSuccess(of: id, #"["held"]"#)
                #expect(place.marks.runs(of: id) == 1)
            }
            #expect(place.marks.order == ["killed-1", "killed-2"])
        }
    }

    @Test func endsWhatNobodyWants() async throws {
        try await LocalPlace.with { place in
            let first = try begin(place)
            let running = dispatch(.hold)
            let ended = dispatch(.pass)
            first.perform([.dispatch(running), .dispatch(ended)])
            try await place.marks.waitForRun(of: running.taskID)
            _ = try await first.end(of: ended.taskID)
            first.stop()

            let second = try begin(place, outstanding: [])
            defer { second.stop() }
            try await waitUntil("they are still there", seconds: 60) {
                place.living.isEmpty && place.folder.names(in: place.data + "/attempts").isEmpty
            }
            #expect(second.all.isEmpty)
            #expect(second.runner.logs?.readLog(of: running.taskID, from: 0, limit: 10)?.isComplete == true)
        }
    }

    @Test func reportsADeadSupervisorOnlyWhenItsProcessesAreGone() async throws {
        try await LocalPlace.with { place in
            place.write("deep", "sleep 1000 &\n(setsid sleep 1001 &)\ntouch $MARKS/up\nwait")
            let runner = try begin(place) { $0.sweepInterval = .milliseconds(100) }
            defer { runner.stop() }
            let id = TaskID.random()
            runner.perform([.dispatch(Dispatch(taskID: id, workflowID: "w", step: "s", task: "deep"))])
            try await waitUntil("it is not up", seconds: 60) { place.folder.exists(place.marks.directory + "/up") }
            let lock = try #require(place.folder.text(attempt(id, in: place) + "/lock"))
            let supervisor = try #require(lock.split(separator: " ").first.flatMap { pid_t($0) })
            kill(supervisor, SIGKILL)
            let end = try await runner.end(of: id)
            #expect(end.failure?.type == "SupervisorLost")
            #expect(end.failure?.isRetriable == true)
            #expect(place.living.isEmpty)
            runner.perform([.dispatch(Dispatch(taskID: id, workflowID: "w", step: "s", task: "deep"))])
            try await runner.wait { $0.ends(of: id).count > 1 }
            #expect(runner.ends(of: id).allFailed)
        }
    }

    @Test func reportsASupervisorThatDiedWhileNobodyWasThere() async throws {
        try await LocalPlace.with { place in
            let first = try begin(place)
            let held = dispatch(.hold)
            let revoked = dispatch(.hold)
            first.perform([.dispatch(held), .dispatch(revoked)])
            for id in [held.taskID, revoked.taskID] { try await place.marks.waitForRun(of: id) }
            first.stop()
            for id in [held.taskID, revoked.taskID] {
                let lock = try #require(place.folder.text(attempt(id, in: place) + "/lock"))
                kill(try #require(lock.split(separator: " ").first.flatMap { pid_t($0) }), SIGKILL)
            }
            // They may still be dying when the second runner looks for the first time.
            let second = try begin(place, outstanding: [.dispatch(held), .revoke(revoked.taskID, of: "w")]) {
                $0.sweepInterval = .milliseconds(100)
            }
            defer { second.stop() }
            try await second.expectFailure(of: held.taskID, "SupervisorLost")
            _ = try await second.end(of: revoked.taskID)
            #expect(place.living.isEmpty)
        }
    }

    /// The server died after it had made the directory and before a supervisor claimed it.
    @Test func beginsOrForbidsWhatWasOnlyPrepared() async throws {
        try await LocalPlace.with { place in
            let first = try begin(place)
            let template = dispatch(.pass)
            first.perform([.dispatch(template)])
            _ = try await first.end(of: template.taskID)
            first.stop()
            // The files of a prepared attempt are those of any other before its supervisor.
            let ids = (0..<3).map { _ in TaskID.random() }
            for id in ids {
                mkdir(attempt(id, in: place), 0o700)
                for file in ["spec", "invocation"] {
                    let text = try #require(place.folder.text(attempt(template.taskID, in: place) + "/" + file))
                    place.folder.write("data/attempts/\(id)/\(file)", text)
                }
            }
            let second = try begin(
                place, outstanding: [.dispatch(dispatch(.pass, ids[0])), .revoke(ids[1], of: "w")])
            defer { second.stop() }
            try await second.expectSuccess(of: ids[0], nil)
            try await second.expectRevoked(of: ids[1])
            #expect(place.marks.runs(of: ids[0]) == 1)
            #expect(place.marks.runs(of: ids[1]) == 0)
            // A supervisor that was only slow comes too late to run anything.
            let late = try spawn(LocalPlace.supervisor, attempt(ids[1], in: place))
            var status: Int32 = 0
            waitpid(late, &status, 0)
            #expect(status >> 8 == 3, "it found that the attempt was claimed before")
            #expect(!place.folder.exists(attempt(ids[2], in: place)), "nobody asked for it")
        }
    }

    private func spawn(_ program: String, _ argument: String) throws -> pid_t {
        var pid: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup(argument), nil]
        defer { arguments.forEach { free($0) } }
        try #require(posix_spawn(&pid, program, nil, nil, &arguments, nil) == 0)
        return pid
    }

    @Test func missesNoEndWithoutWakeUps() async throws {
        try await LocalPlace.with { place in
            let runner = try begin(place) { $0.sweepInterval = .milliseconds(50) }
            defer { runner.stop() }
            unlink(place.data + "/notify")
            let held = dispatch(.hold)
            runner.perform([.dispatch(held)])
            try await runner.wait { $0.reports(of: held.taskID).count == 1 }
            guard case .started = runner.reports(of: held.taskID)[0] else {
                Issue.record("\(runner.reports(of: held.taskID))")
                return
            }
            place.marks.openGate(of: held.taskID)
            try await runner.expectSuccess(of: held.taskID, #"["held"]"#)
        }
    }

    @Test func readsLogsForAsLongAsTheyAreKept() async throws {
        try await LocalPlace.with { place in
            place.write(
                "speaks", "echo one\nwhile [ ! -e $MARKS/$RHYTHM_TASK_ID.gate ]; do sleep 0.01; done\necho two >&2")
            let runner = try begin(place)
            defer { runner.stop() }
            let logs = try #require(runner.runner.logs)
            let id = TaskID.random()
            #expect(logs.readLog(of: id, from: 0, limit: 100) == nil)
            #expect(logs.readLog(of: "../attempts", from: 0, limit: 100) == nil)
            runner.perform([.dispatch(Dispatch(taskID: id, workflowID: "w", step: "s", task: "speaks"))])
            let one = LogChunk(offset: 0, bytes: Array("one\n".utf8), end: 4, isComplete: false)
            try await waitUntil("no log", seconds: 60) { logs.readLog(of: id, from: 0, limit: 100) == one }
            place.marks.openGate(of: id)
            _ = try await runner.end(of: id)
            let two = LogChunk(offset: 4, bytes: Array("two\n".utf8), end: 8, isComplete: true)
            #expect(logs.readLog(of: id, from: 4, limit: 100) == two)
            runner.perform([.settle(id)])
            try await waitUntil("not settled", seconds: 60) { !place.folder.exists(attempt(id, in: place)) }
            #expect(logs.readLog(of: id, from: 4, limit: 100) == two)
            #expect(place.folder.names(in: place.data + "/logs/\(id)") == ["log.0000000000000000"])
            runner.runner.purge([id])
            try await waitUntil("not purged", seconds: 60) { logs.readLog(of: id, from: 0, limit: 100) == nil }
        }
    }

    @Test func sharesItsDirectoryWithNobody() async throws {
        try await LocalPlace.with { place in
            let runner = try begin(place)
            defer { runner.stop() }
            #expect(throws: LocalRunnerError.self) { try place.makeRunner() }
        }
    }

    @Test func saysWhatItCannotUse() async throws {
        try await LocalPlace.with { place in
            #expect(throws: LocalRunnerError.self) { try place.makeRunner { $0.tasksDirectory = "/no/such" } }
            #expect(throws: LocalRunnerError.self) { try place.makeRunner { $0.supervisorPath = "/no/such" } }
            #expect(throws: LocalRunnerError.self) { try place.makeRunner { $0.dataDirectory = "/no/such/place" } }
        }
    }

    @Test func failsWhenNoSupervisorComesUp() async throws {
        try await LocalPlace.with { place in
            let runner = try begin(place) {
                $0.supervisorPath = "/bin/false"
                $0.sweepInterval = .milliseconds(50)
            }
            defer { runner.stop() }
            let dispatch = dispatch(.pass)
            runner.perform([.dispatch(dispatch)])
            try await runner.expectFailure(of: dispatch.taskID, "SupervisorLost")
            #expect(place.marks.runs(of: dispatch.taskID) == 0)
        }
    }
}

extension [Observation] {
    fileprivate var allFailed: Bool { allSatisfy { $0.failure != nil } }
}
