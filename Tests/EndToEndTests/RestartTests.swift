import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// What a crash, a kill or a stop of the server must not change.
@Suite(.showsServerLog, .timeLimit(.minutes(2))) struct RestartTests {
    @Test("a running step goes on through kill -9 as the same attempt and process")
    func runningStepGoesOn() async throws {
        try await ServerProcess.with { server in
            let (client, id, begun) = try await server.beginGated()
            try await server.killNow()
            #expect(Processes.isAlive(begun.pid))
            try await server.start()
            let found = try await client.wait(for: id) { $0.steps[0].status == .started }
            #expect(found.steps[0].current?.id.rawValue == begun.taskID)
            try server.place.write("gate")
            try await server.expectSuccess(of: id, client, begun)
        }
    }

    @Test("a step that ended while no server was there is accepted by the next one")
    func endedWhileAway() async throws {
        try await ServerProcess.with { server in
            let (client, id, begun) = try await server.beginGated()
            try await server.killNow()
            try server.place.write("gate")
            try await server.place.wait("the attempt goes on") {
                Processes.belonging(to: server.place.path).isEmpty
            }
            let away = Timestamp.wallClockNow
            try await server.start()
            let workflow = try await server.expectSuccess(of: id, client, begun)
            let ended = try #require(workflow.steps[0].current?.endedAt)
            #expect(ended < away, "the time of the end is that of the task's end")
        }
    }

    @Test("SIGTERM stops the server and nothing else")
    func orderlyRestart() async throws {
        try await ServerProcess.with { server in
            let (client, id, begun) = try await server.beginGated()
            #expect(try await server.stop() < .seconds(4))
            #expect(!server.isReady && server.logText.contains("stopped"))
            #expect(Processes.isAlive(begun.pid))
            try await server.start()
            try server.place.write("gate")
            try await server.expectSuccess(of: id, client, begun)
        }
    }

    @Test("open watches do not delay a stop, and go on after the restart where they were")
    func stopWithWatches() async throws {
        try await ServerProcess.with(options: ["--drain-grace", "8"]) { server in
            let (client, id, _) = try await server.beginGated()
            let watches = (0..<5).map { _ in
                Task {
                    var versions: [Int64] = []
                    var interruptions = 0
                    for try await update in client.watch([id], after: [id: 0], options: .init(untilDone: true)) {
                        if case .transition(let event) = update { versions.append(event.version) }
                        if case .interrupted = update { interruptions += 1 }
                    }
                    return (versions, interruptions)
                }
            }
            let idle = try server.client()
            // A watch that is not open yet is not interrupted either.
            let deadline = ContinuousClock.now + .seconds(20)
            while try await idle.serverInfo().watches < 5, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(5))
            }
            let info = try await idle.serverInfo()
            #expect(info.connections == 2 && info.watches == 5)
            _ = try await client.wait(for: id) { $0.steps[0].status == .started }
            #expect(try await server.stop() < .seconds(4))
            try await server.start()
            try server.place.write("gate")
            let workflow = try await client.waitUntilDone(id)
            for watch in watches {
                let (versions, interruptions) = try await watch.value
                #expect(versions == Array(1...workflow.version))
                #expect(interruptions >= 1)
            }
        }
    }

    @Test("a supervisor that died while no server was there", arguments: [1, 2])
    func supervisorLost(attempts: Int) async throws {
        try await ServerProcess.with { server in
            let retry = RetryPolicy(maxAttempts: attempts, backoff: .milliseconds(50))
            let (client, id, begun) = try await server.beginGated(retry: retry)
            try await server.killNow()
            let supervisor = try #require(
                Processes.belonging(to: server.place.path).first {
                    Processes.commandLine(of: $0).hasPrefix("rhythm-supervisor")
                })
            kill(supervisor, SIGKILL)
            try await server.place.wait("the supervisor lives") { !Processes.isAlive(supervisor) }
            #expect(!Processes.working(in: server.place.tasks).isEmpty, "what the task has begun does not notice")
            try await server.start()
            if attempts == 1 {
                let workflow = try await client.waitUntilDone(id)
                #expect(workflow.status == .failure)
                #expect(workflow.steps[0].current?.failure?.type == "SupervisorLost")
                #expect(Processes.working(in: server.place.tasks).isEmpty, "nothing of it is left")
            } else {
                try server.place.write("gate")
                let workflow = try await client.waitUntilDone(id)
                #expect(workflow.status == .success)
                #expect(workflow.steps[0].attempts.map(\.status) == [.failure, .success])
            }
            #expect(!Processes.isAlive(begun.pid))
            #expect(!server.place.exists(server.place.path + "/overlap"), "both attempts ran at once")
        }
    }

    @Test("a pause or a cancel that was acknowledged holds", arguments: [Receipt.Command.pause, .cancel])
    func commandBeforeKill(command: Receipt.Command) async throws {
        try await ServerProcess.with(options: ["--task-grace", "1"]) { server in
            let (client, id, begun) = try await server.beginGated()
            let receipt =
                switch command {
                case .pause: try await client.pause(id, requestID: "hold").receipt
                default: try await client.cancel(id, requestID: "hold").receipt
                }
            try await server.killNow()
            #expect(receipt.accepted && receipt.revokedStep?.taskID.rawValue == begun.taskID)
            try await server.start()
            let held = try await client.wait(for: id) { $0.isQuiesced }
            #expect(held.status == .revoked && held.isPaused == (command == .pause))
            #expect(!Processes.isAlive(begun.pid), "its process is gone")
            #expect(Processes.working(in: server.place.tasks).isEmpty)
            // The same wish again is the same answer.
            let again =
                switch command {
                case .pause: try await client.pause(id, requestID: "hold")
                default: try await client.cancel(id, requestID: "hold")
                }
            #expect(again.replayed && again.receipt == receipt)
            let resumed = try await client.resume(id).receipt
            #expect(resumed.accepted == (command == .pause))
            try server.place.write("gate")
            let workflow = try await client.waitUntilDone(id)
            #expect(workflow.status == (command == .pause ? .success : .revoked))
            #expect(workflow.steps[0].attempts.count == (command == .pause ? 2 : 1))
            #expect(server.place.journal.begins.count == (command == .pause ? 3 : 1))
        }
    }

    @Test("a start that was acknowledged is there, and repeating it starts nothing")
    func startBeforeKill() async throws {
        try await ServerProcess.with { server in
            try server.writeGatedTasks()
            try server.place.write("gate")
            let client = try server.client()
            let spec = server.gatedSpec()
            let started = try await client.start(spec, requestID: "once")
            try await server.killNow()
            try await server.start()
            let again = try await client.start(spec, requestID: "once")
            #expect(again.replayed && again.workflow.id == started.workflow.id)
            #expect(try await client.waitUntilDone(started.workflow.id).status == .success)
            #expect(try await client.list().rows.map(\.id) == [started.workflow.id])
            #expect(server.place.journal.begins.count == 2)
        }
    }

    @Test("what was deleted stays deleted, and a delete that waits is carried out")
    func deleteBeforeKill() async throws {
        try await ServerProcess.with(options: ["--task-grace", "1"]) { server in
            let (client, running, begun) = try await server.beginGated()
            try server.place.task("pass", "exit 0")
            let spec = WorkflowSpec(name: "short", appID: "e2e", steps: [StepSpec(name: "only", task: "pass")])
            let short = try await client.start(spec).workflow.id
            _ = try await client.waitUntilDone(short)
            #expect(try await client.delete(short) == .deleted)
            #expect(try await client.delete(running, cancelFirst: true) == .pending)
            try await server.killNow()
            try await server.start()
            await #expect(throws: RhythmError.self) { try await client.status(short) }
            try await server.place.wait("the task goes on") { !Processes.isAlive(begun.pid) }
            let deadline = ContinuousClock.now + .seconds(20)
            while try await !client.list().rows.isEmpty, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(try await client.list().rows.isEmpty)
        }
    }
}

extension ServerProcess {
    /// `held` waits for the file `gate`; `after` returns at once. `held` notes in the file `overlap` when another one
    /// still runs.
    func writeGatedTasks() throws {
        try place.task(
            "held",
            """
            touch JOURNAL
            while read -r _ _ _ _ pid; do
                case $(cat "/proc/$pid/stat" 2>/dev/null) in '' | *') Z '*) ;; *) echo "$pid" >>PLACE/overlap ;; esac
            done <JOURNAL
            \(Journal.note("begin"))
            sleep 1000 &
            while [ ! -e PLACE/gate ]; do sleep 0.02; done
            echo '{"result":["held"]}' >&3
            \(Journal.note("end"))
            """)
        try place.task("after", Journal.note("begin") + "\n" + Journal.note("end"))
    }

    func gatedSpec(retry: RetryPolicy? = nil) -> WorkflowSpec {
        WorkflowSpec(
            name: "gated", appID: "e2e",
            steps: [StepSpec(name: "first", task: "held", retry: retry), StepSpec(name: "second", task: "after")])
    }

    /// Starts a workflow whose first step waits for the file `gate`, and waits until that step runs.
    func beginGated(retry: RetryPolicy? = nil) async throws -> (RhythmClient, WorkflowID, Journal.Line) {
        try writeGatedTasks()
        let client = try client()
        let id = try await client.start(gatedSpec(retry: retry)).workflow.id
        try await place.wait("the step did not begin") { !place.journal.begins.isEmpty }
        return (client, id, place.journal.begins[0])
    }

    /// The gated workflow ends with one attempt a step, the first of which is the one that was seen to begin.
    @discardableResult
    func expectSuccess(
        of id: WorkflowID, _ client: RhythmClient, _ begun: Journal.Line,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Workflow {
        let workflow = try await client.waitUntilDone(id)
        #expect(workflow.status == .success, sourceLocation: sourceLocation)
        #expect(workflow.steps.allSatisfy { $0.attempts.count == 1 }, sourceLocation: sourceLocation)
        #expect(workflow.steps[0].current?.id.rawValue == begun.taskID, sourceLocation: sourceLocation)
        #expect(workflow.steps[1].current?.result?.text == #"["held"]"#, sourceLocation: sourceLocation)
        #expect(place.journal.begins.count == 2, sourceLocation: sourceLocation)
        #expect(place.journal.contradictions() == [], sourceLocation: sourceLocation)
        return workflow
    }
}

extension Timestamp {
    static var wallClockNow: Timestamp {
        Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    }
}
