/// What is known of the way to a store in another process. Any thread.
public protocol StoreLink: AnyObject, Sendable {
    /// When the store last took a sign of life of this server, or a moment before; nil if it never has.
    var lastProof: ContinuousClock.Instant? { get }

    /// For so long others count on this server after a sign of life.
    var proofLasts: Duration { get }

    /// Gives `follow` what the store's clock said last, and whatever it says from now on; for a store with no clock of its
    /// own, never.
    func tellTime(_ follow: @escaping @Sendable (SteadyClock.Sample) -> Void)

    /// Other servers that live, and by how much their machines' clocks are ahead of the store's, as far as they said.
    var clocksOfOthers: [(name: String, ahead: Duration)] { get }

    /// Looks whether the store answers, over a connection of its own. Blocks, for some seconds at most.
    func probe() -> Bool
}

extension Store {
    /// Nothing is known of the way.
    public var link: (any StoreLink)? { nil }
}
