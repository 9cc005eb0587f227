import RhythmCore
import RhythmEngine
package import RhythmWire

/// Whether a server should get work, for whoever spreads it.
package struct Readiness: Sendable, Hashable {
    /// How it is, whether it gets work or not.
    package let health: ServerInfo.Health
    /// Why it should get none, one sentence each without its full stop; empty if it should.
    package let reasons: [String]

    init(level: ServiceHealth.Level, reasons: [String]) {
        health = level.wire
        self.reasons = reasons
    }

    package var isReady: Bool { reasons.isEmpty }

    /// `ready`, or a line for each reason.
    package var text: String { (isReady ? ["ready"] : reasons).joined(separator: "\n") + "\n" }

    /// `{"ready":...,"health":...,"reasons":[...]}`.
    package var json: String {
        let word =
            switch health {
            case .serving: "serving"
            case .degraded: "degraded"
            case .notServing: "not serving"
            }
        return JSONValue.object([
            .init("ready", .bool(isReady)), .init("health", .string(word)),
            .init("reasons", .array(reasons.map { .string($0) })),
        ]).compactText + "\n"
    }
}

extension ServerCore {
    var readiness: Readiness {
        let health = health
        return Readiness(level: health.level, reasons: farewells + health.reasons)
    }
}

extension ServiceHealth.Level {
    var wire: ServerInfo.Health {
        switch self {
        case .serving: .serving
        case .degraded: .degraded
        case .notServing: .notServing
        }
    }
}
