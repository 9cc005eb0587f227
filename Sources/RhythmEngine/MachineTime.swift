package import RhythmCore
import Synchronization

/// Turns times of this machine's wall clock into the engine's, for a runner whose attempts run on this machine. Any
/// thread.
///
/// Somebody may set the wall clock, and it may differ from that of the store that the engine follows. The difference is
/// taken when a report is made, which is soon after what it tells.
package final class MachineTime: Sendable {
    private let clock = Mutex<(@Sendable () -> Timestamp)?>(nil)
    private let wall: @Sendable () -> Timestamp

    package convenience init() { self.init { .wallClock } }

    init(wall: @escaping @Sendable () -> Timestamp) { self.wall = wall }

    /// From now on times are turned into those of this clock.
    package func follow(_ clock: @escaping @Sendable () -> Timestamp) { self.clock.withLock { $0 = clock } }

    package func correct(_ reports: [Report]) -> [Report] {
        guard let clock = clock.withLock({ $0 }) else { return reports }
        let ahead = clock().microseconds - wall().microseconds
        // Less than what people see, and than what the two reads are apart.
        if abs(ahead) < 1_000 { return reports }
        return reports.map { report in
            var report = report
            report.observation.move(by: ahead)
            return report
        }
    }
}

extension Observation {
    /// Its time, and that of its progress, moved by so many microseconds.
    fileprivate mutating func move(by microseconds: Int64) {
        func moved(_ time: Timestamp) -> Timestamp { Timestamp(microseconds: time.microseconds + microseconds) }
        switch self {
        case .queued(let at): self = .queued(at: moved(at))
        case .started(let at, let worker): self = .started(at: moved(at), worker: worker)
        case .progress(var progress):
            progress.at = moved(progress.at)
            self = .progress(progress)
        case .succeeded(let result, let at): self = .succeeded(result: result, at: moved(at))
        case .failed(let failure, let at): self = .failed(failure, at: moved(at))
        case .revoked(let detail, let at): self = .revoked(detail: detail, at: moved(at))
        case .lost(let detail, let at, let mayHaveBegun):
            self = .lost(detail: detail, at: moved(at), mayHaveBegun: mayHaveBegun)
        case .waiting, .ran, .retrying: break
        }
    }
}
