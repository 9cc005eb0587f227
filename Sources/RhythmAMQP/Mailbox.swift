import Synchronization

/// What callers leave for a connection's thread.
final class Mailbox<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Leaves something; false if nobody will look any more.
    func put(_ element: Element) -> Bool {
        state.withLock { state in
            if !state.isClosed { state.elements.append(element) }
            return !state.isClosed
        }
    }

    func takeAll() -> [Element] {
        state.withLock { state in
            defer { state.elements = [] }
            return state.elements
        }
    }

    /// Takes what is left and nothing further.
    func close() -> [Element] {
        state.withLock { state in
            defer { state.elements = [] }
            state.isClosed = true
            return state.elements
        }
    }
}
