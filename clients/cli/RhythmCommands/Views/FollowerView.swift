package import RhythmCore

/// Which server follows a workflow, for people and programs.
package enum FollowerView {
    /// `by 36b598c1 at 10.0.0.1:7744, which was asked`
    package static func line(_ follower: Follower) -> String {
        "by \(name(follower))" + (state(follower).map { ", \($0)" } ?? "")
    }

    /// A sentence for who asks why a workflow does not move; nil if its server is as it should be.
    package static func trouble(_ follower: Follower) -> String? {
        guard !follower.isAnswering, follower.isLate, let state = state(follower) else { return nil }
        return "It is followed by \(name(follower)), \(state)."
    }

    /// What an answer is worth whose server could not ask the store.
    package static func stale(_ staleness: Duration) -> String {
        "the server cannot ask the store: this is what it knew \(Phrases.duration(staleness)) ago"
    }

    private static func name(_ follower: Follower) -> String {
        let id = Phrases.short(WorkflowID(follower.serverID)).printable
        guard let address = follower.addresses.first else { return "server \(id)" }
        return "server \(id) at \(address.printable)"
    }

    private static func state(_ follower: Follower) -> String? {
        if follower.isAnswering { return "which was asked" }
        if follower.isGone { return "which has left; another one takes the workflow over" }
        guard let lease = follower.lease, follower.isLate else { return nil }
        let heard = "not heard of for \(Phrases.duration(follower.silence))"
        if follower.silence > lease { return heard + "; another one takes the workflow over" }
        return heard + "; after \(Phrases.duration(lease)) another one takes the workflow over"
    }
}

extension JSONValue {
    /// The same object with `followed_by`: null if nothing more is to be done for the workflow.
    func adding(_ follower: Follower?) -> JSONValue {
        guard case .object(var members) = self else { return self }
        members.append(.init("followed_by", follower.map(\.json) ?? .null))
        return .object(members)
    }
}

extension JSONValue {
    /// The same object with `stale_sec`, if the server could not ask the store.
    func adding(staleness: Duration?) -> JSONValue {
        guard let staleness, case .object(var members) = self else { return self }
        members.append(.init("stale_sec", .float(staleness.inSeconds)))
        return .object(members)
    }
}

extension Follower {
    /// For programs.
    var json: JSONValue {
        .object([
            .init("server_id", .string(serverID)), .init("addresses", .array(addresses.map { .string($0) })),
            .init("asked", .bool(isAnswering)), .init("silence_sec", .float(silence.inSeconds)),
            .init("lease_sec", lease.map { .float($0.inSeconds) } ?? .null), .init("gone", .bool(isGone)),
        ])
    }
}
