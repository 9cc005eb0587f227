import Dispatch
import Logging

/// Renews a lease in the background, for a server that has a database to itself and so need not look after the others.
final class LeaseKeeper {
    private let queue = DispatchQueue(label: "rhythm.store.lease", qos: .utility)
    private let timer: any DispatchSourceTimer

    init(_ leases: ServerLeases) {
        let logger = Logger(label: "rhythm.store")
        let interval = DispatchTimeInterval.milliseconds(Int(clamping: max(1, leases.duration.milliseconds / 3)))
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + interval, repeating: interval)
        // Made here and run on the queue: it captures nothing of this object.
        timer.setEventHandler { @Sendable in
            do { try leases.renew() } catch { logger.warning("the lease was not renewed: \(error)") }
        }
        timer.activate()
    }

    deinit { timer.cancel() }

    /// Renews no more, also not any moment now.
    func stop() {
        timer.cancel()
        queue.sync {}
    }
}
