package import RhythmCore

/// The servers of a store, as people look at them.
package struct ServerListView: Sendable {
    private let servers: [ServerEntry]
    private let now: Timestamp
    private let style: Style

    package init(_ servers: [ServerEntry], now: Timestamp, style: Style) {
        self.servers = servers
        self.now = now
        self.style = style
    }

    /// A table, and below it the settings that differ.
    package func render() -> String {
        var table = Table(["SERVER", "ADDRESS", "VERSION", "HOST", "UP", "SILENT", "FOLLOWS", ""])
        for server in servers {
            table.add([
                name(server), server.addresses.first.map { $0.printable.truncated(to: 28) } ?? "-",
                server.version.isEmpty ? "-" : server.version.printable.truncated(to: 10),
                server.host.isEmpty ? "-" : server.host.printable.truncated(to: 16),
                server.startedAt.map { Phrases.duration(now.since($0)) } ?? "-",
                server.lease == nil ? "-" : Phrases.duration(server.silence), "\(server.followed)",
                state(server),
            ])
        }
        return table.render(style: style) + differences
    }

    private func name(_ server: ServerEntry) -> String { Phrases.short(WorkflowID(server.id)).printable }

    private func state(_ server: ServerEntry) -> String {
        var words: [String] = []
        if server.isAnswering { words.append("asked") }
        if server.isGone { words.append("gone") }
        if server.isDraining { words.append("draining") }
        return words.joined(separator: ", ")
    }

    private var differences: String {
        guard let asked = servers.first(where: \.isAnswering) else { return "" }
        var text = ""
        for server in servers where !server.differences.isEmpty {
            text += "\n\(name(server)) has other settings than \(name(asked)), which was asked:\n"
            for difference in server.differences {
                text += "  \(difference.name.printable): \(shown(difference.theirs))"
                text += " (\(name(asked)): \(shown(difference.ours)))\n"
                if !difference.consequence.isEmpty { text += "    \(difference.consequence.printable)\n" }
            }
        }
        return text
    }

    private func shown(_ value: String) -> String { value.isEmpty ? "none" : value.printable.truncated(to: 60) }
}

extension ServerEntry {
    /// One server for programs.
    package var json: JSONValue {
        .object([
            .init("server_id", .string(id)), .init("asked", .bool(isAnswering)),
            .init("addresses", .array(addresses.map { .string($0) })), .init("version", .string(version)),
            .init("host", .string(host)), .init("started_at", .optional(startedAt?.iso8601)),
            .init("silence_sec", .float(silence.inSeconds)),
            .init("lease_sec", lease.map { .float($0.inSeconds) } ?? .null), .init("gone", .bool(isGone)),
            .init("follows", .integer(followed)), .init("draining", .bool(isDraining)),
            .init(
                "settings_that_differ",
                .array(
                    differences.map { difference in
                        .object([
                            .init("name", .string(difference.name)), .init("theirs", .string(difference.theirs)),
                            .init("ours", .string(difference.ours)),
                            .init("dangerous", .bool(difference.isDangerous)),
                            .init("consequence", .string(difference.consequence)),
                        ])
                    })),
        ])
    }
}
