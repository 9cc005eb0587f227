import ArgumentParser
import RhythmClient
import RhythmCore

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
        let health = info.isServing ? "serving" : "\(Self.word(info)): \(info.healthDetail.printable)"
        let rows: [(String, String)] = [
            ("Server", "\(client.endpoint), version \(info.version.printable)"),
            ("Health", health),
            ("Up for", Phrases.duration(info.uptime)),
            ("Active", "\(info.activeWorkflows) workflows" + (info.isDraining ? ", leaves them to others" : "")),
            ("Clients", "\(info.connections) connections, \(info.calls) calls, \(info.watches) watches"),
            ("Runners", info.runners.isEmpty ? "none" : info.runners.joined(separator: ", ").printable),
            ("Refused", "\(info.authenticationFailures) attempts with wrong credentials"),
            ("Id", "\(info.serverID.printable), start \(info.epoch)"),
            ("Store", info.storeID.isEmpty ? "does not tell its name" : info.storeID.printable),
        ]
        for row in rows { terminal.line("\(row.0.padded(to: 8)) \(row.1)") }
        if !info.isServing { throw CommandFailure(.other) }
    }

    private static func word(_ info: ServerDescription) -> String {
        if info.isServing { return "serving" }
        return info.isFollowing ? "degraded" : "not serving"
    }

    private func json(_ info: ServerDescription, _ endpoint: String) -> JSONValue {
        .object([
            .init("server", .string(endpoint)), .init("version", .string(info.version)),
            .init("health", .string(Self.word(info))),
            .init("health_detail", .string(info.healthDetail)),
            .init("uptime_sec", .plain(info.uptime.inSeconds)),
            .init("active_workflows", .integer(info.activeWorkflows)),
            .init("connections", .integer(info.connections)), .init("calls", .integer(info.calls)),
            .init("watches", .integer(info.watches)),
            .init("runners", .array(info.runners.map { .string($0) })),
            .init("server_id", .string(info.serverID)), .init("store_id", .string(info.storeID)),
            .init("draining", .bool(info.isDraining)), .init("epoch", .integer(info.epoch)),
            .init("authentication_failures", .integer(info.authenticationFailures)),
        ])
    }
}
