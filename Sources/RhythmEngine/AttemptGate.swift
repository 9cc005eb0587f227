import Synchronization

/// Whether this server may begin attempts: not while it is unknown whether they are still its to run. Any thread.
///
/// When its lease has run out, or the store was away, others may have put other attempts in the place of those that it has
/// in hand. From then on it is closed, until the engine has compared what it knows with what is stored.
final class AttemptGate: Sendable {
    private let closed = Atomic<Bool>(false)
    private let link: any StoreLink

    init(_ link: any StoreLink) { self.link = link }

    var isOpen: Bool {
        if let last = link.lastProof, last.duration(to: .now) >= link.proofLasts { close() }
        return !closed.load(ordering: .acquiring)
    }

    func close() { closed.store(true, ordering: .releasing) }

    func open() { closed.store(false, ordering: .releasing) }
}
