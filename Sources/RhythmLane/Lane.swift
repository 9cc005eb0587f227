package import Dispatch

/// A serial Dispatch queue that can be the executor of actors.
///
/// An actor on a lane owns plain objects that are not Sendable; event handlers of the queue enter it with
/// `assumeIsolated`, without a hop, and the compiler checks the rest. Give such actors synchronous entry points only:
/// an `await` into a queue costs several microseconds and lets other work in between.
package final class Lane: SerialExecutor {
    /// The queue. Sources and timers of the lane's actors use it as their own.
    package let queue: DispatchQueue

    /// Makes a lane; the label shows up in debuggers.
    package init(label: String, qos: DispatchQoS = .userInitiated) {
        queue = DispatchQueue(label: label, qos: qos)
        queue.setSpecific(key: Self.key, value: ObjectIdentifier(self))
    }

    private static let key = DispatchSpecificKey<ObjectIdentifier>()

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    package func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }

    package func isIsolatingCurrentContext() -> Bool? {
        DispatchQueue.getSpecific(key: Self.key) == ObjectIdentifier(self)
    }
}
