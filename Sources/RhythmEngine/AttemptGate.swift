import Synchronization

/// Whether this server may begin attempts: not while it is unknown whether they are still its to run. Any thread.
///
/// When its lease has run out, or the store was away, others may have put other attempts in the place of those that it has
/// in hand. From then on it is closed, until the engine has compared what it knows with what is stored.
final class AttemptGate: Sendable {
    private struct State {
        var isOpen = true
        var openings = 0
    }

    private let state = Mutex(State())
    private let link: any StoreLink

    init(_ link: any StoreLink) { self.link = link }

    var isOpen: Bool { opening != nil }

    /// How often it has been opened; nil while it is closed.
    ///
    /// The engine withdraws what others have replaced, then opens it. So whoever has not seen this number before first
    /// takes in what the engine told until now.
    var opening: Int? {
        if let last = link.lastProof, last.duration(to: .now) >= link.proofLasts { close() }
        return state.withLock { $0.isOpen ? $0.openings : nil }
    }

    func close() { state.withLock { $0.isOpen = false } }

    func open() {
        state.withLock { state in
            if !state.isOpen { state.openings += 1 }
            state.isOpen = true
        }
    }
}
