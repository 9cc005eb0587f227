import RhythmAuth
import RhythmWire

/// What the server tells about itself.
extension ServerCore {
    /// Who is connected, oldest first.
    var connectionList: [ConnectionInfo] {
        let now = LaneTimers.now()
        return connections.values.filter { !$0.isOver }.sorted { $0.id < $1.id }.map { $0.info(at: now) }
    }

    /// Everything that was counted, and what is there now.
    var stats: ServerStats {
        ServerStats(
            metrics: countersOfConnections + countersOfWork + gauges,
            calls: CallName.allCases.map { name in
                ServerStats.Calls(
                    name: name.rawValue, ended: statistics.ended(name), durations: statistics.durations(name),
                    totalMicroseconds: statistics.totalMicroseconds(name))
            })
    }

    private var countersOfConnections: [ServerStats.Metric] {
        let live = connections.values
        let hangUps = statistics.hangUps
        let farewells = Set(Farewell.allCases.map(\.reason))
        return [
            .init(
                "connections_accepted_total", statistics.connectionsAccepted, help: "Connections that were accepted."),
            .init(
                "connections_refused_total", statistics.connectionsRefused,
                help: "Connections that were closed at once, because there were too many."),
            .init(
                "connections_aged_total", hangUps[Farewell.connectionAge.reason] ?? 0,
                help: "Connections that had reached their greatest age."),
            .init("connections_silent_total", hangUps["SILENT"] ?? 0, help: "Peers that did not answer pings."),
            .init("connections_stalled_total", hangUps["STALLED"] ?? 0, help: "Peers that took no answers."),
            .init(
                "connections_broken_total",
                hangUps.filter { !farewells.contains($0.key) && !["SILENT", "STALLED", "STARTING"].contains($0.key) }
                    .values
                    .reduce(0, +), help: "Connections that ended for breaking the protocol or for their credentials."),
            .init("authentication_failures_total", UInt64(failures.total), help: "Credentials that were wrong."),
            .init(
                "descriptor_shortages_total", statistics.descriptorShortages,
                help: "Times that no descriptor was left for a new connection."),
            .init(
                "received_bytes_total", live.reduce(statistics.bytesIn) { $0 + UInt64($1.bytesIn) },
                help: "Bytes from peers."),
            .init(
                "sent_bytes_total", live.reduce(statistics.bytesOut) { $0 + UInt64($1.bytesOut) },
                help: "Bytes to peers."),
            .init("pings_sent_total", statistics.pingsSent, help: "Pings to silent peers."),
        ]
    }

    private var countersOfWork: [ServerStats.Metric] {
        [
            .init(
                "frames_refused_total", statistics.framesRefused,
                help: "Frames that could not be read or asked for an unknown call."),
            .init("events_sent_total", statistics.eventsSent, help: "Events of watches and pieces of logs."),
            .init("watches_aged_total", statistics.watchesAged, help: "Watches that had reached their greatest age."),
            .init(
                "log_lines_left_out_total", journal.linesLeftOut + peersThrottle.total,
                help: "Log lines about calls and peers that were too many."),
        ]
    }

    private var gauges: [ServerStats.Metric] {
        let info = info
        return [
            .init("connections", info.connections, help: "Connections that are open."),
            .init("calls", info.calls, help: "Calls that are open, watches and logs included."),
            .init("watches", info.watches, help: "Watches that are open."),
            .init("active_workflows", info.activeWorkflows, help: "Workflows that are PENDING or STARTED."),
            .init(
                "waiting_bytes", connections.values.reduce(0) { $0 + UInt64($1.waitingBytes) },
                help: "Bytes that peers have not taken yet."),
            .init("serving", info.health == .serving ? 1 : 0, help: "1 if everything works, else 0; /readyz says why."),
            .init("uptime_seconds", info.uptimeMilliseconds / 1000, help: "Seconds since the start."),
        ]
    }
}

extension Connection {
    fileprivate func info(at now: UInt64) -> ConnectionInfo {
        ConnectionInfo(
            id: id, peer: peer, clientName: clientName, identity: phase == .awaitingHello ? "" : caller.description,
            ageMilliseconds: (now &- openedAt) / 1_000_000, silentMilliseconds: (now &- lastHeardAt) / 1_000_000,
            openCalls: UInt32(clamping: calls.count),
            watches: UInt32(clamping: calls.values.count { $0.name == .watchProgress }), calls: callsBegun,
            bytesIn: UInt64(bytesIn), bytesOut: UInt64(bytesOut), waitingBytes: UInt64(waitingBytes))
    }
}
