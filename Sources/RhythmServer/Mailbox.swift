import Dispatch
import RhythmLane
import Synchronization

/// Carries messages from other threads to a lane, many at a time: however many arrive before the lane gets to it, they
/// cost one hop, and none while the lane is at its mailbox anyway.
final class Mailbox<Message: Sendable>: Sendable {
    /// Where the lane is.
    private enum Reader {
        /// Elsewhere: it has to be called.
        case away
        /// It will look in here before it waits or goes.
        case around
        /// It waits for the bell, among others.
        case waiting
    }

    private enum Notice { case none, call, bell }

    private struct State {
        var messages: [Message] = []
        var isCalled = false
        var reader = Reader.away

        mutating func call() -> Notice {
            defer { isCalled = true }
            return isCalled ? .none : .call
        }
    }

    private let state = Mutex(State())
    private let lane: Lane
    private let bell: Poller.Bell
    private let deliver: @Sendable ([Message]) -> Void

    /// `deliver` is called on the lane, with what came while it was away.
    init(lane: Lane, bell: Poller.Bell, deliver: @escaping @Sendable ([Message]) -> Void) {
        self.lane = lane
        self.bell = bell
        self.deliver = deliver
    }

    /// From any thread.
    func put(_ message: Message) {
        act(
            on: state.withLock { state in
                state.messages.append(message)
                switch state.reader {
                case .away: return state.call()
                case .around: return .none
                case .waiting:
                    state.reader = .around
                    return .bell
                }
            })
    }

    /// For the lane, which stays around: it comes back here, or to ``leave()``, without being called. If there is nothing
    /// it may wait for the bell in between.
    func take() -> [Message] {
        state.withLock { state in
            state.reader = state.messages.isEmpty ? .waiting : .around
            defer { state.messages = [] }
            return state.messages
        }
    }

    /// The lane goes: from now on it has to be called.
    func leave() {
        act(
            on: state.withLock { state in
                state.reader = .away
                return state.messages.isEmpty ? .none : state.call()
            })
    }

    private func act(on notice: Notice) {
        switch notice {
        case .none: break
        case .call: lane.queue.async { self.called() }
        case .bell: bell.ring()
        }
    }

    private func called() {
        let messages = state.withLock { state in
            state.isCalled = false
            defer { state.messages = [] }
            return state.messages
        }
        if !messages.isEmpty { deliver(messages) }
    }
}
