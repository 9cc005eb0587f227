/// Pauses between tries: each twice as long as the one before, less a random part of up to a half, so that many clients
/// do not come back at the same moment.
struct Backoff {
    let first: Duration
    let last: Duration
    private var failures = 0

    init(first: Duration, last: Duration) {
        self.first = first
        self.last = last
    }

    mutating func succeeded() { failures = 0 }

    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let longest = min(last, first * (1 << min(failures, 20)))
        failures += 1
        return longest * Double.random(in: 0.5...1, using: &generator)
    }
}
