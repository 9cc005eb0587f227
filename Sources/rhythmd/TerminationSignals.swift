@preconcurrency import Dispatch
import Foundation
import Synchronization

/// SIGTERM and SIGINT as something to wait for. Another one, a second or more after the first, ends the process at once:
/// one and the same wish often arrives twice, to the process and to its group.
final class TerminationSignals: Sendable {
    private struct State {
        var firstAt: UInt64?
        var isStarting = true
    }

    private final class Box: Sendable {
        let state = Mutex(State())
    }

    /// How long a start that waits for something has to notice that it is not wanted any more.
    private static let patience = DispatchTimeInterval.seconds(3)

    private let box = Box()
    private let stream: AsyncStream<Void>

    init() {
        let queue = DispatchQueue(label: "rhythmd.signals")
        let box = box
        stream = AsyncStream { continuation in
            let sources = [SIGTERM, SIGINT].map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
                source.setEventHandler {
                    let now = DispatchTime.now().uptimeNanoseconds
                    let (isImpatient, isStarting) = box.state.withLock { state in
                        if let first = state.firstAt { return (now - first > 1_000_000_000, state.isStarting) }
                        state.firstAt = now
                        return (false, state.isStarting)
                    }
                    if isImpatient { _exit(1) }
                    if isStarting {
                        queue.asyncAfter(deadline: .now() + Self.patience) {
                            if box.state.withLock({ $0.isStarting }) { _exit(0) }
                        }
                    }
                    continuation.yield()
                }
                source.activate()
                return source
            }
            // Keeps the sources for as long as somebody waits, which is the life of the process.
            continuation.onTermination = { _ in for source in sources { source.cancel() } }
        }
    }

    /// One of them has come.
    var isAsked: Bool { box.state.withLock { $0.firstAt != nil } }

    /// From now on ``first()`` is waited for. Before, a start that hangs is ended some seconds after a signal.
    func startIsOver() { box.state.withLock { $0.isStarting = false } }

    func first() async {
        for await _ in stream { return }
    }
}
