package import RhythmClient
package import RhythmCore

/// What a server tells about itself, as people and programs look at it.
package enum ServerViews {
    /// A table of connections.
    package static func table(_ connections: [ConnectionDescription], style: Style) -> String {
        var table = Table(["PEER", "CLIENT", "IDENTITY", "AGE", "CALLS", "WATCHES", "IN", "OUT"])
        for row in connections {
            table.add([
                row.peer.printable.truncated(to: 40),
                row.clientName.isEmpty ? "-" : row.clientName.printable.truncated(to: 24),
                row.identity.isEmpty ? "-" : row.identity.printable.truncated(to: 40), Phrases.duration(row.age),
                "\(row.openCalls)", "\(row.watches)", Phrases.amount(Double(row.bytesIn), units: "bytes"),
                Phrases.amount(Double(row.bytesOut), units: "bytes"),
            ])
        }
        return table.render(style: style)
    }

    /// What was counted: a table of calls, then one of numbers.
    package static func text(_ statistics: ServerStatistics, style: Style) -> String {
        var calls = Table(["CALL", "ENDED", "FAILED", "P50", "P99"])
        for call in statistics.calls where call.count > 0 {
            calls.add([
                call.name.printable, "\(call.count)", "\(call.count - (call.ended[.ok] ?? 0))",
                bound(call.duration(ofShare: 0.5)), bound(call.duration(ofShare: 0.99)),
            ])
        }
        var numbers = Table(["METRIC", "VALUE"])
        for (name, value) in statistics.metrics.sorted(by: { $0.key < $1.key }) {
            numbers.add([name.printable, "\(value)"])
        }
        return calls.render(style: style) + "\n" + numbers.render(style: style)
    }

    /// `< 1.024 ms`.
    private static func bound(_ duration: Duration?) -> String {
        duration.map { "< " + milliseconds($0.inSeconds * 1000) + " ms" } ?? "-"
    }

    /// With three decimals.
    static func milliseconds(_ value: Double) -> String {
        let thousandths = Int64((value * 1000).rounded())
        let rest = "\(thousandths % 1000)"
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }
}

extension ServerStatistics {
    /// For programs.
    package var json: JSONValue {
        .object([
            .init("metrics", .object(metrics.sorted { $0.key < $1.key }.map { .init($0.key, .integer($0.value)) })),
            .init(
                "calls",
                .array(
                    calls.map { call in
                        .object([
                            .init("call", .string(call.name)),
                            .init(
                                "ended",
                                .object(
                                    call.ended.sorted { $0.key.rawValue < $1.key.rawValue }
                                        .map { .init($0.key.name, .integer($0.value)) })),
                            .init("durations", .array(call.durations.map { .integer($0) })),
                            .init("total_sec", .float(call.totalDuration.inSeconds)),
                        ])
                    })),
        ])
    }
}

extension ConnectionDescription {
    /// One row for programs.
    package var json: JSONValue {
        .object([
            .init("id", .integer(id)), .init("peer", .string(peer)), .init("client", .string(clientName)),
            .init("identity", .string(identity)), .init("age_sec", .float(age.inSeconds)),
            .init("silence_sec", .float(silence.inSeconds)), .init("open_calls", .integer(openCalls)),
            .init("watches", .integer(watches)), .init("calls", .integer(calls)),
            .init("bytes_in", .integer(bytesIn)), .init("bytes_out", .integer(bytesOut)),
            .init("waiting_bytes", .integer(waitingBytes)),
        ])
    }
}
