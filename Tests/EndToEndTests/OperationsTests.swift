import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// What whoever runs the server sees of it, and what a stop does to those who watch.
@Suite(.showsServerLog, .timeLimit(.minutes(3))) struct OperationsTests {
    @Test("metrics over HTTP, JSON logs, and the same numbers from the command")
    func metricsAndLogs() async throws {
        let options = ["--metrics", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"]
        try await ServerProcess.with(options: options) { server in
            let client = try server.client()
            _ = try? await client.status("no-such-workflow")
            let said = try server.logLine { $0["message"]?.stringValue == "metrics can be read" }
            let url = try #require(said?["url"]?.stringValue.flatMap { URL(string: $0) })
            #expect(url.host == "127.0.0.1")
            let (data, response) = try await URLSession.shared.data(from: url)
            let http = try #require(response as? HTTPURLResponse)
            #expect(http.statusCode == 200)
            #expect(http.value(forHTTPHeaderField: "Content-Type")?.hasPrefix("text/plain; version=0.0.4") == true)
            let text = String(decoding: data, as: UTF8.self)
            #expect(text.contains("rhythm_calls_ended_total{method=\"get_status\",code=\"NOT_FOUND\"} 1\n"))
            #expect(text.contains("\nrhythm_connections 1\n"))
            let (_, missing) = try await URLSession.shared.data(from: url.deletingLastPathComponent())
            #expect((missing as? HTTPURLResponse)?.statusCode == 404)

            let line = try server.logLine { $0["message"]?.stringValue == "call ended" }
            #expect(line?["method"]?.stringValue == "get_status" && line?["code"]?.stringValue == "NOT_FOUND")
            #expect(line?["call_id"]?.intValue == 1 && line?["duration_us"]?.intValue != nil)
            #expect(line?["peer"]?.stringValue?.hasPrefix("127.0.0.1:") == true)

            let ping = try await CLIProgram.rhythm(
                ["ping", "-n", "3", "--interval", "1ms", "--stats"], server: server.endpoint)
            #expect(ping.status == 0, "\(ping)")
            for part in ["3 pings: p50 ", "p99 ", "max ", "get_status", "connections_accepted_total"] {
                #expect(ping.out.contains(part), "\(part) in \(ping.out)")
            }
            let json = try await CLIProgram.rhythm(["ping", "-n", "1", "--stats", "--json"], server: server.endpoint)
            let value = try JSON(parsing: json.out).value
            #expect(value["stats"]?["metrics"]?["serving"]?.intValue == 1 && value["p99_ms"] != nil)

            let table = try await CLIProgram.rhythm(["server", "connections"], server: server.endpoint)
            #expect(table.status == 0 && table.out.hasPrefix("PEER "), "\(table)")
            #expect(table.out.split(separator: "\n").count == 3, "this test, the command: \(table.out)")
            #expect(table.out.contains("anyone"))
            try await server.stop()
        }
    }

    @Test("a metrics port that is taken is told at the start")
    func metricsPortTaken() async throws {
        try await ServerProcess.with { server in
            let place = server.place
            let taken = try #require(server.endpoint)
            let second = try ServerProcess.run(
                place, ["--data", place.path + "/second", "--listen", "127.0.0.1:0", "--metrics", taken],
                output: place.path + "/second.log")
            #expect(try await second.end(within: 20) == .exited(1))
            #expect(place.text(place.path + "/second.log")?.contains("metrics: cannot listen on \(taken)") == true)
        }
    }

    /// The MongoDB driver begins before the program does, and says so when a killed process left its counters behind.
    @Test("the driver's own words do not get among the log's lines")
    func driverIsSilent() async throws {
        try await ServerProcess.with { server in
            let log = server.place.path + "/silent.log"
            let script = ": >/dev/shm/mongoc-$$; exec \"$0\" --version"
            let child = try Processes.Child(
                "/bin/sh", ["-c", script, ServerProcess.program], environment: ["PATH": "/usr/bin:/bin"], output: log)
            #expect(try await child.end(within: 20) == .exited(0))
            let text = try #require(server.place.text(log))
            #expect(text.split(separator: "\n").count == 1 && !text.contains("mongoc"), "\(text)")
        }
    }

    /// Ten clients with a hundred watches each, of workflows that are in the middle of their steps.
    @Test("SIGTERM under a thousand live watches: within the grace, and no version is lost or comes twice")
    func stopUnderAThousandWatches() async throws {
        try await ServerProcess.with(options: ["--drain-grace", "5", "--default-concurrency", "12"]) { server in
            try server.place.task("first", "while [ ! -e PLACE/first ]; do sleep 0.02; done")
            try server.place.task("short", "sleep 0.02")
            try server.place.task("last", "while [ ! -e PLACE/last ]; do sleep 0.02; done")
            let tasks = ["first"] + (0..<8).map { _ in "short" } + ["last"]
            let steps = tasks.enumerated().map { StepSpec(name: "s\($0.offset)", task: $0.element) }
            let starter = try server.client()
            var ids: [WorkflowID] = []
            for number in 0..<10 {
                let spec = WorkflowSpec(name: "w\(number)", appID: "tests", steps: steps)
                ids.append(try await starter.start(spec).workflow.id)
            }
            let clients = try (0..<10).map { _ in try server.client() }
            let watches = clients.flatMap { client in
                ids.flatMap { id in (0..<10).map { _ in Task { try await Self.versions(of: id, client) } } }
            }
            try await server.waitForWatches(1000, of: starter)
            try server.place.write("first")
            _ = try await starter.wait(for: ids[0]) { $0.steps[1].status == .success }
            #expect(try await server.stop() < .seconds(6))
            try await server.start()
            try server.place.write("last")
            var last: [WorkflowID: Int64] = [:]
            for id in ids {
                let workflow = try await starter.waitUntilDone(id)
                #expect(workflow.status == .success)
                last[id] = workflow.version
            }
            var interrupted = 0
            for (index, watch) in watches.enumerated() {
                let id = ids[index / 10 % ids.count]
                let (versions, interruptions) = try await watch.value
                #expect(versions == Array(1...(last[id] ?? 1)), "\(id)")
                interrupted += interruptions > 0 ? 1 : 0
            }
            #expect(interrupted == 1000, "all of them were live when the server stopped")
        }
    }

    /// Every version that a watch is told, in order, and how often it was interrupted.
    private static func versions(
        of id: WorkflowID, _ client: RhythmClient
    ) async throws -> (versions: [Int64], interruptions: Int) {
        var versions: [Int64] = []
        var interruptions = 0
        for try await update in client.watch([id], after: [id: 0], options: .init(untilDone: true)) {
            if case .transition(let event) = update { versions.append(event.version) }
            if case .interrupted = update { interruptions += 1 }
        }
        return (versions, interruptions)
    }
}

extension ServerProcess {
    /// The first line of the log, each of which is a JSON object, that is so.
    fileprivate func logLine(_ isWanted: (JSONValue) -> Bool) throws -> JSONValue? {
        let lines = try logText.split(separator: "\n").map { try JSON(parsing: String($0)).value }
        return lines.first(where: isWanted)
    }

    /// Waits until so many watches are on.
    fileprivate func waitForWatches(_ count: UInt64, of client: RhythmClient) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await client.serverStatistics().metrics["watches"] != count {
            guard ContinuousClock.now < deadline else { throw NotAsWanted() }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
