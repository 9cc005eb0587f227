import ArgumentParser
import Foundation
import RhythmCore
import RhythmWire

/// Measures calls over a real socket.
struct RPCCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rpc",
        abstract: "Measures unary calls: one thread, raw frames, on 1, 8 and 64 connections.",
        discussion: """
            The call is GetStatus of an active workflow of three steps. Without --server a server is started in a \
            process of its own. Exits with 1 if a bar does not hold.
            """)

    @Flag(help: "Print the figures as JSON.")
    var json = false

    @Flag(help: "A moment of each, once: shows that it works, measures nothing.")
    var quick = false

    @Option(help: "How often each load runs.")
    var runs = 3

    @Option(help: "Seconds for each load.")
    var seconds = 2.0

    @Option(help: "Call this server instead (HOST:PORT or unix:PATH), with GetServerInfo.")
    var server: String?

    @Option(help: "With --server: ask for the status of this workflow instead.")
    var workflow: String?

    @Option(help: "The process of that server, for its processor time.")
    var serverPid: Int32?

    private static let loads = [1, 8, 64].flatMap { connections in [1, 16, 64, 256].map { (connections, $0) } }

    func run() async throws {
        let folder = try ScratchFolder(in: FileManager.default.temporaryDirectory.path)
        defer { folder.remove() }
        var measured: [Measurements] = []
        if let server {
            guard let endpoint = Endpoint(server) else { throw ValidationError("'\(server)' is no address") }
            let request = workflow.map { Request.getStatus(GetStatus(workflowID: WorkflowID($0))) }
            measured = try measure(endpoint, request ?? .getServerInfo, serverPid)
        } else {
            let server = try ServerProcess(folder: folder.path)
            defer { server.stop() }
            measured = try measure(
                server.endpoint, .getStatus(GetStatus(workflowID: server.workflow)), server.processID)
        }
        let table = FigureTable(figures: Self.figures, measured: .medians(of: measured))
        print(json ? try table.json : table.text)
        if !quick, !table.passes { throw ExitCode(1) }
    }

    private func measure(_ endpoint: Endpoint, _ request: Request, _ process: pid_t?) throws -> [Measurements] {
        try (0..<(quick ? 1 : runs)).map { _ in
            var result = Measurements()
            for (connections, inFlight) in Self.loads {
                let load = try CallLoad.run(
                    endpoint, request: request, connections: connections, inFlight: inFlight,
                    seconds: quick ? 0.05 : seconds, server: process)
                let key = Self.key(connections, inFlight)
                result["\(key)_per_s"] = load.callsPerSecond
                result["\(key)_p50_us"] = load.latencies.microseconds(atPercentile: 50)
                result["\(key)_p99_us"] = load.latencies.microseconds(atPercentile: 99)
                result["\(key)_max_us"] = load.latencies.microseconds(atPercentile: 100)
                result["\(key)_cpu_us"] = load.serverMicrosecondsPerCall
            }
            return result
        }
    }

    private static func key(_ connections: Int, _ inFlight: Int) -> String { "unary_\(connections)x\(inFlight)" }

    private static let figures = loads.flatMap { connections, inFlight in
        let key = key(connections, inFlight)
        let hasBar = (connections, inFlight) == (1, 64) || (connections, inFlight) == (8, 16)
        return [
            Figure(key + "_per_s", "unary, connections x in flight: \(connections) x \(inFlight)", "1/s"),
            Figure(key + "_p50_us", "  answer p50", "us"),
            Figure(key + "_p99_us", "  answer p99", "us"),
            Figure(key + "_max_us", "  answer max", "us"),
            Figure(key + "_cpu_us", "  server's processor time a call", "us", hasBar ? .atMost(3) : nil),
        ]
    }
}
