import ArgumentParser
import RhythmClient
import RhythmCore

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Look after a server.",
        discussion: """
            EXAMPLE:
              rhythm server list
              rhythm server drain
            """,
        subcommands: [ServerListCommand.self, ServerDrainCommand.self, ServerConnectionsCommand.self])
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

struct ServerListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show the servers that share the store.",
        discussion: """
            EXAMPLE:
              rhythm server list
              rhythm server list --json

            SILENT tells for how long a server has not proved that it lives; others take
            over what it follows once that is as long as its lease. Below the table stand
            settings in which servers differ and should not.
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let servers = try await server.client().servers()
        let terminal = Terminal.standard
        if server.json {
            return terminal.line(JSONValue.object([.init("servers", .array(servers.map(\.json)))]).prettyText)
        }
        terminal.out(ServerListView(servers, now: Terminal.now(), style: terminal.style).render())
    }
}

struct ServerDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Have a server hand its workflows to the others.",
        discussion: """
            EXAMPLE:
              rhythm server drain --server 10.0.0.1:7744
              rhythm server drain --server 10.0.0.1:7744 --undo

            It goes on to answer, and waits until others follow what it followed; then it can
            be stopped without anything standing still. It drains until --undo, or until it is
            started again. For tokens with the role admin.
            """)

    @Flag(help: "Let it work again.")
    var undo = false

    @Flag(help: "Do not wait until others have taken over.")
    var noWait = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        guard client.endpoints.count == 1 else {
            throw CommandFailure(
                .usage, "\(client.endpoints.count) servers are named, and one is to be drained",
                advice: "Name it with --server.")
        }
        let start = ContinuousClock.now
        var state = try await client.drain(undo: undo)
        let terminal = Terminal.standard
        if state.isDraining, state.followed > 0, !noWait, !server.json {
            terminal.line("\(client.endpoint) drains; it still follows \(state.followed)")
        }
        while state.isDraining, state.followed > 0, !noWait {
            guard start.duration(to: .now) < server.timeout.duration else {
                throw CommandFailure(
                    .other, "\(client.endpoint) still follows \(state.followed)",
                    advice: "It goes on to drain; 'rhythm server list' shows who could take over.")
            }
            try await Task.sleep(for: .milliseconds(200))
            // To ask for it again would undo that somebody else has let the server work again.
            let info = try await client.serverInfo()
            state = (info.isDraining, Int(clamping: info.followedWorkflows))
        }
        if !undo, !state.isDraining {
            throw CommandFailure(
                .other, "\(client.endpoint) was let work again by somebody else while it drained",
                advice: "'rhythm server list' shows how the servers are.")
        }
        if server.json {
            return terminal.line(
                JSONValue.object([
                    .init("draining", .bool(state.isDraining)), .init("follows", .integer(state.followed)),
                ]).prettyText)
        }
        guard state.isDraining else { return terminal.line("\(client.endpoint) works") }
        terminal.line(
            state.followed == 0
                ? "\(client.endpoint) follows nothing any more; it can be stopped"
                : "\(client.endpoint) drains; it still follows \(state.followed)")
    }
}
