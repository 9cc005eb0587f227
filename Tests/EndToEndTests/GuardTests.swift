import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// When the server refuses to start, and what it says.
@Suite(.showsServerLog, .timeLimit(.minutes(2))) struct GuardTests {
    /// Runs rhythmd until it ends by itself.
    ///
    /// - Returns: its exit status and what it wrote.
    private func refusal(
        _ place: TestPlace, _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> (status: Processes.Child.End?, text: String) {
        let output = place.path + "/refusal.log"
        try? FileManager.default.removeItem(atPath: output)
        let child = try ServerProcess.run(place, arguments, environment: environment, output: output)
        let end = try await child.end(within: 30)
        child.signal(SIGKILL)
        return (end, place.text(output) ?? "")
    }

    @Test("one server a data directory")
    func secondServer() async throws {
        try await ServerProcess.with { server in
            let place = server.place
            let second = try await refusal(
                place, ["--data", place.data, "--tasks", place.tasks, "--listen", "127.0.0.1:0"])
            #expect(second.status == .exited(1))
            let pid = try #require(server.child?.pid)
            #expect(second.text.contains("is used by process \(pid)"), "\(second.text)")
            #expect(try await server.client().serverInfo().isServing, "the first one goes on")
            #expect(server.isReady, "and its address still stands in its file")
        }
    }

    @Test("a port that is taken")
    func portInUse() async throws {
        try await ServerProcess.with { server in
            let place = server.place
            let endpoint = try #require(server.endpoint)
            let second = try await refusal(
                place, ["--data", place.path + "/other", "--tasks", place.tasks, "--listen", endpoint])
            #expect(second.status == .exited(1))
            #expect(second.text.contains("cannot listen on \(endpoint)") && second.text.contains("in use"))
        }
    }

    @Test("a database of a newer version, and one that is none")
    func unusableDatabase() async throws {
        try await ServerProcess.with { server in
            let place = server.place
            let file = place.data + "/rhythm.sqlite"
            try await server.stop()
            let tool = try Processes.Child(
                "/usr/bin/python3",
                ["-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 999')", file],
                environment: [:], output: place.log)
            #expect(try await tool.end(within: 30) == .exited(0))
            let arguments = ["--data", place.data, "--tasks", place.tasks, "--listen", "127.0.0.1:0"]
            let newer = try await refusal(place, arguments)
            #expect(newer.status == .exited(1))
            #expect(newer.text.contains("schema version 999") && newer.text.contains(file), "\(newer.text)")

            for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file + suffix) }
            try Data(repeating: 0x2A, count: 65_536).write(to: URL(fileURLWithPath: file))
            let damaged = try await refusal(place, arguments)
            #expect(damaged.status == .exited(1))
            #expect(damaged.text.contains("damaged or no database") && damaged.text.contains(file), "\(damaged.text)")
        }
    }

    @Test("an address that others can reach needs consent")
    func notOnlyLoopback() async throws {
        try await TestPlace.with { place in
            let arguments = ["--data", place.data, "--tasks", place.tasks, "--listen", "0.0.0.0:0"]
            let refused = try await refusal(place, arguments)
            #expect(refused.status == .exited(2))
            #expect(refused.text.contains("0.0.0.0") && refused.text.contains("--insecure"), "\(refused.text)")
            #expect(!place.exists(place.data + "/rhythm.sqlite"), "nothing was touched")
            let server = ServerProcess(place, options: ["--listen", "0.0.0.0:0", "--insecure"])
            try await server.start()
            try await server.stop()
        }
    }

    /// A mistake, and a piece of what has to be said about it.
    struct Mistake: Sendable, CustomTestStringConvertible {
        var arguments: [String] = []
        var environment: [String: String] = [:]
        var file: String?
        let says: String
        var testDescription: String { says }
    }

    @Test(
        "mistakes in the settings are named",
        arguments: [
            Mistake(arguments: ["--listne", "127.0.0.1:0"], says: "--listne"),
            Mistake(arguments: ["--listen", "nonsense"], says: "listen: 'nonsense'"),
            Mistake(arguments: ["--default-concurrency", "0"], says: "default_concurrency: 0"),
            Mistake(arguments: ["--queue", "archive"], says: "--queue: 'archive'"),
            Mistake(arguments: ["--config", "/nowhere.yaml"], says: "/nowhere.yaml"),
            Mistake(environment: ["RHYTHM_DRAIN_GRACE": "soon"], says: "RHYTHM_DRAIN_GRACE: 'soon'"),
            Mistake(environment: ["RHYTHM_LOG_LEVEL": "loud"], says: "log_level: 'loud'"),
            Mistake(file: "listen: [unix:x]\ntaks: /srv\n", says: "config.yaml:2: taks: no such setting"),
            Mistake(file: "queues: {archive: many}\n", says: "queues.archive"),
            Mistake(file: "a: [\n", says: "not YAML"),
        ])
    func mistakes(mistake: Mistake) async throws {
        try await TestPlace.with { place in
            var arguments = mistake.arguments
            if let file = mistake.file {
                try place.write("config.yaml", file)
                arguments += ["--config", place.path + "/config.yaml"]
            }
            let refused = try await refusal(
                place, arguments + ["--data", place.data], environment: mistake.environment)
            #expect(refused.status == .exited(2))
            #expect(refused.text.contains(mistake.says), "\(refused.text)")
        }
    }

    @Test("a flag wins over a variable, a variable over the file")
    func precedence() async throws {
        try await TestPlace.with { place in
            try place.write("config.yaml", "listen: ['unix:\(place.path)/file']\ntasks: \(place.tasks)\n")
            var arguments = ["--data", place.data, "--config", place.path + "/config.yaml"]
            var environment: [String: String] = [:]
            for winner in ["file", "variable", "flag"] {
                if winner == "variable" { environment["RHYTHM_LISTEN"] = "unix:\(place.path)/variable" }
                if winner == "flag" { arguments += ["--listen", "unix:\(place.path)/flag"] }
                let child = try ServerProcess.run(place, arguments, environment: environment)
                try await place.wait("no endpoints") { place.exists(place.data + "/endpoints") }
                #expect(place.text(place.data + "/endpoints") == "unix:\(place.path)/\(winner)\n")
                child.signal(SIGTERM)
                #expect(try await child.end(within: 20) == .exited(0))
            }
        }
    }

    @Test("a unix socket is for its owner only, and a stale one is no obstacle")
    func unixSocket() async throws {
        try await TestPlace.with { place in
            let socket = place.path + "/socket"
            let arguments = ["--data", place.data, "--tasks", place.tasks, "--listen", "unix:\(socket)"]
            for _ in 0..<2 {
                let child = try ServerProcess.run(place, arguments)
                try await place.wait("no socket") { place.exists(place.data + "/endpoints") }
                var status = stat()
                #expect(stat(socket, &status) == 0)
                #expect(status.st_mode & 0o777 == 0o600)
                #expect(try await RhythmClient(endpoint: "unix:\(socket)").serverInfo().isServing)
                child.signal(SIGKILL)
                #expect(try await child.end(within: 20) == .signaled(SIGKILL))
                #expect(place.exists(socket))
                try FileManager.default.removeItem(atPath: place.data + "/endpoints")
            }
            try FileManager.default.removeItem(atPath: socket)
            try place.write("socket", "precious")
            let refused = try await refusal(place, arguments)
            #expect(refused.status == .exited(1))
            #expect(refused.text.contains("exists and is not a socket"), "\(refused.text)")
            #expect(place.text(socket) == "precious")
        }
    }
}
