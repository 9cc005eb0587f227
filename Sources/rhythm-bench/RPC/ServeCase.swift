import Foundation
import Logging
import RhythmCore
import RhythmEngine
import RhythmServer
import RhythmWire

/// A server over a real engine, for another process to call: it prints where it listens and serves until its standard
/// input ends.
enum ServeCase {
    static func run(in folder: String) async throws {
        let runner = StartsCase.heldRunner(queues: [Ticker.task: 1000])
        Ticker.register(with: runner)
        let engine = try await EngineBed.start(in: folder, runner: runner)
        var configuration = ServerConfiguration()
        // All clients are one process here.
        configuration.maxConnectionsPerAddress = configuration.maxConnections
        configuration.maxCalls = 20_000
        configuration.endpoints = [.tcp(host: "127.0.0.1", port: 0)]
        configuration.serverID = "bench"
        var logger = Logger(label: "rhythm.bench") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        let server = Server(configuration: configuration, logger: logger)
        let endpoints = try await server.start(engine)
        guard
            case .started(let workflow, _) = try await engine.submit(
                .start(EngineBed.spec(steps: 3, task: "held"), requestID: ""))
        else { throw BenchError("no workflow") }
        // From then on its record stays as it is, and so does the size of every answer.
        let deadline = ContinuousClock.now + .seconds(10)
        while engine.active(workflow.id)?.status != .started {
            guard ContinuousClock.now < deadline else { throw BenchError("the workflow does not begin") }
            try await Task.sleep(for: .milliseconds(1))
        }
        FileHandle.standardOutput.write(Data("\(endpoints[0]) \(workflow.id)\n".utf8))
        while !FileHandle.standardInput.availableData.isEmpty {}
        await server.drain(grace: .zero)
        await engine.stop()
    }
}
