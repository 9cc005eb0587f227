import CRhythmProto
import RhythmCore

extension Hello: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Hello>) throws(FieldError) {
        self.init(
            protocolVersion: c.pointee.protocol_version, clientName: try text(c.pointee.client_name, "client_name"),
            clientVersion: try text(c.pointee.client_version, "client_version"),
            token: try text(c.pointee.token, "token"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Hello> {
        let c = arena.make(rhythm__hello__init)
        c.pointee.protocol_version = protocolVersion
        c.pointee.client_name = arena.text(clientName)
        c.pointee.client_version = arena.text(clientVersion)
        c.pointee.token = arena.text(token)
        return c
    }
}

extension HelloReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__HelloReply>) throws(FieldError) {
        self.init(
            protocolVersion: c.pointee.protocol_version, serverName: try text(c.pointee.server_name, "server_name"),
            serverVersion: try text(c.pointee.server_version, "server_version"),
            features: try texts(c.pointee.n_features, c.pointee.features, "features"),
            limits: try required(c.pointee.limits, "limits"),
            serverID: try text(c.pointee.server_id, "server_id"), epoch: c.pointee.epoch,
            storeID: try text(c.pointee.store_id, "store_id"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__HelloReply> {
        let c = arena.make(rhythm__hello_reply__init)
        c.pointee.protocol_version = protocolVersion
        c.pointee.server_name = arena.text(serverName)
        c.pointee.server_version = arena.text(serverVersion)
        (c.pointee.n_features, c.pointee.features) = arena.texts(features)
        c.pointee.limits = limits.write(in: arena)
        c.pointee.server_id = arena.text(serverID)
        c.pointee.epoch = epoch
        c.pointee.store_id = arena.text(storeID)
        return c
    }
}

extension ConnectionLimits: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ConnectionLimits>) throws(FieldError) {
        self.init(
            maxRequestBytes: c.pointee.max_request_bytes, maxResponseBytes: c.pointee.max_response_bytes,
            maxCalls: c.pointee.max_calls, pingIntervalMilliseconds: c.pointee.ping_interval_ms,
            maxWatchedWorkflows: c.pointee.max_watched_workflows,
            frameTimeoutMilliseconds: c.pointee.frame_timeout_ms,
            stallTimeoutMilliseconds: c.pointee.stall_timeout_ms,
            defaultTimeoutMilliseconds: c.pointee.default_timeout_ms, maxPingsPerSecond: c.pointee.max_pings_per_s,
            maxCancelsPerSecond: c.pointee.max_cancels_per_s)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ConnectionLimits> {
        let c = arena.make(rhythm__connection_limits__init)
        c.pointee.max_request_bytes = maxRequestBytes
        c.pointee.max_response_bytes = maxResponseBytes
        c.pointee.max_calls = maxCalls
        c.pointee.ping_interval_ms = pingIntervalMilliseconds
        c.pointee.max_watched_workflows = maxWatchedWorkflows
        c.pointee.frame_timeout_ms = frameTimeoutMilliseconds
        c.pointee.stall_timeout_ms = stallTimeoutMilliseconds
        c.pointee.default_timeout_ms = defaultTimeoutMilliseconds
        c.pointee.max_pings_per_s = maxPingsPerSecond
        c.pointee.max_cancels_per_s = maxCancelsPerSecond
        return c
    }
}

extension GoAway: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__GoAway>) throws(FieldError) {
        self.init(
            reason: try text(c.pointee.reason, "reason"), message: try text(c.pointee.message, "message"),
            graceMilliseconds: c.pointee.grace_ms, lastCallID: c.pointee.last_call_id)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__GoAway> {
        let c = arena.make(rhythm__go_away__init)
        c.pointee.reason = arena.text(reason)
        c.pointee.message = arena.text(message)
        c.pointee.grace_ms = graceMilliseconds
        c.pointee.last_call_id = lastCallID
        return c
    }
}

extension Metadata: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Metadata>) throws(FieldError) {
        self.init(key: try text(c.pointee.key, "key"), value: try text(c.pointee.value, "value"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Metadata> {
        let c = arena.make(rhythm__metadata__init)
        c.pointee.key = arena.text(key)
        c.pointee.value = arena.text(value)
        return c
    }
}

/// A status that ends a call: nil is the normal end of a stream.
struct CallStatus: WireCoded {
    var error: RhythmError?

    init(_ error: RhythmError?) { self.error = error }

    init(from c: UnsafeMutablePointer<Rhythm__Status>) throws(FieldError) {
        guard let code = RhythmError.Code(rawValue: Int32(clamping: c.pointee.code)) else {
            throw .value("code", "one of gRPC's codes, 0 to 16, not \(c.pointee.code)")
        }
        guard code != .ok else {
            error = nil
            return
        }
        let wait = c.pointee.retry_after_ms
        error = RhythmError(
            code, reason: try text(c.pointee.reason, "reason"), try text(c.pointee.message, "message"),
            field: try text(c.pointee.field, "field"),
            effect: try RhythmError.Effect(wire: c.pointee.effect, "effect"),
            retryAfter: wait == 0 ? nil : .milliseconds(Int64(clamping: wait)))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Status> {
        let c = arena.make(rhythm__status__init)
        guard let error else { return c }
        c.pointee.code = UInt32(clamping: error.code.rawValue)
        c.pointee.message = arena.text(error.message)
        c.pointee.reason = arena.text(error.reason)
        c.pointee.field = arena.text(error.field)
        c.pointee.retry_after_ms = UInt64(clamping: error.retryAfter?.wireMilliseconds ?? 0)
        c.pointee.effect = error.effect.wire
        return c
    }
}
