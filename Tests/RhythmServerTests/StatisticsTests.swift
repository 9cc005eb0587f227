import RhythmAuth
import RhythmCore
import RhythmEngine
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// What the server counts and logs about its calls and connections.
    @Suite(.timeLimit(.minutes(2))) struct StatisticsTests {
        @Test func everyCallIsCountedOnceByHowItEnded() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                try await peer.until(id, is: .started)
                let before = try await peer.stats()
                for _ in 0..<10 { _ = try await peer.status(id) }
                for _ in 0..<3 {
                    _ = try await peer.failure(of: try await peer.begin(.getStatus(.init(workflowID: "no"))))
                }
                let watch = try await peer.begin(.watchProgress(WatchProgress(targets: [.init(workflowID: id)])))
                try await peer.send(ClientFrame(callID: watch, body: .cancel))
                while case .watchEvent = try await peer.next(of: watch) {}
                let dead = try await rig.peer()
                try await dead.begin(.watchProgress(WatchProgress(targets: [.init(workflowID: id)])))
                try await eventually("it watches") { try await peer.info().watches == 1 }
                dead.finishSending()
                try await eventually("it is gone") { try await peer.info().watches == 0 }

                let after = try await peer.stats()
                let calls = try #require(after.call("get_status"))
                let ended = before.call("get_status")?.ended ?? [:]
                #expect((calls.ended[0] ?? 0) - (ended[0] ?? 0) == 10)
                #expect(calls.ended[5] == 3)
                #expect(after.call("watch_progress")?.ended == [1: 2], "cancelled, and lost")
                for call in after.calls { #expect(call.durations.reduce(0, +) == call.ended.values.reduce(0, +)) }
                #expect(calls.totalMicroseconds > 0)
                #expect(after["connections"] == 2 || after["connections"] == 1)
                #expect(after["connections_accepted_total"] == 2)
                #expect(after["received_bytes_total"] ?? 0 > 0 && after["sent_bytes_total"] ?? 0 > 1000)
                #expect(after["serving"] == 1 && after["active_workflows"] == 1)
                // The same without a connection.
                #expect(await rig.server?.stats().call("get_status")?.ended == calls.ended)
            }
        }

        @Test func aCallLastsUntilItsAnswer() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                rig.faults.holdReads()
                let list = try await peer.begin(.listWorkflows(ListWorkflows(query: ListQuery())))
                try await eventually("it waits") { try await peer.info().calls == 2 }
                try await Task.sleep(for: .milliseconds(100))
                rig.faults.releaseReads()
                _ = try await peer.reply(of: list)
                let call = try #require(try await peer.stats().call("list_workflows"))
                #expect(call.totalMicroseconds >= 100_000)
                // 2^17 is 131 ms; the entries before 2^16 are for less than 66 ms.
                #expect(call.durations[..<17].allSatisfy { $0 == 0 } && call.durations[17...].reduce(0, +) == 1)
            }
        }

        @Test func prometheusCanReadIt() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                _ = try await peer.failure(of: try await peer.begin(.getStatus(.init(workflowID: "no"))))
                let text = try #require(await rig.server?.stats()).prometheusText
                #expect(text.contains("rhythm_calls_ended_total{method=\"get_status\",code=\"NOT_FOUND\"} 1\n"))
                #expect(text.contains("# TYPE rhythm_connections gauge\n") && text.contains("\nrhythm_connections 1\n"))
                #expect(text.contains("# TYPE rhythm_connections_accepted_total counter\n"))
                #expect(text.contains("rhythm_call_duration_seconds_count{method=\"get_status\"} 1\n"))
                #expect(text.contains("rhythm_call_duration_seconds_bucket{method=\"get_status\",le=\"8.388608\"} 1\n"))
                #expect(text.contains("rhythm_call_duration_seconds_bucket{method=\"get_status\",le=\"+Inf\"} 1\n"))
                let line = /rhythm_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9]+(\.[0-9]+)?/
                var declared: Set<Substring> = []
                for row in text.split(separator: "\n") {
                    let words = row.split(separator: " ")
                    if row.hasPrefix("# TYPE ") {
                        #expect(declared.insert(words[2]).inserted, "\(words[2]) twice")
                    } else if !row.hasPrefix("# HELP ") {
                        #expect(row.wholeMatch(of: line) != nil, "\(row)")
                    }
                }
                var last: [Substring: UInt64] = [:]
                for match in text.matches(of: /duration_seconds_bucket\{method="([a-z_]+)",le="[^"]*"\} ([0-9]+)/) {
                    let count = try #require(UInt64(match.2))
                    #expect(count >= last[match.1] ?? 0, "buckets add up")
                    last[match.1] = count
                }
                #expect(last.count == CallName.allCases.count)
            }
        }

        @Test func connectionsAreListedForAdministrators() async throws {
            var tokens = Tokens()
            let (admin, reader) = (tokens.make(.admin, name: "boss"), tokens.make(.read, name: "looker"))
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                let boss = try await rig.peer(token: admin)
                let looker = try await rig.peer(token: reader)
                let id = try await boss.start(Rig.gated()).id
                let log = try await WatchLog(looker, id)
                try await log.untilStatus(id, .started)
                _ = try await looker.info()
                let refused = try await looker.failure(of: try await looker.begin(.getConnections))
                #expect(refused.code == .permissionDenied)
                _ = try await looker.stats()

                guard case .getConnections(let rows) = try await boss.call(.getConnections) else { return }
                try #require(rows.count == 2)
                #expect(rows[0].identity.contains("'boss'") && rows[1].identity.contains("'looker'"))
                #expect(rows.allSatisfy { $0.clientName == "test" && $0.peer.hasPrefix("127.0.0.1:") })
                #expect(rows[1].openCalls == 1 && rows[1].watches == 1 && rows[1].calls == 4)
                #expect(rows[1].bytesOut == UInt64(looker.receivedBytes), "as many as it has received")
                #expect(rows[0].openCalls == 1 && rows[0].watches == 0, "the call that asks")
                #expect(rows[0].bytesIn > 0 && rows[0].ageMilliseconds < 60_000)
            }
        }

        @Test func callsAreLogged() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let call = try await peer.begin(.getStatus(.init(workflowID: "no")))
                _ = try await peer.failure(of: call)
                let line = try await Self.line(in: rig, "get_status")
                #expect(line.hasPrefix("debug "))
                for part in ["\"call_id\": \(call)", "127.0.0.1:", "get_status", "NOT_FOUND", "duration_us", "NO_SUCH"]
                {
                    #expect(line.contains(part), "\(part) in \(line)")
                }
                rig.faults.commit = StoreError(.full, "the disk says no")
                _ = try await peer.failure(of: try await peer.begin(.startWorkflow(.init(spec: Rig.gated()))))
                rig.faults.commit = nil
                let trouble = try await Self.line(in: rig, "start_workflow")
                #expect(trouble.hasPrefix("info ") && trouble.contains("STORE_FULL"))
            }
        }

        /// The first line about a call of that name. An answer goes out before the line is written.
        private static func line(in rig: Rig, _ method: String) async throws -> String {
            func found() -> String? { rig.log.lines.first { $0.contains("call ended") && $0.contains(method) } }
            try await eventually("a line about \(method)") { found() != nil }
            return try #require(found())
        }

        @Test func aFloodIsCountedAndNotLogged() async throws {
            try await Rig.with {
                $0.logLinesPerSecond = 5
            } _: { rig in
                let peer = try await rig.peer()
                let began = ContinuousClock.now
                for _ in 0..<300 { _ = try await peer.info() }
                let seconds = Int(began.duration(to: .now).inSeconds) + 2
                let lines = rig.log.lines.count { $0.contains("call ended") }
                #expect(lines >= 5 && lines <= 5 * seconds, "\(lines) in \(seconds) s")
                let stats = try await peer.stats()
                #expect(stats["log_lines_left_out_total"] ?? 0 >= UInt64(300 - 5 * seconds))
                #expect(stats.call("get_server_info")?.ended == [0: 300])
            }
        }
    }
}

extension ServerStats {
    fileprivate func call(_ name: String) -> Calls? { calls.first { $0.name == name } }
}
