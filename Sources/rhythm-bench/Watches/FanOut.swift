import Glibc
import RhythmCore
import RhythmWire

/// One workflow, and many watches that see all of it; some of them read nothing until it is over.
struct FanOut {
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
            try connection.open(
                WatchProgress(filter: WorkflowFilter(appID: prefix)),
                count: watches / connections + (number < watches % connections ? 1 : 0), checkedShare: checkedShare)
            return connection
        }
        while true {
            guard case .getServerInfo(let info) = try starter.call(.getServerInfo) else { continue }
            if info.watches == UInt64(watches) { break }
        }
        result[prefix + "mib_watched"] = resident()
        let spec = try Ticker.spec(steps: steps, reports: reports, pause: pause, appID: prefix)
        guard case .startWorkflow(let started) = try starter.call(.startWorkflow(StartWorkflow(spec: spec))) else {
            throw BenchError("no workflow")
        }
        let id = started.workflow.id
        let readers = Array(all[stalled...])
        let cpu = SystemFigures.processorSeconds(of: server.processID)
        let begin = SystemFigures.nanoseconds
        var deliveries = Deliveries()
        let peak = try read(
            readers, until: id, silent: Array(all[..<stalled]), starter: starter, &deliveries, resident)
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
        _ = try read(Array(all[..<stalled]), until: id, silent: [], starter: starter, &late, resident)
        result[prefix + "transitions"] = Double(all.first?.tallies.values.first?.transitions ?? 0)
        return result
    }

    /// Reads until every watch has the last version, and the checked ones the last progress.
    ///
    /// - Returns: the most memory that the server had meanwhile.
    private func read(
        _ readers: [WatchConnection], until id: WorkflowID, silent: [WatchConnection], starter: WatchConnection,
        _ deliveries: inout Deliveries, _ resident: () -> Double
    ) throws -> Double {
        var waits = readers.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        var peak = resident()
        var lookedAt = SystemFigures.nanoseconds
        var heardAt = lookedAt
        while !readers.isEmpty {
            _ = poll(&waits, nfds_t(waits.count), 50)
            for (index, reader) in readers.enumerated() where waits[index].revents != 0 {
                if try reader.receive({ deliveries.record($0) }) { heardAt = SystemFigures.nanoseconds }
            }
            guard SystemFigures.seconds(since: lookedAt) > 0.25 else { continue }
            lookedAt = SystemFigures.nanoseconds
            peak = max(peak, resident())
            for connection in silent { try connection.murmur() }
            guard
                case .getStatus(let reply) = try starter.call(.getStatus(GetStatus(workflowID: id, omitResults: true)))
            else { continue }
            let last = reply.workflow.steps.last?.attempts.last?.progress?.done
            if reply.workflow.status == .success, Self.all(readers, have: reply.workflow.version, last) { break }
            guard SystemFigures.seconds(since: heardAt) < 60 else { throw BenchError("nothing came for a minute") }
        }
        return peak
    }

    private static func all(_ readers: [WatchConnection], have version: Int64, _ progress: Double?) -> Bool {
        readers.allSatisfy { reader in
            reader.tallies.values.allSatisfy {
                $0.lastVersion == version && (!$0.isChecked || $0.lastProgress == progress ?? 0)
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
    private var lastTransition: [Int64: Int64] = [:]
    private var lastProgress: [Double: Int64] = [:]

    mutating func record(_ update: WatchTally.Update) {
        each.record(nanoseconds: UInt64(max(0, update.latency)) * 1000)
        switch update.key {
        case .transition(let version): lastTransition[version] = max(lastTransition[version] ?? 0, update.latency)
        case .progress(let done): lastProgress[done] = max(lastProgress[done] ?? 0, update.latency)
        }
    }

    func write(to result: inout Measurements, _ prefix: String) {
        result.set(prefix + "each", each)
        for (name, times) in [
            ("last_transition", Array(lastTransition.values)), ("last_progress", Array(lastProgress.values)),
        ] {
            let latencies = Latencies()
            for time in times { latencies.record(nanoseconds: UInt64(max(0, time)) * 1000) }
            result.set(prefix + name, latencies)
        }
    }
}
