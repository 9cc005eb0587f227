/// The queues in which RabbitMQ keeps messages until they are due, where Celery (from 5.5 on, with quorum queues) has it
/// do that: one for each bit of the delay in seconds. A message goes through those of the bits that are set, from the
/// longest to the shortest.
enum DelayedQueues {
    private static let prefix = "celery_delayed_"
    private static let count = 28

    /// All of them.
    static let all = (0..<count).map { prefix + "\($0)" }
    /// All of them, for people.
    static let names = "\(prefix)0 to \(count - 1)"

    /// What they hold, by name; those that were not looked at are unknown.
    static func state(_ seen: (String) -> Evidence.Queue?) -> Evidence.Delayed {
        var messages = 0
        var longest: Duration = .zero
        for (level, name) in all.enumerated() {
            switch seen(name) {
            case .missing: continue
            case .holds(let count):
                guard count > 0 else { continue }
                messages += count
                // Its own bit, and all that are shorter.
                longest = .seconds(Int64(2) << Int64(level))
            case .unknown(let reason): return .unknown(reason)
            case nil: return .unknown("nobody has looked yet")
            }
        }
        return messages == 0 ? .nothing : .holds(messages, longest: longest)
    }
}
