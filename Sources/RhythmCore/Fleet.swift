/// One of the servers that share a store, as it was last heard of.
public struct ServerEntry: Sendable, Hashable {
    /// Names it; stays the same over restarts.
    public var id: String
    /// It is the one that was asked.
    public var isAnswering: Bool
    /// Where clients reach it; empty if it does not say.
    public var addresses: [String]
    public var version: String
    public var host: String
    public var startedAt: Timestamp?
    /// Since it last proved that it lives.
    public var silence: Duration
    /// After so long a silence others take over what it follows; nil if there are no others.
    public var lease: Duration?
    /// How many workflows it follows.
    public var followed: Int
    /// It follows no workflows and takes none.
    public var isDraining: Bool
    /// Where its settings differ from those of the server that was asked, and should not.
    public var differences: [SettingDifference]

    /// Makes an entry.
    public init(
        id: String, isAnswering: Bool = false, addresses: [String] = [], version: String = "", host: String = "",
        startedAt: Timestamp? = nil, silence: Duration = .zero, lease: Duration? = nil, followed: Int = 0,
        isDraining: Bool = false, differences: [SettingDifference] = []
    ) {
        self.id = id
        self.isAnswering = isAnswering
        self.addresses = addresses
        self.version = version
        self.host = host
        self.startedAt = startedAt
        self.silence = silence
        self.lease = lease
        self.followed = followed
        self.isDraining = isDraining
        self.differences = differences
    }

    /// Others take over what it follows, or have done so.
    public var isGone: Bool { lease.map { silence > $0 } ?? false }
}

/// A setting that two servers of one store should have in common and do not.
public struct SettingDifference: Sendable, Hashable {
    /// As in the configuration file.
    public var name: String
    /// What the other server has; addresses without credentials.
    public var theirs: String
    /// What the server has that noticed it.
    public var ours: String
    /// Workflows fail, or stand still, because of it.
    public var isDangerous: Bool
    /// What happens because of it, for people.
    public var consequence: String

    /// Makes a difference.
    public init(name: String, theirs: String, ours: String, isDangerous: Bool, consequence: String) {
        self.name = name
        self.theirs = theirs
        self.ours = ours
        self.isDangerous = isDangerous
        self.consequence = consequence
    }
}

/// The server that follows a workflow: it sends its steps out, and hears what becomes of them.
public struct Follower: Sendable, Hashable {
    public var serverID: String
    /// Where clients reach it; empty if it does not say.
    public var addresses: [String]
    /// It is the one that was asked.
    public var isAnswering: Bool
    /// Since it last proved that it lives.
    public var silence: Duration
    /// After so long a silence others take over what it follows; nil if there are no others.
    public var lease: Duration?
    /// It has left, or was never heard of.
    public var isGone: Bool

    /// Makes a follower.
    public init(
        serverID: String, addresses: [String] = [], isAnswering: Bool = false, silence: Duration = .zero,
        lease: Duration? = nil, isGone: Bool = false
    ) {
        self.serverID = serverID
        self.addresses = addresses
        self.isAnswering = isAnswering
        self.silence = silence
        self.lease = lease
        self.isGone = isGone
    }

    /// It has not proved for a while that it lives: what it follows may stand still until others take over.
    public var isLate: Bool { isGone || lease.map { silence > $0 / 2 } ?? false }
}
