import Foundation
import Glibc
import Testing

/// Programs as people run them.
enum CLIProgram {
    struct Outcome: Sendable {
        var status: Int32
        var out: String
        var err: String
    }

    /// Beside the program of the tests.
    static func path(_ name: String) -> String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(filePath: own).deletingLastPathComponent().appending(path: name).path
    }

    /// Runs `rhythm` to its end.
    ///
    /// - Parameter environment: beside that of the tests, of which nothing of ours is left.
    static func rhythm(
        _ arguments: [String], server: String? = nil, input: String = "", environment: [String: String] = [:]
    ) async throws -> Outcome {
        let process = Process()
        process.executableURL = URL(filePath: path("rhythm"))
        process.arguments = arguments
        process.environment = Self.environment(server: server).merging(environment) { $1 }
        let input = Data(input.utf8)
        let pipes = (stdin: Pipe(), stdout: Pipe(), stderr: Pipe())
        process.standardInput = pipes.stdin
        process.standardOutput = pipes.stdout
        process.standardError = pipes.stderr
        try process.run()
        try pipes.stdin.fileHandleForWriting.write(contentsOf: input)
        try pipes.stdin.fileHandleForWriting.close()
        async let out = text(of: pipes.stdout)
        async let err = text(of: pipes.stderr)
        let (stdout, stderr) = await (out, err)
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, out: stdout, err: stderr)
    }

    static func environment(server: String?) -> [String: String] {
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("RHYTHM_") }
        environment["RHYTHM_SERVER"] = server
        return environment
    }

    private static func text(of pipe: Pipe) async -> String {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let data = (try? pipe.fileHandleForReading.readToEnd()) ?? Data()
                continuation.resume(returning: String(decoding: data, as: UTF8.self))
            }
        }
    }
}

/// A real server in a folder of its own.
final class CLIServer: Sendable {
    let folder: URL
    let address: String
    private let process = LockedProcess()

    /// Starts one, lends it and ends it.
    static func with(_ body: (CLIServer) async throws -> Void) async throws {
        let server = try CLIServer()
        do {
            try await server.start()
            try await body(server)
        } catch {
            await server.end()
            throw error
        }
        await server.end()
    }

    private init() throws {
        folder = URL(filePath: "/tmp").appending(path: "rhythm-cli-" + UUID().uuidString.prefix(8))
        address = "unix:" + folder.appending(path: "s").path
        try FileManager.default.createDirectory(
            at: folder.appending(path: "tasks"), withIntermediateDirectories: true)
    }

    /// Makes a task of a shell script.
    func task(_ name: String, _ script: String) throws {
        let file = folder.appending(path: "tasks/\(name)")
        try Data(("#!/bin/bash\n" + script + "\n").utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
    }

    func file(_ name: String, _ text: String) throws -> String {
        let file = folder.appending(path: name)
        try Data(text.utf8).write(to: file)
        return file.path
    }

    /// Starts the server, or starts it again.
    func start() async throws {
        let folder = folder
        let address = address
        try process.start { process in
            process.executableURL = URL(filePath: CLIProgram.path("rhythmd"))
            process.arguments = [
                "--listen", address, "--data", folder.appending(path: "data").path, "--tasks",
                folder.appending(path: "tasks").path, "--task-grace", "1",
            ]
            process.environment = CLIProgram.environment(server: nil)
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
        }
        let end = ContinuousClock.now + .seconds(20)
        while try await rhythm("ping", "-n", "1").status != 0 {
            try #require(ContinuousClock.now < end, "the server does not answer")
        }
    }

    /// As a power cut would.
    func kill() { process.end(SIGKILL) }

    func rhythm(_ arguments: String...) async throws -> CLIProgram.Outcome {
        try await CLIProgram.rhythm(arguments, server: address)
    }

    /// The id of the only workflow.
    func onlyID() async throws -> String {
        let list = try await rhythm("list", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(list.out.utf8)) as? [String: Any]
        let rows = try #require(object?["workflows"] as? [[String: Any]])
        try #require(rows.count == 1)
        return try #require(rows[0]["id"] as? String)
    }

    private func end() async {
        // What still runs is stopped, so that no supervisor is left.
        _ = try? await rhythm("list", "--status", "ACTIVE", "--json")
        process.end(SIGTERM)
        try? FileManager.default.removeItem(at: folder)
    }
}

/// The process of a server, which may be replaced.
private final class LockedProcess: @unchecked Sendable {
    // SAFETY: `process` is only touched under the lock.
    private let lock = NSLock()
    private var process: Process?

    func start(_ configure: (Process) -> Void) throws {
        try lock.withLock {
            let new = Process()
            configure(new)
            try new.run()
            process = new
        }
    }

    func end(_ signal: Int32) {
        lock.withLock {
            guard let process, process.isRunning else { return }
            Glibc.kill(process.processIdentifier, signal)
            process.waitUntilExit()
        }
    }
}
