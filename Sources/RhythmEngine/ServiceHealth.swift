/// How a service is: whether it can take on work, and if not, why.
public struct ServiceHealth: Sendable, Hashable {
    /// How bad it is.
    public enum Level: Int, Sendable, Hashable, Comparable {
        /// Everything works.
        case serving
        /// It answers, but not everything works.
        case degraded
        /// It follows no workflows, and what it knows of them is old.
        case notServing

        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
    }

    /// Why it is not serving, one sentence each without its full stop.
    public private(set) var reasons: [String] = []
    /// How bad it is.
    public private(set) var level = Level.serving

    /// Everything works.
    public init() {}

    /// Something does not work.
    public mutating func add(_ level: Level, _ reason: String) {
        self.level = max(level, self.level)
        reasons.append(reason)
    }
}

/// What is in memory, compared with what is stored.
public enum MemoryState: Sendable, Hashable {
    /// It is the truth, or was a moment ago.
    case current
    /// Others may have changed what is stored: it has to be asked.
    case behind
    /// The same, but the store cannot be asked; why.
    case adrift(String)
}

extension EngineService {
    /// How the service is, within seconds of the truth: it follows the store, the lease, what runs the attempts and the way
    /// to other servers.
    public var health: ServiceHealth {
        var health = ServiceHealth()
        let trouble = storeTrouble
        if let trouble {
            health.add(trouble.code == .replaced ? .notServing : .degraded, "the store refuses: \(trouble.message)")
        }
        if let link, let silence = silence(of: link), silence >= link.proofLasts / 2 {
            if silence >= link.proofLasts {
                health.add(
                    .notServing,
                    "this server's lease ran out \((silence - link.proofLasts).wholeSeconds) s ago: others may have taken"
                        + " its workflows")
            } else {
                health.add(.degraded, "the store has taken no sign of life for \(silence.wholeSeconds) s")
            }
        }
        if let trouble = runner.trouble { health.add(.degraded, trouble) }
        if let trouble = peersTrouble { health.add(.degraded, "news of other servers does not come: \(trouble)") }
        if let trouble = muteBecause {
            health.add(.degraded, "other servers do not hear what this one does: \(trouble)")
        }
        return health
    }

    /// Whether what is in memory may be told as the truth.
    public var memory: MemoryState {
        guard isShared else { return .current }
        let trouble = storeTrouble
        let isLate = link.flatMap { link in silence(of: link).map { $0 >= link.proofLasts / 2 } } ?? false
        guard isLate || peersTrouble != nil || othersAreMute || trouble?.code == .replaced else { return .current }
        if let trouble, trouble.code == .unavailable { return .adrift(trouble.message) }
        return .behind
    }

    /// How old what this server knows may be: since then the store has taken no sign of life. Nil if nothing is known of the
    /// way to it.
    public var storeSilence: Duration? { link.flatMap { silence(of: $0) } }

    private func silence(of link: any StoreLink) -> Duration? { link.lastProof.map { $0.duration(to: .now) } }
}

extension Duration {
    fileprivate var wholeSeconds: Int64 { components.seconds }
}
