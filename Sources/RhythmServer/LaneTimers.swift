@preconcurrency import Dispatch
import HeapModule
import RhythmCore

/// Any number of timers on one lane over one Dispatch source. Times are the machine's uptime in nanoseconds.
final class LaneTimers {
    private struct Entry: Comparable {
        let at: UInt64
        let id: UInt64

        static func < (lhs: Self, rhs: Self) -> Bool { (lhs.at, lhs.id) < (rhs.at, rhs.id) }
    }

    private let source: any DispatchSourceTimer
    private var heap = Heap<Entry>()
    private var actions: [UInt64: () -> Void] = [:]
    private var lastID: UInt64 = 0
    private var armedFor: UInt64 = .max

    /// `fire` must have ``runDue()`` called on the lane; it is called elsewhere.
    init(fire: @escaping @Sendable () -> Void) {
        source = DispatchSource.makeTimerSource(queue: .global(qos: .userInitiated))
        source.setEventHandler(handler: fire)
        source.activate()
    }

    static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

    /// Calls `action` once, on the lane, when `delay` is over.
    @discardableResult
    func schedule(after delay: Duration, _ action: @escaping () -> Void) -> UInt64 {
        lastID += 1
        let at = Self.now() &+ UInt64(max(0, delay.wholeMicroseconds)) &* 1000
        heap.insert(Entry(at: at, id: lastID))
        actions[lastID] = action
        arm()
        return lastID
    }

    /// Forgets a timer; harmless if it has fired.
    func cancel(_ id: UInt64) {
        actions[id] = nil
        // Cancelled entries go when they come up; if they are most of the heap, it is made anew.
        if heap.count > 64, heap.count > 4 * actions.count {
            heap = Heap(heap.unordered.filter { actions[$0.id] != nil })
        }
    }

    func runDue() {
        armedFor = .max
        let now = Self.now()
        while let next = heap.min, next.at <= now {
            heap.removeMin()
            actions.removeValue(forKey: next.id)?()
        }
        arm()
    }

    func stop() {
        actions = [:]
        source.cancel()
    }

    private func arm() {
        guard let next = heap.min, next.at < armedFor else { return }
        armedFor = next.at
        source.schedule(deadline: DispatchTime(uptimeNanoseconds: next.at), leeway: .milliseconds(1))
    }
}
