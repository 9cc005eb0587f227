@preconcurrency import Dispatch
import Glibc

/// SIGHUP as something to wait for. Several that come while one is being dealt with are one.
///
/// Made before the files are read, so that a signal that comes while they are is not lost.
final class ReloadSignals: Sendable {
    let stream: AsyncStream<Void>

    init() {
        stream = AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            signal(SIGHUP, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: DispatchQueue(label: "rhythmd.reload"))
            source.setEventHandler { continuation.yield() }
            source.activate()
            // Keeps the source for as long as somebody waits, which is the life of the process.
            continuation.onTermination = { _ in source.cancel() }
        }
    }
}
