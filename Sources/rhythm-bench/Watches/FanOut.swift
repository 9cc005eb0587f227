import Glibc
import RhythmCore
import RhythmWire

/// Workflows, and many watches that see all of one of them each; some read nothing until they are over.
struct FanOut {
    var workflows: Int
    var watches: Int
    var connections: Int
    /// Of so many connections, these are the ones that read nothing.
    var stalled: Int
    var steps: Int
    var reports: Int
    var pause: Int
    /// One watch in so many is looked at whole.
    var checkedShare: Int

    /// What came of it; the memory is the server's.
    func run(on server: ServerProcess, prefix: String) throws -> Measurements {
        var result = Measurements()
        func resident() -> Double { (SystemFigures.residentBytes(of: server.processID) ?? 0) / 1_048_576 }
        let starter = try WatchConnection(server.endpoint)
        _ = try starter.call(.getServerInfo)
        result[prefix + "mib_before"] = resident()
        let all = try (0..<connections).map { number in
            let connection = try WatchConnection(server.endpoint)
            for watch in watches * number / connections..<watches * (number + 1) / connections {
                let subject = watch % workflows
                try connection.open(
                    WatchProgress(filter: WorkflowFilter(appID: "\(prefix)\(subject)")), subject: subject,
                    isChecked: watch % checkedShare == 0)
            }
            return connection
        }
        while true {
            guard case .getServerInfo(let info) = try starter.call(.getServerInfo) else { continue }
            if info.watches == UInt64(watches) { break }
        }
        result[prefix + "mib_watched"] = resident()
        let starts = try (0..<workflows).map { subject in
            Request.startWorkflow(
                StartWorkflow(
                    spec: try Ticker.spec(steps: steps, reports: reports, pause: pause, appID: "\(prefix)\(subject)")))
        }
        let ids = try starter.call(starts).map { reply in
            guard case .startWorkflow(let started) = reply else { throw BenchError("no workflow") }
            return started.workflow.id
        }
        let readers = Array(all[stalled...])
        let cpu = SystemFigures.processorSeconds(of: server.processID)
        let begin = SystemFigures.nanoseconds
        var deliveries = Deliveries()
        let peak = try read(
            readers, until: ids, silent: Array(all[..<stalled]), starter: starter, &deliveries, resident)
        let took = SystemFigures.seconds(since: begin)
        result[prefix + "mib_peak"] = peak
        result[prefix + "mib_after"] = resident()
        result[prefix + "seconds"] = took
        result[prefix + "frames_per_s"] = Double(Self.frames(readers)) / took
        if let cpu, let later = SystemFigures.processorSeconds(of: server.processID) {
            result[prefix + "cpu_us"] = (later - cpu) / Double(Self.frames(readers)) * 1e6
        }
        deliveries.write(to: &result, prefix)
        // Those that read nothing get all of it now.
        var late = Deliveries()
        _ = try read(Array(all[..<stalled]), until: ids, silent: [], starter: starter, &late, resident)
        result[prefix + "transitions"] = Double(all.first?.tallies.values.first?.transitions ?? 0)
        return result
    }

    /// Reads until all workflows are over and every watch has the last version of its own, the checked ones the last
    /// progress too.
    ///
    /// - Returns: the most memory that the server had meanwhile.
    private func read(
        _ readers: [WatchConnection], until ids: [WorkflowID], silent: [WatchConnection], starter: WatchConnection,
        _ deliveries: inout Deliveries, _ resident: () -> Double
    ) throws -> Double {
        var waits = readers.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        var peak = resident()
        var lookedAt = SystemFigures.nanoseconds
        var heardAt = lookedAt
        var ends: [(version: Int64, progress: Double)] = []
        while !readers.isEmpty {
            _ = poll(&waits, nfds_t(waits.count), 50)
            for (index, reader) in readers.enumerated() where waits[index].revents != 0 {
                if try reader.receive({ deliveries.record($0) }) { heardAt = SystemFigures.nanoseconds }
            }
            guard SystemFigures.seconds(since: lookedAt) > 0.25 else { continue }
            lookedAt = SystemFigures.nanoseconds
            peak = max(peak, resident())
            for connection in silent { try connection.murmur() }
            while ends.count < ids.count, let end = try self.end(of: ids[ends.count], starter) { ends.append(end) }
            if ends.count == ids.count, Self.all(readers, have: ends) { break }
            guard SystemFigures.seconds(since: heardAt) < 60 else { throw BenchError("nothing came for a minute") }
        }
        return peak
    }

    /// The last that there is to be told of a workflow; nil while it runs.
    private func end(of id: WorkflowID, _ starter: WatchConnection) throws -> (version: Int64, progress: Double)? {
        guard
            case .getStatus(let reply) = try starter.call(.getStatus(GetStatus(workflowID: id, omitResults: true))),
            reply.workflow.status == .success
        else { return nil }
        return (reply.workflow.version, reply.workflow.steps.last?.attempts.last?.progress?.done ?? 0)
    }

    private static func all(_ readers: [WatchConnection], have ends: [(version: Int64, progress: Double)]) -> Bool {
        readers.allSatisfy { reader in
            reader.tallies.values.allSatisfy {
                let end = ends[$0.subject]
                return $0.lastVersion == end.version && (!$0.isChecked || $0.lastProgress == end.progress)
            }
        }
    }

    private static func frames(_ readers: [WatchConnection]) -> Int {
        readers.reduce(0) { $0 + $1.tallies.values.reduce(0) { $0 + $1.transitions + $1.progress } }
    }
}

/// How long updates took to arrive: each of them, and the last of each.
struct Deliveries {
    private let each = Latencies()
    private var last: [WatchTally.Update.Key: Int64] = [:]

    mutating func record(_ update: WatchTally.Update) {
        each.record(nanoseconds: UInt64(max(0, update.latency)) * 1000)
        last[update.key, default: 0] = max(last[update.key] ?? 0, update.latency)
    }

    func write(to result: inout Measurements, _ prefix: String) {
        result.set(prefix + "each", each)
        let (transitions, progress) = (Latencies(), Latencies())
        for (key, latency) in last {
            let nanoseconds = UInt64(max(0, latency)) * 1000
            switch key.event {
            case .transition: transitions.record(nanoseconds: nanoseconds)
            case .progress: progress.record(nanoseconds: nanoseconds)
            }
        }
        result.set(prefix + "last_transition", transitions)
        result.set(prefix + "last_progress", progress)
    }
}
