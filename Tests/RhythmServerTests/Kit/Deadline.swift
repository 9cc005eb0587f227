import Testing

/// How long a test waits for what must happen; generous, because the machine may be busy.
let patience = Duration.seconds(20)

struct Impatience: Error, CustomStringConvertible {
    var description: String
}

/// Waits until `condition` holds. Looks often; fails the test if it does not hold in time.
func eventually(
    _ what: String, within limit: Duration = patience, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while true {
        if try await condition() { return }
        guard ContinuousClock.now < deadline else { throw Impatience(description: "not in time: \(what)") }
        try await Task.sleep(for: .milliseconds(3))
    }
}
