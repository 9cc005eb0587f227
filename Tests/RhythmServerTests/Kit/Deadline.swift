import Foundation
import Testing

/// How long a test waits for what must happen; generous, because the machine may be busy. More under a sanitizer.
let patience = Duration.seconds(Int(ProcessInfo.processInfo.environment["RHYTHM_PATIENCE"] ?? "") ?? 20)

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
