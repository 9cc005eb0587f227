import Dispatch
import RhythmLane
import Synchronization

/// Carries messages from other threads to a lane, many at a time: however many arrive before the lane gets to it, they
/// cost one hop.
final class Mailbox<Message: Sendable>: Sendable {
    private struct State {
        var messages: [Message] = []
        var isScheduled = false
    }

    private let state = Mutex(State())
    private let lane: Lane
    private let deliver: @Sendable ([Message]) -> Void

    /// `deliver` is called on the lane.
    init(lane: Lane, deliver: @escaping @Sendable ([Message]) -> Void) {
        self.lane = lane
        self.deliver = deliver
    }

    func put(_ message: Message) {
        let mustSchedule = state.withLock { state in
            state.messages.append(message)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        guard mustSchedule else { return }
        lane.queue.async { self.drain() }
    }

    private func drain() {
        let messages = state.withLock { state in
            state.isScheduled = false
            defer { state.messages = [] }
            return state.messages
        }
        deliver(messages)
    }
}
