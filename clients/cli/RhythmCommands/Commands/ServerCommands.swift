import ArgumentParser
import RhythmClient
import RhythmCore

struct PingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ping",
        abstract: "Measure how fast the server answers.",
        discussion: """
            EXAMPLE:
              rhythm ping -n 10
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("How many pings.", valueName: "n"))
    var number = 4

    @Option(help: ArgumentHelp("The time between two.", valueName: "duration"))
    var interval: DurationArgument = DurationArgument(.milliseconds(200))

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard (1...100_000).contains(number) else { throw ValidationError("-n is between 1 and 100000.") }
    }

    func run() async throws {
        let client = try server.client()
        let terminal = Terminal.standard
        // The first one makes the connection and is not counted.
        _ = try await client.ping()
        var times: [Double] = []
        for index in 0..<number {
            if index > 0 { try await Task.sleep(for: interval.duration) }
            let time = Self.milliseconds(try await client.ping())
            times.append(time)
            if !server.json { terminal.line("\(client.endpoint): \(Self.text(time)) ms") }
        }
        let least = times.min() ?? 0
        let most = times.max() ?? 0
        let mean = times.reduce(0, +) / Double(max(1, times.count))
        if server.json {
            return terminal.line(
                JSONValue.object([
                    .init("server", .string(client.endpoint)), .init("pings", .integer(times.count)),
                    .init("min_ms", .float(least)), .init("mean_ms", .float(mean)), .init("max_ms", .float(most)),
                    .init("times_ms", .array(times.map { .float($0) })),
                ]).prettyText)
        }
        terminal.line(
            "\(times.count) pings: least \(Self.text(least)) ms, mean \(Self.text(mean)) ms, most \(Self.text(most)) ms"
        )
    }

    private static func milliseconds(_ duration: Duration) -> Double { duration.inSeconds * 1000 }

    private static func text(_ milliseconds: Double) -> String {
        let thousandths = Int64((milliseconds * 1000).rounded())
        let rest = "\(thousandths % 1000)"
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }
}

struct InfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Show how the server is.",
        discussion: """
            EXAMPLE:
              rhythm info --server unix:/run/rhythm/rhythm.sock
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let info = try await client.serverInfo()
        let terminal = Terminal.standard
        if server.json { return terminal.line(json(info, client.endpoint).prettyText) }
        let health = info.isServing ? "serving" : "degraded: \(info.healthDetail.printable)"
        let rows: [(String, String)] = [
            ("Server", "\(client.endpoint), version \(info.version.printable)"),
            ("Health", health),
            ("Up for", Phrases.duration(info.uptime)),
            ("Active", "\(info.activeWorkflows) workflows"),
            ("Clients", "\(info.connections) connections, \(info.calls) calls, \(info.watches) watches"),
            ("Runners", info.runners.isEmpty ? "none" : info.runners.joined(separator: ", ").printable),
            ("Refused", "\(info.authenticationFailures) attempts with wrong credentials"),
            ("Store", "\(info.serverID.printable), start \(info.epoch)"),
        ]
        for row in rows { terminal.line("\(row.0.padded(to: 8)) \(row.1)") }
        if !info.isServing { throw CommandFailure(.other) }
    }

    private func json(_ info: ServerDescription, _ endpoint: String) -> JSONValue {
        .object([
            .init("server", .string(endpoint)), .init("version", .string(info.version)),
            .init("health", .string(info.isServing ? "serving" : "degraded")),
            .init("health_detail", .string(info.healthDetail)),
            .init("uptime_sec", .plain(info.uptime.inSeconds)),
            .init("active_workflows", .integer(info.activeWorkflows)),
            .init("connections", .integer(info.connections)), .init("calls", .integer(info.calls)),
            .init("watches", .integer(info.watches)),
            .init("runners", .array(info.runners.map { .string($0) })),
            .init("server_id", .string(info.serverID)), .init("epoch", .integer(info.epoch)),
            .init("authentication_failures", .integer(info.authenticationFailures)),
        ])
    }
}
