import RhythmCore

/// The addresses of a client's servers: which one is in use, what the others said, and when each may be tried again.
///
/// They are tried in their order, from the one behind the last that failed. Each has a backoff of its own, so one that
/// is away for good costs nothing but an attempt from time to time, and only while the others are away too.
struct Addresses: Sendable {
    /// Where to connect, or until when to wait.
    enum Choice: Equatable {
        case connect(Int)
        case wait(until: Moment)
    }

    private struct Entry {
        let text: String
        var backoff = Backoff()
        /// It is not tried before this moment.
        var retryAt: Moment?
        var failure: Failure?
        /// When it was last left because it could not do what it was asked.
        var leftAt: Moment?
    }

    private struct Failure {
        var at: Moment
        var why: String
        /// Waiting does not help: it does not want this client, or the client not it.
        var refusal: RhythmError?
    }

    /// One that could not do what it was asked is not left again for that within this time: where all of them say so,
    /// the client does not run in circles.
    private static let stay = Duration.seconds(1)

    private var entries: [Entry]
    /// The one that is tried or in use.
    private(set) var current: Int
    /// Where the search for the next one begins.
    private var first: Int
    /// The connection has been of use, so its loss is no reason to wait.
    var isProven = false

    /// - Parameter first: which one is tried first.
    init(_ texts: [String], first: Int = 0) {
        entries = texts.map { Entry(text: $0) }
        current = entries.indices.contains(first) ? first : 0
        self.first = current
    }

    var count: Int { entries.count }
    /// There is somewhere else to go.
    var hasOthers: Bool { entries.count > 1 }
    /// The address that is tried or in use.
    var text: String { entries.indices.contains(current) ? entries[current].text : "" }

    /// The next one to try.
    mutating func choose(at now: Moment, random: Double) -> Choice {
        var earliest: Moment?
        for offset in entries.indices {
            let index = (first + offset) % entries.count
            guard let retryAt = entries[index].retryAt, retryAt > now else {
                begin(index, random: random)
                return .connect(index)
            }
            earliest = earliest.map { min($0, retryAt) } ?? retryAt
        }
        return .wait(until: earliest ?? now)
    }

    private mutating func begin(_ index: Int, random: Double) {
        current = index
        first = index
        isProven = false
        // The very first attempt is the one that needs no wait.
        if entries[index].backoff.attempts == 0 { _ = entries[index].backoff.next(random: random) }
    }

    /// The present one said hello.
    mutating func welcomed() { entries[current].failure = nil }

    /// The present one cannot be used: the next one's turn.
    mutating func failed(_ why: String, refusal: RhythmError? = nil, at now: Moment, random: Double) {
        if isProven { entries[current].backoff.reset() }
        isProven = false
        entries[current].retryAt = now + entries[current].backoff.next(random: random)
        entries[current].failure = Failure(at: now, why: why, refusal: refusal)
        first = (current + 1) % entries.count
    }

    /// Whether to leave the present one because it cannot do what it was asked.
    mutating func mayLeave(at now: Moment) -> Bool {
        guard hasOthers else { return false }
        if let leftAt = entries[current].leftAt, now.since(leftAt) < Self.stay { return false }
        entries[current].leftAt = now
        return true
    }

    /// How long the present one may take to answer the hello. Where there are others one that accepts connections and
    /// says nothing does not hold the client up for long; a slow one gets more time with each attempt.
    func helloTimeout(atMost limit: Duration) -> Duration {
        guard hasOthers else { return limit }
        let doublings = min(max(0, entries[current].backoff.attempts - 1), 8)
        return min(limit, .seconds(2) * (1 << doublings))
    }

    /// Whether every one of them has failed since then, so that another attempt would be a second round.
    func allFailed(since moment: Moment) -> Bool {
        entries.allSatisfy { entry in entry.failure.map { $0.at >= moment } ?? false }
    }

    /// What to tell a call that waited for a connection since then, if waiting longer does not help.
    func refusal(since moment: Moment) -> RhythmError? {
        guard allFailed(since: moment) else { return nil }
        let refusals = entries.compactMap { $0.failure?.refusal }
        guard refusals.count == entries.count, var error = refusals.last(where: { $0.message == latestWhy }) else {
            return nil
        }
        if hasOthers { error.message = "none of the servers can be used: \(reasons)" }
        return error
    }

    /// Why there is no connection; nil if nothing is known to be wrong.
    func unreachable(effect: RhythmError.Effect) -> RhythmError? {
        guard let latestWhy else { return nil }
        if !hasOthers { return ClientError.unreachable(text, why: latestWhy, effect: effect) }
        return ClientError.unreachable(reasons, effect: effect)
    }

    private var latestWhy: String? {
        entries.compactMap(\.failure).max { $0.at < $1.at }?.why
    }

    /// What each of them said.
    private var reasons: String {
        entries.map { "\($0.text): \($0.failure?.why ?? "not tried")" }.joined(separator: "; ")
    }
}
