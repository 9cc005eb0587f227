import Dispatch

@testable import RhythmServer

/// A look into a server, where nothing that it says would tell.
extension Server {
    /// What `body` finds, on the server's lane.
    func inside<Found: Sendable>(_ body: @escaping @Sendable (ServerCore) -> Found) async -> Found? {
        await driver.inside(body)
    }

    /// Keeps the lane busy until the semaphore is signalled.
    func hold() async -> DispatchSemaphore {
        let (driver, end) = (driver, DispatchSemaphore(value: 0))
        await withCheckedContinuation { (begun: CheckedContinuation<Void, Never>) in
            Task {
                await driver.inside { _ in
                    begun.resume()
                    _ = end.wait(timeout: .now() + 20)
                }
            }
        }
        return end
    }
}

extension ServerDriver {
    @discardableResult
    fileprivate func inside<Found: Sendable>(_ body: @Sendable (ServerCore) -> Found) -> Found? { core.map(body) }
}

/// What a connection consists of, without keeping it: to see whether it goes.
// SAFETY: written once; weak references may be read from any thread.
final class Remains: @unchecked Sendable {
    private struct Thing {
        let what: String
        weak var object: AnyObject?
    }

    private var things: [Thing] = []

    /// On the server's lane: of the connection that came last.
    init(of core: ServerCore) {
        guard let connection = core.connections.values.max(by: { $0.id < $1.id }) else { return }
        add("connection", connection)
        for call in connection.calls.values { add("call \(call.name)", call) }
        for cursor in core.hub.topics.values.flatMap(\.followers) where cursor.watch.connection === connection {
            add("cursor", cursor)
            add("watch", cursor.watch)
        }
    }

    /// On the server's lane: the server itself.
    init(wholeOf core: ServerCore) {
        add("core", core)
        for connection in core.connections.values { add("connection", connection) }
    }

    private func add(_ what: String, _ object: AnyObject) { things.append(Thing(what: what, object: object)) }

    var all: [String] { things.map(\.what) }
    var left: [String] { things.filter { $0.object != nil }.map(\.what) }
}
