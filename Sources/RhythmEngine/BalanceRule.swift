/// Decides how many workflows a server hands over because others follow far fewer.
///
/// It begins late and goes on until the shares are even, so that servers which come near to each other do not pass
/// workflows to and fro. What others say of themselves is some seconds old, and what was handed over last is not in it: so
/// it gives half of what it has too much at a time.
package struct BalanceRule: Sendable, Hashable {
    /// It begins with so many more than an even share, if half of that share is less.
    package var slack: Int
    /// The most at a time.
    package var atOnce: Int
    private(set) var isGiving = false

    package init(slack: Int = 8, atOnce: Int = 100) {
        self.slack = slack
        self.atOnce = atOnce
    }

    /// An even share, rounded up.
    static func evenShare(own: Int, others: [Int]) -> Int {
        let servers = others.count + 1
        return (others.reduce(own, +) + servers - 1) / servers
    }

    /// How many to hand over now.
    ///
    /// - Parameters:
    ///   - own: How many this server follows.
    ///   - others: How many each of those follows that could take some.
    mutating func surplus(own: Int, others: [Int]) -> Int {
        let even = Self.evenShare(own: own, others: others)
        // Less than a tenth more is even enough.
        let limit = isGiving ? even + even / 10 : even + max(slack, even / 2)
        isGiving = !others.isEmpty && own > limit
        return isGiving ? min(atOnce, (own - even + 1) / 2) : 0
    }
}
