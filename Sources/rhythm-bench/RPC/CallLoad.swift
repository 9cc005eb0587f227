import Glibc
import RhythmWire

/// Calls on one or several connections, all from one thread.
enum CallLoad {
    /// What one load came to.
    struct Result {
        var callsPerSecond: Double
        var latencies: Latencies
        /// The server's processor time; nil if its process is not known.
        var serverMicrosecondsPerCall: Double?
    }

    /// Calls for a moment to get warm, then for `seconds`.
    static func run(
        _ endpoint: Endpoint, request: Request, connections: Int, inFlight: Int, seconds: Double, server: pid_t?
    ) throws -> Result {
        let latencies = Latencies()
        let all = try (0..<connections).map { _ in
            try CallConnection(endpoint, request: request, latencies: latencies)
        }
        for connection in all { try connection.open(inFlight) }
        _ = try turn(all, seconds: seconds / 10)
        latencies.reset()
        let cpu = server.flatMap { SystemFigures.processorSeconds(of: $0) }
        let begin = SystemFigures.nanoseconds
        let calls = Double(try turn(all, seconds: seconds))
        let took = SystemFigures.seconds(since: begin)
        var result = Result(callsPerSecond: calls / took, latencies: latencies)
        if let cpu, let server, let later = SystemFigures.processorSeconds(of: server) {
            result.serverMicrosecondsPerCall = (later - cpu) / calls * 1e6
        }
        return result
    }

    private static func turn(_ connections: [CallConnection], seconds: Double) throws -> Int {
        let end = SystemFigures.nanoseconds + UInt64(seconds * 1e9)
        var calls = 0
        var waits = connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        while SystemFigures.nanoseconds < end {
            if connections.count == 1 {
                calls += try connections[0].turn()
                continue
            }
            guard poll(&waits, nfds_t(waits.count), 1000) > 0 else { throw BenchError("the server does not answer") }
            for index in waits.indices where waits[index].revents != 0 { calls += try connections[index].turn() }
        }
        return calls
    }
}
