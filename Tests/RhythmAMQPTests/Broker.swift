import Glibc
import Logging
import RhythmAMQP
import RhythmTesting
import Synchronization
import Testing

/// The brokers of this module: one that is left in peace, one that is killed, stopped and starved.
enum Broker {
    private static let peaceful = Task { try await RabbitMQServer(tls: Certificates.shared.get().server) }
    private static let abused = Task { try await RabbitMQServer() }

    /// Shared by tests that run at the same time.
    static var shared: RabbitMQServer {
        get async throws { try await peaceful.value }
    }

    /// For ``FaultTests``, which run one after the other.
    static var faulty: RabbitMQServer {
        get async throws { try await abused.value }
    }

    /// Retries come fast, so that tests do not wait for them.
    static var settings: AMQPSettings {
        var settings = AMQPSettings(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        settings.lastRetry = .milliseconds(500)
        return settings
    }

    static func newName(_ kind: String = "queue") -> String { "\(kind)-\(UInt64.random(in: 0 ..< .max))" }
}

extension RabbitMQServer {
    func address(heartbeat: Int = 10) throws -> AMQPAddress {
        var parsed = try AMQPAddress(parsing: address)
        parsed.heartbeat = heartbeat
        return parsed
    }
}

/// Outcomes, deliveries or states in the order in which they came.
final class Collected<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])

    var all: [Element] { elements.withLock { $0 } }
    var count: Int { elements.withLock { $0.count } }

    func add(_ element: Element) { elements.withLock { $0.append(element) } }

    func wait(
        seconds: Double = 30, sourceLocation: SourceLocation = #_sourceLocation,
        until condition: ([Element]) -> Bool
    ) async throws {
        try await waitUntil("so far: \(all.suffix(10))", seconds: seconds, sourceLocation: sourceLocation) {
            condition(all)
        }
    }
}

extension Collected<AMQPConnectionState> {
    func waitForReady(times: Int = 1, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await wait(sourceLocation: sourceLocation) { states in
            states.filter { if case .ready = $0 { true } else { false } }.count >= times
        }
    }

    /// Why it was down, in order.
    var failures: [String] {
        all.compactMap { if case .down(let reason, _) = $0 { reason } else { nil } }
    }
}

extension AMQPPublisher {
    func publish(_ message: AMQPMessage, patience: Duration? = nil) async -> PublishOutcome {
        await withCheckedContinuation { continuation in
            publish(message, patience: patience) { continuation.resume(returning: $0) }
        }
    }
}

/// A publisher, and an inspector that makes its queues, for the length of a test.
func withPublisher(
    to server: RabbitMQServer, heartbeat: Int = 10,
    _ body: (AMQPPublisher, AMQPInspector, Collected<AMQPConnectionState>) async throws -> Void
) async throws {
    let states = Collected<AMQPConnectionState>()
    let address = try server.address(heartbeat: heartbeat)
    let publisher = AMQPPublisher(address, settings: Broker.settings) { states.add($0) }
    let inspector = AMQPInspector(address, settings: Broker.settings)
    defer {
        publisher.close()
        inspector.close()
    }
    try await body(publisher, inspector, states)
}
