import ArgumentParser
import RhythmClient
import RhythmCore

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Look after a server.",
        discussion: """
            EXAMPLE:
              rhythm server connections
            """,
        subcommands: [ServerConnectionsCommand.self])
}

struct ServerConnectionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections",
        abstract: "Show who is connected.",
        discussion: """
            EXAMPLE:
              rhythm server connections
              rhythm server connections --json

            For tokens with the role admin. CALLS and WATCHES are those that are open; the
            watches are among the calls.
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let connections = try await server.client().connections()
        let terminal = Terminal.standard
        if server.json {
            return terminal.line(JSONValue.object([.init("connections", .array(connections.map(\.json)))]).prettyText)
        }
        terminal.out(ServerViews.table(connections, style: terminal.style))
    }
}
