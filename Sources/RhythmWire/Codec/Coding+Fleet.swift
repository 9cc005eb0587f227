import CRhythmProto
import RhythmCore

extension Follower: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Follower>) throws(FieldError) {
        self.init(
            serverID: try text(c.pointee.server_id, "server_id"),
            addresses: try texts(c.pointee.n_addresses, c.pointee.addresses, "addresses"),
            isAnswering: c.pointee.answering != 0, silence: milliseconds(c.pointee.silent_ms),
            lease: c.pointee.lease_ms == 0 ? nil : milliseconds(c.pointee.lease_ms), isGone: c.pointee.gone != 0)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Follower> {
        let c = arena.make(rhythm__follower__init)
        c.pointee.server_id = arena.text(serverID)
        (c.pointee.n_addresses, c.pointee.addresses) = arena.texts(addresses)
        c.pointee.answering = flag(isAnswering)
        c.pointee.silent_ms = UInt64(clamping: silence.wireMilliseconds)
        c.pointee.lease_ms = UInt64(clamping: lease?.wireMilliseconds ?? 0)
        c.pointee.gone = flag(isGone)
        return c
    }
}

/// The servers of a store.
struct ServerList: WireCoded {
    var servers: [ServerEntry]

    init(servers: [ServerEntry]) { self.servers = servers }

    init(from c: UnsafeMutablePointer<Rhythm__ServerList>) throws(FieldError) {
        servers = try list(c.pointee.n_servers, c.pointee.servers, "servers")
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ServerList> {
        let c = arena.make(rhythm__server_list__init)
        (c.pointee.n_servers, c.pointee.servers) = arena.list(servers)
        return c
    }
}

extension ServerEntry: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__ServerEntry>) throws(FieldError) {
        self.init(
            id: try text(c.pointee.server_id, "server_id"), isAnswering: c.pointee.answering != 0,
            addresses: try texts(c.pointee.n_addresses, c.pointee.addresses, "addresses"),
            version: try text(c.pointee.version, "version"), host: try text(c.pointee.host, "host"),
            startedAt: optionalTime(c.pointee.started_at), silence: milliseconds(c.pointee.silent_ms),
            lease: c.pointee.lease_ms == 0 ? nil : milliseconds(c.pointee.lease_ms),
            followed: Int(clamping: c.pointee.followed_workflows), isDraining: c.pointee.draining != 0,
            differences: try list(c.pointee.n_differences, c.pointee.differences, "differences"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ServerEntry> {
        let c = arena.make(rhythm__server_entry__init)
        c.pointee.server_id = arena.text(id)
        c.pointee.answering = flag(isAnswering)
        (c.pointee.n_addresses, c.pointee.addresses) = arena.texts(addresses)
        c.pointee.version = arena.text(version)
        c.pointee.host = arena.text(host)
        c.pointee.started_at = startedAt.wire
        c.pointee.silent_ms = UInt64(clamping: silence.wireMilliseconds)
        c.pointee.lease_ms = UInt64(clamping: lease?.wireMilliseconds ?? 0)
        c.pointee.followed_workflows = UInt64(clamping: followed)
        c.pointee.draining = flag(isDraining)
        (c.pointee.n_differences, c.pointee.differences) = arena.list(differences)
        return c
    }
}

extension SettingDifference: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__SettingDifference>) throws(FieldError) {
        self.init(
            name: try text(c.pointee.name, "name"), theirs: try text(c.pointee.theirs, "theirs"),
            ours: try text(c.pointee.ours, "ours"), isDangerous: c.pointee.dangerous != 0,
            consequence: try text(c.pointee.consequence, "consequence"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__SettingDifference> {
        let c = arena.make(rhythm__setting_difference__init)
        c.pointee.name = arena.text(name)
        c.pointee.theirs = arena.text(theirs)
        c.pointee.ours = arena.text(ours)
        c.pointee.dangerous = flag(isDangerous)
        c.pointee.consequence = arena.text(consequence)
        return c
    }
}

extension DrainReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__DrainReply>) throws(FieldError) {
        self.init(isDraining: c.pointee.draining != 0, followedWorkflows: c.pointee.followed_workflows)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__DrainReply> {
        let c = arena.make(rhythm__drain_reply__init)
        c.pointee.draining = flag(isDraining)
        c.pointee.followed_workflows = followedWorkflows
        return c
    }
}

func milliseconds(_ count: UInt64) -> Duration { .milliseconds(Int64(clamping: count)) }
