import CRhythmProto
import RhythmCore

/// The message around a list of connections.
struct ConnectionList: WireCoded {
    var connections: [ConnectionInfo]

    init(connections: [ConnectionInfo]) { self.connections = connections }

    init(from c: UnsafeMutablePointer<Rhythm__ConnectionList>) throws(FieldError) {
        connections = try list(c.pointee.n_connections, c.pointee.connections, "connections")
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ConnectionList> {
        let c = arena.make(rhythm__connection_list__init)
        (c.pointee.n_connections, c.pointee.connections) = arena.list(connections)
        return c
    }
}

extension ConnectionInfo: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ConnectionInfo>) throws(FieldError) {
        self.init(
            id: c.pointee.connection_id, peer: try text(c.pointee.peer, "peer"),
            clientName: try text(c.pointee.client_name, "client_name"),
            identity: try text(c.pointee.identity, "identity"), ageMilliseconds: c.pointee.age_ms,
            silentMilliseconds: c.pointee.silent_ms, openCalls: c.pointee.open_calls, watches: c.pointee.watches,
            calls: c.pointee.calls, bytesIn: c.pointee.bytes_in, bytesOut: c.pointee.bytes_out,
            waitingBytes: c.pointee.waiting_bytes)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ConnectionInfo> {
        let c = arena.make(rhythm__connection_info__init)
        c.pointee.connection_id = id
        c.pointee.peer = arena.text(peer)
        c.pointee.client_name = arena.text(clientName)
        c.pointee.identity = arena.text(identity)
        c.pointee.age_ms = ageMilliseconds
        c.pointee.silent_ms = silentMilliseconds
        c.pointee.open_calls = openCalls
        c.pointee.watches = watches
        c.pointee.calls = calls
        c.pointee.bytes_in = bytesIn
        c.pointee.bytes_out = bytesOut
        c.pointee.waiting_bytes = waitingBytes
        return c
    }
}

extension ServerStats: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ServerStats>) throws(FieldError) {
        self.init(
            metrics: try list(c.pointee.n_metrics, c.pointee.metrics, "metrics"),
            calls: try list(c.pointee.n_calls, c.pointee.calls, "calls"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ServerStats> {
        let c = arena.make(rhythm__server_stats__init)
        (c.pointee.n_metrics, c.pointee.metrics) = arena.list(metrics)
        (c.pointee.n_calls, c.pointee.calls) = arena.list(calls)
        return c
    }
}

extension ServerStats.Metric: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Metric>) throws(FieldError) {
        self.init(try text(c.pointee.name, "name"), c.pointee.value, help: try text(c.pointee.help, "help"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Metric> {
        let c = arena.make(rhythm__metric__init)
        c.pointee.name = arena.text(name)
        c.pointee.value = value
        c.pointee.help = arena.text(help)
        return c
    }
}

extension ServerStats.Calls: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__CallStats>) throws(FieldError) {
        let ended: [CodeCount] = try list(c.pointee.n_ended, c.pointee.ended, "ended")
        self.init(
            name: try text(c.pointee.call, "call"), ended: Dictionary(ended.map { ($0.code, $0.count) }) { $0 &+ $1 },
            durations: Array(
                UnsafeBufferPointer(
                    start: c.pointee.durations, count: c.pointee.durations == nil ? 0 : c.pointee.n_durations)),
            totalMicroseconds: c.pointee.duration_us)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__CallStats> {
        let c = arena.make(rhythm__call_stats__init)
        c.pointee.call = arena.text(name)
        (c.pointee.n_ended, c.pointee.ended) = arena.list(
            ended.sorted { $0.key < $1.key }.map { CodeCount(code: $0.key, count: $0.value) })
        (c.pointee.n_durations, c.pointee.durations) = arena.array(durations) { $0 }
        c.pointee.duration_us = totalMicroseconds
        return c
    }
}

/// How many calls ended with a code.
private struct CodeCount: WireCoded {
    var code: UInt32
    var count: UInt64

    init(code: UInt32, count: UInt64) {
        self.code = code
        self.count = count
    }

    init(from c: UnsafeMutablePointer<Rhythm__CodeCount>) throws(FieldError) {
        self.init(code: c.pointee.code, count: c.pointee.count)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__CodeCount> {
        let c = arena.make(rhythm__code_count__init)
        c.pointee.code = code
        c.pointee.count = count
        return c
    }
}
