import Dispatch
import Glibc
import RhythmCore
import Synchronization

/// What makes the desk look: the fifo of the supervisors, and a slow clock for wake-ups that got lost. Holds the lock
/// of the data directory for as long as the desk may look at it.
final class WakeUps: Sendable {
    private struct State: ~Copyable {
        var fifo: NotifyFifo?
        var timer: (any DispatchSourceTimer)?
        var lock: Int32
    }

    private let desk: AttemptDesk
    private let state: Mutex<State>

    init(desk: AttemptDesk, lock: Int32) throws(LocalRunnerError) {
        self.desk = desk
        let fifo = try NotifyFifo(path: desk.places.notify, lane: desk.lane) { desk.notified($0) }
        state = Mutex(State(fifo: fifo, timer: nil, lock: lock))
    }

    /// The sweeps begin.
    func begin() {
        state.withLock { state in
            if state.lock >= 0, state.timer == nil { state.timer = Self.makeTimer(desk) }
        }
    }

    private static func makeTimer(_ desk: AttemptDesk) -> any DispatchSourceTimer {
        let interval = DispatchTimeInterval.microseconds(Int(desk.configuration.sweepInterval.wholeMicroseconds))
        let timer = DispatchSource.makeTimerSource(queue: desk.lane)
        timer.schedule(deadline: .now() + interval, repeating: interval, leeway: .milliseconds(100))
        timer.setEventHandler { desk.sweep() }
        timer.activate()
        return timer
    }

    /// Nothing wakes the desk any more, and another runner may have the directory.
    func end() {
        state.withLock { state in
            state.fifo?.cancel()
            state.fifo = nil
            state.timer?.cancel()
            state.timer = nil
            if state.lock >= 0 { close(state.lock) }
            state.lock = -1
        }
    }
}
