import Glibc

/// What a look at a queue showed.
package enum QueueInspection: Sendable, Hashable {
    case missing
    /// It is there, but exclusive to another connection.
    case locked
    /// `ready`: messages that no consumer has been given yet.
    case found(ready: Int, consumers: Int)
    case unknown(reason: String)
}

/// Looks at queues, and makes and deletes them, on one connection and one thread of its own: one that publishes nothing,
/// as the broker stops reading from those that do when memory or disk is short.
package final class AMQPInspector: Sendable {
    private let thread: ConnectionThread
    private let mailbox = Mailbox<InspectorRequest>()
    private let patience: Duration

    /// Connects in the background.
    package init(
        _ brokers: AMQPBrokers, settings: AMQPSettings = AMQPSettings(),
        onState: @escaping @Sendable (AMQPConnectionState) -> Void = { _ in }
    ) {
        patience = settings.patience
        thread = ConnectionThread(brokers, settings, onState: onState)
        thread.start { [mailbox] in InspectorRole(mailbox) }
    }

    /// The same with a single broker.
    package convenience init(
        _ address: AMQPAddress, settings: AMQPSettings = AMQPSettings(),
        onState: @escaping @Sendable (AMQPConnectionState) -> Void = { _ in }
    ) {
        self.init(AMQPBrokers(address), settings: settings, onState: onState)
    }

    deinit { thread.stop() }

    /// Looks at a queue. Any thread; never waits. `completion` is called once, on the inspector's thread, or at once on
    /// this one if the inspector is closed; without a connection that is after the settings' patience.
    package func queue(_ name: String, completion: @escaping @Sendable (QueueInspection) -> Void) {
        submit { session throws(AMQPFailure) in
            let (ready, consumers) = try session.lookAt(queue: name)
            completion(.found(ready: ready, consumers: consumers))
        } failed: { failure in
            switch failure.code {
            case 404: completion(.missing)
            case 405: completion(.locked)
            default: completion(.unknown(reason: failure.description))
            }
        }
    }

    package func queue(_ name: String) async -> QueueInspection {
        await withCheckedContinuation { continuation in queue(name) { continuation.resume(returning: $0) } }
    }

    /// Makes what is declared, in order, up to the first failure; as ``queue(_:completion:)`` else.
    package func declare(
        _ declarations: [AMQPDeclaration], completion: @escaping @Sendable (Result<Void, AMQPFailure>) -> Void
    ) {
        submit { session throws(AMQPFailure) in
            for declaration in declarations { try session.declare(declaration) }
            completion(.success(()))
        } failed: {
            completion(.failure($0))
        }
    }

    package func declare(_ declarations: [AMQPDeclaration]) async throws(AMQPFailure) {
        let result = await withCheckedContinuation { continuation in
            declare(declarations) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Deletes a queue with all that is in it; that there is none is fine.
    package func delete(queue name: String, completion: @escaping @Sendable (Result<Void, AMQPFailure>) -> Void) {
        submit { session throws(AMQPFailure) in
            try session.delete(queue: name)
            completion(.success(()))
        } failed: {
            completion(.failure($0))
        }
    }

    package func delete(queue name: String) async throws(AMQPFailure) {
        let result = await withCheckedContinuation { continuation in
            delete(queue: name) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Ends the connection and answers what is open. Returns within some five seconds, whatever the broker and the
    /// network do. Any thread, any number of times.
    package func close() { thread.close() }

    private func submit(
        _ call: @escaping @Sendable (Session) throws(AMQPFailure) -> Void,
        failed: @escaping @Sendable (AMQPFailure) -> Void
    ) {
        let request = InspectorRequest(expiry: .now + patience, call: call, failed: failed)
        guard mailbox.put(request) else { return failed(InspectorRole.closedFailure) }
        thread.wake()
    }
}

/// A call on its way to the inspector's thread.
struct InspectorRequest: Sendable {
    let expiry: ContinuousClock.Instant
    /// Makes the call and hands over its result, unless it throws.
    let call: @Sendable (Session) throws(AMQPFailure) -> Void
    let failed: @Sendable (AMQPFailure) -> Void
}

/// Makes one call after the other.
final class InspectorRole: ConnectionRole {
    private let mailbox: Mailbox<InspectorRequest>
    private var waiting: [InspectorRequest] = []

    static let closedFailure = AMQPFailure(.connection, "the inspector is closed")

    init(_ mailbox: Mailbox<InspectorRequest>) { self.mailbox = mailbox }

    var hasWork: Bool { false }
    var isSettled: Bool { true }

    func opened(_ session: Session) throws(AMQPFailure) {}

    func work(_ session: Session) throws(AMQPFailure) {
        while !waiting.isEmpty {
            let request = waiting.removeFirst()
            do {
                try request.call(session)
            } catch {
                request.failed(error)
                guard error.scope == .channel else { throw error }
                try session.openChannel()
            }
        }
    }

    func received(_ incoming: Incoming, _ session: Session) throws(AMQPFailure) {
        if case .channelClosed = incoming { try session.openChannel() }
    }

    func lost(_ failure: AMQPFailure) {}

    func expire(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        waiting += mailbox.takeAll()
        let late = waiting.filter { $0.expiry <= now }
        waiting.removeAll { $0.expiry <= now }
        for request in late { request.failed(AMQPFailure(.connection, "there was no connection to the broker")) }
        return waiting.map(\.expiry).min()
    }

    func closed() {
        waiting += mailbox.close()
        for request in waiting { request.failed(Self.closedFailure) }
        waiting = []
    }
}
