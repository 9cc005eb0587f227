import RhythmCore

/// What a worker's signs of life say of it, over time.
struct WorkerPulse: Hashable, Sendable {
    /// The version of Celery.
    private(set) var version: String?
    private var lags: [Duration] = []

    /// Takes a sign of life that came `at` this server's time.
    mutating func feel(_ pulse: EventBatch.Pulse, at now: Timestamp) {
        if let version = pulse.version { self.version = version }
        guard let sentAt = pulse.sentAt else { return }
        lags = lags.suffix(2) + [.microseconds(now.microseconds - sentAt.microseconds)]
    }

    /// How much the clock of its machine is behind that of this one; negative if it is ahead. Nil if nobody can say.
    ///
    /// A message that lay in a queue seems to come from a slow clock, so the least delay of the last few counts.
    var lag: Duration? { lags.count < 2 ? nil : lags.min() }
}
